"""Our backoff rules in AWS's optimistic-locking experiment give the published simulator's calls and times."""

import json

import numpy as np
import pytest
from conftest import SHARED
from scipy.stats import norm

import backwater as bw
from backwater.experiments import optimistic_locking as occ

FILE = SHARED / "reference" / "aws_backoff.json"
ROWS = json.loads(FILE.read_text("utf-8"))["rows"] if FILE.exists() else []
REPLICATIONS = {1: 300, 2: 200, 10: 200, 50: 60, 100: 40, 200: 20}
WANTED = {(row["strategy"], row["clients"]): row for row in ROWS if row["clients"] in REPLICATIONS}
# 60 comparisons that together fail by chance once in 10,000 times, means of 20 and more being normal enough.
Z = norm.isf(1e-4 / (2 * 2 * len(REPLICATIONS) * len(occ.STRATEGIES)))


def both(strategy: str, clients: int) -> dict[str, tuple[float, float]]:
    """Mean and standard error of the calls and of the completion time [ms]."""
    table = occ.study((clients,), (strategy,), replications=REPLICATIONS[clients], seed=12)
    row = table.iloc[0]
    return {"calls": (row["calls"], row["calls_se"]),
            "completion_time": (1000 * row["completion_time"], 1000 * row["completion_time_se"])}  # fmt: skip


def apart(ours: tuple[float, float], reference: dict) -> float:
    """How many standard errors our mean is from the reference's."""
    error = np.hypot(ours[1], reference["se"])
    return 0.0 if ours[0] == reference["mean"] else abs(ours[0] - reference["mean"]) / max(error, 1e-12)


@pytest.mark.skipif(not FILE.exists(), reason="the reference is not here")
@pytest.mark.parametrize("clients", REPLICATIONS)
@pytest.mark.parametrize("strategy", occ.STRATEGIES)
def test_calls_and_time_are_those_of_the_published_simulator(strategy, clients):
    for name, ours in both(strategy, clients).items():
        assert apart(ours, WANTED[strategy, clients][name]) <= Z, name


@pytest.mark.skipif(not FILE.exists(), reason="the reference is not here")
def test_another_way_of_backing_off_in_its_place_would_be_caught(monkeypatch):
    wrong = bw.Retry(base="10 ms", factor=1.5, cap="2 s", jitter="full", max_attempts="forever")
    monkeypatch.setitem(occ.STRATEGIES, "decorrelated", wrong)
    assert apart(both("decorrelated", 50)["calls"], WANTED["decorrelated", 50]["calls"]) > Z


def test_two_clients_always_need_three_calls_and_one_client_one():
    assert {occ.contend(strategy, 2, 1, r)[0] for strategy in occ.STRATEGIES for r in range(20)} == {3}
    assert occ.contend("full_jitter", 1, 1, 0)[0] == 1


def test_the_command_draws_both_figures(tmp_path, capsys):
    occ.main(["--out", str(tmp_path / "new"), "--clients", "2,10", "--replications", "3"])
    told = capsys.readouterr().out.split()
    assert [path.rpartition("/")[2] for path in told] == ["table.csv", "calls.png", "completion_time.png"]
    assert all(
        (tmp_path / "new" / name).stat().st_size > 500 for name in ("table.csv", "calls.png", "completion_time.png")
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--out", "x", "--clients", "0"], "must be a whole number from 1"),
        (["--out", "x", "--clients", "ten"], "must be whole numbers"),
        (["--out", "x", "--replications", "1"], "must be a whole number from 2"),
        ([], "--out"),
    ],
)
def test_wrong_words_end_in_one_line(words, line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        occ.main(words)
    err = capsys.readouterr().err
    assert end.value.code == 2
    assert line in err
    assert len(err.strip().splitlines()) == 1
