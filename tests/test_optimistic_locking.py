"""Our backoff rules in AWS's optimistic-locking experiment give the published simulator's calls and times."""

import json

import pytest
from conftest import SHARED
from scipy.stats import ttest_ind_from_stats

import backwater as bw
from backwater.experiments import optimistic_locking as occ

FILE = SHARED / "reference" / "aws_backoff.json"
ROWS = json.loads(FILE.read_text("utf-8"))["rows"] if FILE.exists() else []
REPLICATIONS = {1: 500, 2: 500, 10: 500, 50: 150, 100: 80, 200: 60}
WANTED = {(row["strategy"], row["clients"]): row for row in ROWS if row["clients"] in REPLICATIONS}
# 60 comparisons that together fail by chance at most once in 10,000 times. Welch's t and not the normal law: with our
# standard errors estimated from few replications, the normal law would fail several times as often as it says.
CHANCE = 1e-4 / (2 * len(REPLICATIONS) * len(occ.STRATEGIES))


def chances(strategy: str, clients: int) -> dict[str, float]:
    """Chance of mean calls and times at least this far from the reference's, were both simulators the same."""
    n, wanted, found = REPLICATIONS[clients], WANTED[strategy, clients], {}
    row = occ.study((clients,), (strategy,), replications=n, seed=12).iloc[0]
    for name, unit in (("calls", 1), ("completion_time", 1000)):  # the reference's time is in ms
        mean, sd, other = unit * row[name], unit * row[f"{name}_se"] * n**0.5, wanted[name]
        test = (mean, sd, n, other["mean"], other["sd"], wanted["reps"])
        certain = sd == other["sd"] == 0  # one or two clients make the same number of calls in every run
        found[name] = float(mean == other["mean"]) if certain else ttest_ind_from_stats(*test, equal_var=False).pvalue
    return found


@pytest.mark.skipif(not FILE.exists(), reason="the reference is not here")
@pytest.mark.parametrize("clients", REPLICATIONS)
@pytest.mark.parametrize("strategy", occ.STRATEGIES)
def test_calls_and_time_are_those_of_the_published_simulator(strategy, clients):
    for name, chance in chances(strategy, clients).items():
        assert chance >= CHANCE, name


@pytest.mark.skipif(not FILE.exists(), reason="the reference is not here")
@pytest.mark.parametrize(
    ("strategy", "wrong"),
    [
        ("decorrelated", {"factor": 1.5, "base": "10 ms", "jitter": "full"}),
        ("full_jitter", {"base": "5 ms", "jitter": "full"}),  # backs off before it counts the failure
        ("equal_jitter", {"base": "10 ms", "jitter": "full"}),
    ],
)
def test_another_way_of_backing_off_in_its_place_would_be_caught(strategy, wrong, monkeypatch):
    monkeypatch.setitem(occ.STRATEGIES, strategy, bw.Retry(cap="2 s", max_attempts="forever", **wrong))
    assert chances(strategy, 50)["calls"] < CHANCE


@pytest.mark.skipif(not FILE.exists(), reason="the reference is not here")
def test_decorrelated_pauses_that_double_instead_of_tripling_would_be_caught(monkeypatch):
    right = occ.pause
    monkeypatch.setattr(occ, "pause", lambda policy, failed, last, *at: right(policy, failed, last * 2 / 3, *at))
    assert chances("decorrelated", 50)["calls"] < CHANCE


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
