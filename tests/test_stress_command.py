"""``backwater stress``: its words, its page, its numbers, and nothing lost when it is killed."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from test_cli import run

import backwater as bw
from backwater.experiments import stress_report
from backwater.experiments.recovery import Lab, Plan, Trial, struck
from backwater.experiments.store import Store

OUTAGE = bw.Fault(kind="workers_down", start=10, duration=10)
PLAN = Plan(OUTAGE, observe=120, replications=5)
STORM = bw.model("overload")  # load 0.8, one retry at once after 1 s
CALM = bw.Scenario(
    name="M/M/1",
    arrivals=bw.Poisson(rate="80/s"),
    workers=bw.Workers(service=bw.Exponential(mean="10 ms")),
)


class TestKept:
    """What a stopped stress has finished is not run again."""

    WORDS = ("stress", "overload", "--map", "--over", "load=0.3..0.9:6", "--over", "duration=0.5s..3s:6",
             "--observe", "60s", "--replications", "2")  # fmt: skip

    def test_killed_in_the_middle_it_resumes_to_the_same_numbers(self, tmp_path, capsys, monkeypatch):
        monkeypatch.chdir(tmp_path)
        out = tmp_path / "killed"
        words = [sys.executable, "-m", "backwater.experiments.cli", *self.WORDS, "--out", str(out)]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        for _ in range(2400):
            if Store(out).count() >= 6:
                break
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kept = set(Store(out).points())
        assert 6 <= len(kept) < 36
        status, _, err = run(capsys, *self.WORDS, "--out", str(out))
        assert (status, len(err.strip().splitlines())) == (2, 1)
        assert f"holds {len(kept)} finished points: use --resume" in err
        assert run(capsys, *self.WORDS, "--out", str(out), "--resume")[0] == 0
        assert kept < set(Store(out).points())
        assert run(capsys, *self.WORDS, "--out", "whole")[0] == 0
        one, two = (json.loads((tmp_path / name / "stress.json").read_text()) for name in ("killed", "whole"))
        assert one.pop("command") != two.pop("command")
        assert one == two

    def test_finished_sections_are_taken_up_without_a_run(self, tmp_path, monkeypatch):
        test = stress_report.Stress(STORM, PLAN._replace(observe=40.0, replications=2), stress_report.PARTS,
                                    load=np.array([0.4, 0.9]), size=np.array([0.5, 3.0]))  # fmt: skip
        first = [section.numbers for section in test.sections(Lab(Store(tmp_path)))]
        monkeypatch.setattr(Lab, "watched", None)
        monkeypatch.setattr(Lab, "_done", lambda *_: iter(()))
        monkeypatch.setattr(Lab, "_twins_of", lambda *_: [])
        again = [section.numbers for section in test.sections(Lab(Store(tmp_path)))]
        assert stress_report.finite(first) == stress_report.finite(again)

    def test_another_observation_is_another_trial(self, tmp_path):
        lab, short = Lab(Store(tmp_path)), PLAN._replace(observe=20.0, replications=1)
        for plan in (short, short, short._replace(observe=21.0), short._replace(seed=2)):
            lab.judged([Trial(struck(CALM), plan)])
        assert len(lab.store.points()) == 3


class TestCommand:
    """``backwater stress``."""

    def test_all_sections_are_in_the_page_and_in_the_numbers(self, tmp_path, capsys, monkeypatch):
        monkeypatch.chdir(tmp_path)
        words = ("stress", "overload", "--map", "--ramp", "--stuck", "--phases", "--over", "load=0.3..0.9:3", "--over",
                 "duration=500ms..3s:3:log", "--observe", "80 s", "--replications", "2", "--out", "out")  # fmt: skip
        status, out, err = run(capsys, *words, "--json")
        assert (status, err) == (0, "")
        numbers = json.loads(out)
        assert numbers == json.loads((tmp_path / "out" / "stress.json").read_text())
        assert numbers["bound"] == {"load": 0.5, "words": "at most 2 attempts per job", "sharp": True}
        assert numbers["trigger"]["recovery_times_s"] == [None, None]
        assert numbers["trigger"]["share_recovered"] == 0
        assert numbers["map"]["sizes"] == pytest.approx([0.5, 1.5**0.5, 3])
        assert numbers["map"]["state"][2] == ["recovers", "never", "never"]
        assert numbers["map"]["boundary"][0] is None
        assert len(numbers["ramp"]["goodput"]) == 5
        assert 0 < numbers["stuck"]["load"] < 0.5
        assert 50 < numbers["phases"]["tip"] < 150
        page = (tmp_path / "out" / "report.html").read_text()
        assert page.count("<img") == 5
        assert "below a load of 0.5 every trigger passes in the end; above it, a large enough one is for good" in page
        assert "backwater stress overload --map" in page
        assert {path.stem for path in (tmp_path / "out").glob("*.png")} == {"trigger", *stress_report.PARTS}
        status, out, _ = run(capsys, *words, "--resume")
        assert (status, len(out.splitlines())) == (0, 6)
        assert "the outage outlives its cause" in out

    def test_the_trigger_alone_of_a_file_with_another_fault(self, tmp_path, capsys, monkeypatch):
        monkeypatch.chdir(tmp_path)
        bw.dump(CALM.with_({"arrivals.scale": 0.5}), "calm.toml")
        words = ("stress", "calm.toml", "--fault", 'workers_slow factor=3 start=5s duration="5 s"', "--observe", "50 s")
        status, out, _ = run(capsys, *words, "--seed", "0", "--replications", "2")
        assert status == 0
        assert 'After "workers slow" (factor 3) for 5 s at a load of 0.4, the system recovers in every run' in out
        assert json.loads((tmp_path / "results" / "stress-calm" / "stress.json").read_text())["seed"] == 0

    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (["overlaod"], 'must be a ready-made model; did you mean "overload"?'),
            (["thumbnails"], "--fault is missing, such as"),
            (["overload", "--set", "queue.capacty=3"], 'did you mean "capacity"?'),
            (["overload", "--fault", "workers_down start=60s"], "--fault must have a duration: a trigger ends"),
            (["overload", "--fault", "workers_dwn start=60s duration=1s"], "--fault.kind must be"),
            (["overload", "--fault", "workers_down start=60 duration=1s"], "--fault.start must be a time"),
            (["overload", "--fault", "workers_down begin=60s duration=1s"], 'no field "begin"'),
            (["overload", "--fault", "workers_down 10s"], "--fault must be KIND NAME=VALUE ..., such as"),
            (["overload", "--fault", ""], "--fault must be KIND NAME=VALUE ..., such as"),
            (["overload", "--fault", 'load factor="3'], "--fault must be KIND NAME=VALUE ..., such as"),
            (["overload", "--fault", "load start=1s duration=1s"], "--fault.factor must be given for load"),
            (["overload", "--fault", "workers_down duration=1s"], "--fault must start after 0 s"),
            (["overload", "--fault", "workers_down start=1s duration=0s"], "--fault.duration must be above 0"),
            (["overload", "--observe", "0 s"], '--observe must be above 0 (got "0 s")'),
            (["overload", "--observe", "10"], "--observe must be a time"),
            (["overload", "--replications", "0"], "replications must be greater than or equal to 1"),
            (["overload", "--seed", "-1"], "seed must be greater than or equal to 0"),
            (["overload", "--parallel", "0"], "--parallel must be at least 1"),
            (["overload", "--map", "--over", "load=0.9..0.3:3"], "must go up from above 0, in 2 points or more"),
            (["overload", "--map", "--over", "load=0.3..0.9:1"], "must go up from above 0, in 2 points or more"),
            (["overload", "--map", "--over", "load=0.3..x:2"], "--over load must be numbers"),
            (["overload", "--map", "--over", "load=0.3,0.9"], "--over load must be LOW..HIGH:POINTS[:log]"),
            (["overload", "--map", "--over", "load=0.3..0.9"], "must be PATH=LOW..HIGH:POINTS[:log]"),
            (["overload", "--map", "--over", "duration=1..9:3"], "--over duration must be a time"),
            (["overload", "--map", "--over", "factor=2..9:3"], "factor has no meaning for workers_down"),
            (["overload", "--map", "--over", "share=0.1..1.5:3"], "share must be a share between 0 and 1"),
            (["overload", "--map", "--over", "lod=0.3..0.9:3"], '--over must be a load or the size of a trigger; did'),
            (["overload", "--map", "--over", "duration=1s..2s:2", "--over", "share=0.1..0.5:2"], "only once"),
            (["overload", "--ramp", "--over", "load=0.1..1:31"], "must have 2 to 30 points for a ramp"),
            (["overload", "--over", "load=0.1..1:3"], "--over load needs --map or --ramp"),
            (["overload", "--over", "duration=1s..2s:3"], "--over duration needs --map or --phases"),
            (["trace.toml", "--ramp", *["--fault", "workers_down start=1s duration=1s"]], "must not be a trace"),
            (["cron.toml", "--ramp", *["--fault", "workers_down start=1s duration=1s"]], "must not be a trace or cron"),
            (["overload", "--out", "file"], "--out must be a folder that can be written"),
            (["overload", "--maps"], "No such option: --maps"),
        ],
    )  # fmt: skip
    def test_wrong_words_are_one_clear_line_and_status_2(self, words, line, tmp_path, capsys, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(Lab, "_done", None)  # whatever is refused, is refused before any work
        (tmp_path / "file").write_text("")
        (tmp_path / "times.csv").write_text("when\n0\n1\n")
        trace = '[arrivals]\nkind = "trace"\nfile = "times.csv"\ntime = "when"\n[workers]\nservice = "10 ms"\n'
        (tmp_path / "trace.toml").write_text(trace)
        cron = 'arrivals = { kind = "cron", expression = "* * * * *" }\nworkers = { service = "10 ms" }\n'
        (tmp_path / "cron.toml").write_text(cron)
        status, out, err = run(capsys, "stress", *words)
        assert (status, out) == (2, "")
        assert line in err
        assert len(err.strip().splitlines()) == 1
        assert not (tmp_path / "results").exists()


class TestTheory:
    """Where theory has an answer it stands beside the system without its trigger."""

    def test_it_is_drawn_over_time_and_along_the_ramp(self):
        asked = stress_report.Stress(CALM, PLAN._replace(observe=40.0, replications=2), ("ramp",),
                                     load=np.array([0.3, 0.6, 1.3]))  # fmt: skip
        trigger, ramp = asked.sections(Lab())
        drawn = [[line.get_ydata() for line in axis.lines if line.get_zorder() == 3] for axis in trigger.figure.axes]
        assert [each[0].tolist() for each in drawn] == [pytest.approx([80, 80]), pytest.approx([3.2, 3.2])]  # M/M/1
        queue = next(line for line in ramp.figure.axes[1].lines if line.get_zorder() == 3)
        assert queue.get_ydata()[:2] == pytest.approx([0.09 / 0.7, 0.36 / 0.4])
        assert np.isnan(queue.get_ydata()[2])  # it has no steady state there
        assert trigger.note == ""

    def test_what_was_left_out_is_said(self):
        (section,) = stress_report.Stress(STORM, PLAN._replace(observe=30.0, replications=2)).sections(Lab())
        assert section.note == " Theory of a simplification: clients that never retry."
