"""The command line: what it prints, and one clear line with status 2 for each kind of wrong input."""

import json
import re
import subprocess
import sys

import pytest

import backwater as bw
from backwater.experiments import cli
from backwater.models import MODELS

GOOD = """
[arrivals]
kind = "trace"
file = "times.csv"
time = "when"
[workers]
service = "100 ms"
[run]
horizon = "10 s"
replications = 2
"""


def run(capsys, *words: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command."""
    keep, sys.argv = sys.argv, ["backwater", *words]
    try:
        cli.main()
    except SystemExit as end:
        status = end.code or 0
    finally:
        sys.argv = keep
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "times.csv").write_text("when,size\n0,1\n1,2\n2,3\n")
    (tmp_path / "good.toml").write_text(GOOD)
    return tmp_path


def test_ready_made_clients_are_listed_shown_and_set(files, capsys):
    assert "aws_standard_2026" in run(capsys, "list")[1]
    shown = run(capsys, "show", "aws_standard_2026")[1]
    assert shown.startswith("# AWS SDKs, standard mode from 2026 on")
    assert "Source: botocore" in shown
    (files / "named.toml").write_text(GOOD + shown)
    assert bw.load(files / "named.toml").client == bw.Client(preset="aws_standard_2026")
    told = run(capsys, "show", "good.toml", "--set", "client=grpc", "--set", "client.attempt_timeout=2 s")[1]
    (files / "set.toml").write_text(told)
    assert bw.load(files / "set.toml").client == bw.Client(preset="grpc", attempt_timeout="2 s")
    status, _, error = run(capsys, "show", "grpc", "--set", "retry.base=1 s")
    assert (status, error) == (2, 'backwater: --set changes scenarios, and this is a client (got "retry.base=1 s")\n')
    status, _, error = run(capsys, "check", "good.toml", "--set", "client=gprc")
    assert (status, error.count("\n")) == (2, 1)
    assert 'did you mean "grpc"?' in error


def test_list_show_check_and_steps_tell(files, capsys):
    assert "thumbnails" in run(capsys, "list")[1]
    shown = run(capsys, "show", "thumbnails", "--set", "queue.capacity=7")[1]
    (files / "copy.toml").write_text(shown)
    assert bw.load(files / "copy.toml").queue.capacity == 7
    assert "G/G/8/208" in run(capsys, "check", "thumbnails")[1]
    assert "threshold: valid, 36 points" in run(capsys, "check", "threshold")[1]
    told = run(capsys, "steps", "thumbnails", "--set", "queue.capacity=0", "--set", "workers.count=1", "--first", "30")[
        1
    ]
    assert len(told.splitlines()) == 30
    assert "attempt 1: full -> 503, again in" in told


@pytest.mark.parametrize("name", MODELS)
def test_every_ready_made_model_can_be_shown_copied_and_checked(name, files, capsys):
    status, shown, _ = run(capsys, "show", name)
    assert status == 0
    (files / "copy.toml").write_text(shown)
    assert bw.load(files / "copy.toml") == bw.model(name)
    assert run(capsys, "check", name)[0] == 0


def test_run_prints_the_failures_first_and_json_alone(files, capsys):
    status, out, _ = run(capsys, "run", "good.toml")
    assert status == 0
    assert "0 % of attempts got a 503 and 0 % of jobs failed." in out.splitlines()[0]
    rows = json.loads(run(capsys, "run", "good.toml", "--json", "--out", "tables")[1])["summary"]
    assert {row["metric"]: row["estimate"] for row in rows}["arrival_rate"] == pytest.approx(0.3)
    assert (files / "tables" / "summary.csv").exists()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("[workers]", "[worker]"), 'scenario has no field "worker"; did you mean "workers"?'),
        (('"100 ms"', '"100 MB"'), 'workers.service must be a time such as "250 ms" or "1h30m"'),
        (('"100 ms"', "0.1"), "workers.service must be a time"),
        (('"100 ms"', '"-5 ms"'), "finite and not negative"),
        (('"100 ms"', '"nan s"'), "workers.service must be a time"),
        (('kind = "trace"', 'kind = "poisson"\nrate = "-3/s"'), "arrivals"),
        (('"when"', '"wen"'), 'arrivals.time must be a column of times.csv; did you mean "when"? (got "wen")'),
        (('"times.csv"', '"none.csv"'), "arrivals.file must be a CSV file that can be read: No such file or directory"),
        (('horizon = "10 s"', 'horizon = "10"'), "horizon must be a time"),
        (("replications = 2", "replications = 0"), "replications must be"),
        (("[workers]", "[workers"), "must be TOML"),
    ],
)
def test_a_wrong_file_is_one_clear_line_and_status_2(change, line, files, capsys):
    (files / "bad.toml").write_text(GOOD.replace(*change))
    status, out, err = run(capsys, "run", "bad.toml")
    assert (status, out) == (2, "")
    assert line in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ("0\n5\n3\n", "must not go back in time: times.csv, line 4"),
        ("0\nnan\n", "must hold finite numbers"),
        ("0\nsoon\n", "must hold numbers"),
        ("0\n1,2\n", "has 2 fields in line 3"),
        ("", "must hold a header line and at least one row"),
    ],
)
def test_a_wrong_trace_is_one_clear_line_and_status_2(rows, line, files, capsys):
    (files / "times.csv").write_text("when\n" + rows)
    status, _, err = run(capsys, "run", "good.toml")
    assert status == 2
    assert line in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["run", "thumbnail"], 'must be a ready-made model; did you mean "thumbnails"?'),
        (["run", "none.toml"], "a file must be one that can be read: No such file or directory"),
        (["run", "thumbnails", "--set", "queue.capacty=3"], 'queue has no field "capacty"; did you mean "capacity"?'),
        (["run", "thumbnails", "--set", "queue.capacity"], "--set must be PATH=VALUE"),
        (["run", "thumbnails", "--set", "workers.service.mean=60"], "workers.service must be a time"),
        (["run", "thumbnails", "--engine", "simpi"], 'must be an engine; did you mean "simpy"?'),
        (["run", "thumbnails", "--seed", "-1"], "seed must be greater than or equal to 0"),
        (["run", "thumbnails", "--horizon", "5"], "horizon must be a time"),
        (["run", "thumbnails", "--set", "queue.capacity=unbounded", "--set", "load=30", "--set",
          'client={}', "--horizon", "10 h"], "must bound the queue"),
        (["sweep", "thumbnails"], "--over must be given"),
        (["sweep", "thumbnails", "--over", "queue.capacity=1..9"], "must be PATH=LOW..HIGH:POINTS"),
        (["sweep", "treshold"], 'did you mean "threshold"'),
        (["report", "nowhere"], "must be a file of a sweep's results"),
        (["steps", "thumbnails", "--first", "0"], "--first must be at least 1"),
        (["run", "thumbnails", "--precision", "recovery_time=2 %"], "backwater stress tells it, bw.recovery sweeps it"),
        (["plan", "thumbnails", "--find", "workers.count=1..9", "--require", "recovery_time <= 9 s", "--minimize",
          "workers.count"], "--require must name a metric of one run, and this compares one with its twins"),
        (["plan", "thumbnails", "--find", "workers.count=1..9", "--require", "workflow_within(x) >= 9 %"],
         'workflow_within must be a time such as "250 ms" or "1h30m" (got "x")'),
        (["run", "thumbnails", "--precision", "served_within(2)=2 %"], "served_within must be a time such as"),
        (["sensitivity", "thumbnails", "--vary", "queue.capacity=5..9", "--metric", "recovery_time"],
         "metric must be a metric of one run"),
        (["plan", "thumbnails", "--confidence", "sure"], "--confidence must be a share between 0 and 1"),
        (["sensitivity", "thumbnails", "--confidence", "sure"], "--confidence must be a share between 0 and 1"),
        (["rare", "thumbnails", "--precision", "some"], "--precision must be a share between 0 and 1"),
        (["run", "thumbnails", "--replications", "2.5"], "valid integer"),
        (["run", "thumbnails", "--bogus"], "No such option: --bogus"),
        (["rum"], "No such command"),
        (["run"], "Missing argument"),
    ],
)  # fmt: skip
def test_wrong_words_are_one_clear_line_and_status_2(words, line, files, capsys, monkeypatch):
    # Before any work starts, and the first would be to compile the kernels.
    monkeypatch.setattr("backwater.engines.compiled.prepare", lambda: pytest.fail("compiled before it refused"))
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert line in err
    assert len(err.strip().splitlines()) == 1


def test_sweep_and_report_from_the_command_line(files, capsys):
    words = ["sweep", "thumbnails", "--over", "queue.capacity=1..100:3:log", "--horizon", "20 s", "--warmup", "0 s",
             "--replications", "2", "--out", "swept"]  # fmt: skip
    status, out, _ = run(capsys, *words)
    assert status == 0
    assert re.fullmatch(r"3 points, \d[\d,]* jobs, in swept. Next: backwater report swept\n", out)
    assert run(capsys, "report", "swept")[1] == "Report: swept/report.html\n"
    assert run(capsys, *words)[0] == 2  # holds points already


def test_the_command_has_help_and_no_traceback():
    told = subprocess.run(
        [sys.executable, "-m", "backwater.experiments.cli", "run", "--help"], capture_output=True, text=True
    )
    assert told.returncode == 0
    assert "--replications" in told.stdout
