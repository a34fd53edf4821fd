"""``backwater fit``: recorded logs become scenarios that are like them, that check and run; wrong words are refused."""

import gzip
import json
import tomllib

import numpy as np
import pandas as pd
import pytest
from conftest import SHARED
from scipy.stats import norm
from test_cli import run

import backwater as bw
from backwater.experiments.fit.fit import Options, fit
from backwater.experiments.fit.log import Asked, read_log

TOKENS = "50 ms + ContextTokens * 0.25 ms + GeneratedTokens * 25 ms"
CHANCE = 1e-4  # of a log that is from its scenario being told apart, for each thing compared


@pytest.fixture(scope="module")
def web_file():
    path = SHARED / "data" / "apache_access_2015.log"
    if not path.exists():
        pytest.skip("the recorded log is not here")
    return path


def test_the_recorded_web_log_is_poisson_in_pieces_and_the_scenario_is_like_it(web_file, tmp_path):
    found = fit(web_file, tmp_path, options=Options(mean_service=0.08))
    assert (len(found.log), found.kind, found.log.resolution) == (10_000, "profile", 1.0)
    assert found.poisson.p > CHANCE
    # In the recorded hours all requests come in the fifth minute: 84 minutes, and nothing in between.
    assert 160 <= len(found.found.counts) <= 180
    for band in found.judged.bands.values():
        assert band.off(CHANCE) <= 1
    assert set(found.judged.bands) == {"counts", "gaps", "dispersion"}
    written = bw.load(tmp_path / "scenario.toml")
    assert written == found.scenario
    assert written.rate * found.log.span == pytest.approx(10_000)


def test_the_recorded_code_completions_are_like_their_scenario_in_demand_too(trace_file, tmp_path):
    found = fit(trace_file, tmp_path, Asked(service=TOKENS))
    assert (len(found.log), found.kind) == (8819, "pieces")
    assert found.poisson.p < 1e-9
    assert all(judged.worst > 1 for kind, judged in found.tried.items() if kind != "pieces")
    assert set(found.judged.bands) == {"counts", "gaps", "dispersion", "service"}
    for band in found.judged.bands.values():
        assert band.off(CHANCE) <= 1
    tokens = pd.read_csv(trace_file)
    demand = 0.05 + tokens["ContextTokens"] * 0.25e-3 + tokens["GeneratedTokens"] * 25e-3
    assert found.scenario.mean_service(found.scenario.producers[0]) == pytest.approx(demand.mean(), rel=1e-9)
    assert found.service.mean == pytest.approx(demand.mean(), rel=1e-9)


def test_the_command_writes_what_checks_and_runs(trace_file, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("fit", str(trace_file), "--service", TOKENS, "--replay", "--workers", "20", "--out", "out")
    status, out, err = run(capsys, *words)
    assert (status, err) == (0, "")
    assert "8,819 first attempts in 57.3 min from 2023-11-16 18:17:03.979960 UTC: 2.57/s" in " ".join(out.split())
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "scenario.toml", "arrivals.csv", "fit.json", "fit-arrivals.png", "fit-service.png"}  # fmt: skip
    assert all((tmp_path / "out" / f"fit-{name}.png").stat().st_size > 20_000 for name in ("arrivals", "service"))
    assert run(capsys, "check", "out/scenario.toml")[0] == 0
    status, out, _ = run(capsys, "run", "out/scenario.toml", "--json")
    rows = {row["metric"]: row["estimate"] for row in json.loads(out)["summary"]}
    assert (status, rows["arrival_rate"]) == (0, pytest.approx(8819 / 3436.3377, rel=1e-6))
    numbers = json.loads((tmp_path / "out" / "fit.json").read_text())
    assert numbers["judged"]["counts"]["off"] == 0
    notes = tomllib.loads((tmp_path / "out" / "scenario.toml").read_text())["notes"]
    assert notes["workers.service"] == "as given, of the columns of each request"


def made(folder, n: int = 4000) -> tuple:
    """A log of a known system: a rate that changes, lognormal durations, failures that come again after a pause."""
    rng = np.random.default_rng(11)
    half = n // 2
    times = np.sort(np.concatenate([rng.random(half) * 1000, 1000 + rng.random(n - half) * 500]))
    frame = pd.DataFrame(
        {"ts": times, "duration_ms": 1e3 * rng.lognormal(-3, 0.8, n), "status": 200, "id": np.arange(n)}
    )
    again = frame.iloc[::20].copy()
    frame.loc[again.index, "status"] = 503
    again["ts"] += again["duration_ms"] / 1e3 + rng.random(len(again)) * 4
    frame = pd.concat([frame, again]).sort_values("ts", kind="stable")
    frame["ts"] += 1.7e9
    frame.to_csv(folder / "log.csv", index=False, float_format="%.6f")
    return half, n, len(again)


def test_a_known_system_is_found_in_its_log(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    half, n, again = made(tmp_path)
    status, out, err = run(capsys, "fit", "log.csv", "--json", "--out", "out")
    numbers = json.loads(out)
    assert (status, err) == (0, "")
    assert (numbers["retries"]["folded"], numbers["log"]["requests"]) == (again, n)
    assert numbers["retries"]["policy"] | {"base": "", "cap": "", "retry_probability": ""} == {
        "base": "", "cap": "", "max_attempts": 2, "retry_probability": ""}  # fmt: skip
    assert (numbers["arrivals"]["kind"], numbers["arrivals"]["pieces"]) == ("profile", 2)
    assert numbers["arrivals"]["rates"] == pytest.approx(
        [half / 1000, half / 500], rel=norm.isf(1e-5) / np.sqrt(half) + 0.002
    )
    assert numbers["service"]["law"] == "lognormal"
    assert any("usually hold time spent waiting" in warning for warning in numbers["warned"])
    scenario = bw.load("out/scenario.toml")
    assert scenario.client.retry.max_attempts == 2
    assert scenario.workers.service.average == pytest.approx(np.exp(-3 + 0.32), rel=0.08)
    assert run(capsys, "run", "out/scenario.toml", "--horizon", "60 s")[0] == 0


@pytest.mark.parametrize("kind", ["profile", "renewal", "mmpp", "pieces"])
def test_every_kind_of_source_can_be_asked_for(kind, tmp_path):
    made(tmp_path, 1500)
    found = fit(tmp_path / "log.csv", tmp_path, options=Options(arrivals=kind))
    assert found.scenario.rate == pytest.approx(1500 / found.log.span, rel=0.001)
    again = bw.load(tmp_path / "scenario.toml")
    assert bw.simulate(again, horizon=100, replications=1, engine="simpy")["arrival_rate"] > 0
    warned = any("differs from the log" in warning for warning in found.warned)
    assert warned is (found.judged.worst > 1)
    assert (kind in ("profile", "pieces")) <= (not warned)


def test_buckets_and_a_log_without_durations_make_a_scenario(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    times = np.sort(np.random.default_rng(2).random(500) * 100)
    (tmp_path / "log.gz").write_bytes(gzip.compress(("time\n" + "\n".join(f"{t:.4f}" for t in times)).encode()))
    (tmp_path / "b.csv").write_text("le,count\n0.1,500\n0.2,500\n0.5,900\n+Inf,1000\n")
    status, _, err = run(capsys, "fit", "log.gz", "--buckets", "b.csv", "--out", "out")
    assert (status, err.count("Warning: ")) == (0, 1)
    assert bw.load("out/scenario.toml").workers.service.kind == "histogram"
    status, _, err = run(capsys, "fit", "log.gz", "--mean-service", "2 s", "--workers", "9", "--out", "out")
    assert (status, err, bw.load("out/scenario.toml").workers.count) == (0, "", 9)
    status, _, err = run(capsys, "fit", "log.gz", "--out", "out")
    assert err.startswith("Warning: the log tells no service times: say --service, --buckets or --mean-service.")


def test_the_same_seed_writes_the_same_files(tmp_path):
    made(tmp_path, 1000)
    texts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        fit(tmp_path / "log.csv", tmp_path / name, options=Options(arrivals="pieces"))
        texts.append({path.name: path.read_text() for path in (tmp_path / name).iterdir()})
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["none.csv"], "LOG must be a file that can be read"),
        (["log.csv", "--time", "tss"], '--time must be a column of the log; did you mean "ts"?'),
        (["log.csv", "--arrivals", "profil"], '--arrivals must be a kind; did you mean "profile"?'),
        (["log.csv", "--arrivals", "mmpp", "--replay"], "--arrivals must not be given beside --replay"),
        (["log.csv", "--law", "gama"], '--law must be a law; did you mean "gamma"?'),
        (["log.csv", "--mean-service", "5"], "--mean-service must be a time such as"),
        (["log.csv", "--mean-service", "0 s"], "--mean-service must be above 0"),
        (["log.csv", "--workers", "0"], "--workers must be at least 1"),
        (["log.csv", "--seed", "-1"], "--seed must be a whole number"),
        (["log.csv", "--buckets", "none"], "--buckets must be a file that can be read"),
        (["log.csv", "--out", "file"], "--out must be a folder that can be written"),
        (["few.csv"], "LOG must hold 10 first attempts or more to be fitted: it has 3"),
        (["even.csv", "--arrivals", "mmpp"], "--arrivals needs a rate that changes: this log's does not"),
        ([], "Missing argument 'LOG'"),
    ],
)  # fmt: skip
def test_wrong_words_are_one_clear_line_and_status_2(words, line, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made(tmp_path, 100)
    (tmp_path / "file").write_text("")
    (tmp_path / "few.csv").write_text("time\n1\n2\n3\n")
    (tmp_path / "even.csv").write_text("time\n" + "\n".join(map(str, range(50))))
    status, out, err = run(capsys, "fit", *words)
    assert (status, out) == (2, "")
    assert line in err
    assert len(err.strip().splitlines()) == 1


def test_what_was_read_is_what_stands_in_the_log(web_file):
    log = read_log(web_file)
    seconds = [line.split("[")[1].split("]")[0] for line in web_file.read_text("utf-8").splitlines()]
    moments = pd.to_datetime(seconds, format="%d/%b/%Y:%H:%M:%S %z").astype("datetime64[s, UTC]").astype("int64")
    assert np.array_equal(np.sort(moments) - moments.min(), log.times.astype(int))
