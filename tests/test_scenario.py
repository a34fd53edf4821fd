"""TOML and Python are two doors to one object; strict keys, dotted paths, checks across fields."""

import json
import tomllib

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from scenarios import scenarios

import backwater as bw
from backwater.napkin import napkin

TOML = """
name = "Thumbnails behind an HTTP API"
arrivals = { kind = "bursts", base = "100/s", peak = "240/s", every = "60 s", length = "10 s" }

[client]
attempt_timeout = "30 s"
retry = { kind = "exponential", base = "100 ms", factor = 2, cap = "2 s", jitter = "full", max_attempts = 6 }

[queue]
capacity = 200
memory = { limit = "64 MiB", write = "2 ms", read = "8 ms", bandwidth = "200 MB/s" }

[jobs.thumbnail]
size = { kind = "lognormal", mean = "400 kB", cv = 1.0 }

[workers]
count = 8
service = { kind = "lognormal", mean = "60 ms", cv = 1.2 }
"""
PYTHON = bw.Scenario(
    name="Thumbnails behind an HTTP API",
    arrivals=bw.Bursts(base=100, peak=240, every="60 s", length="10 s"),
    client=bw.Client(attempt_timeout="30 s", retry=bw.Retry(base="100 ms", cap="2 s", max_attempts=6)),
    queue=bw.Queue(capacity=200, memory=bw.Memory(limit="64 MiB", write="2 ms", read="8 ms", bandwidth="200 MB/s")),
    jobs={"thumbnail": bw.Job(size=bw.LogNormal(mean="400 kB", cv=1.0))},
    workers=bw.Workers(count=8, service=bw.LogNormal(mean="60 ms", cv=1.2)),
)


def test_toml_and_python_say_the_same_and_it_both_rejects_and_spills():
    assert bw.loads(TOML) == PYTHON == bw.model("thumbnails")
    result = bw.simulate(PYTHON, horizon="2 min", replications=1)
    assert result["rejection_ratio"] > 0
    assert result["spill_ratio"] > 0


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(scenario=scenarios())
def test_what_was_dumped_loads_equal_and_fits_the_schema(scenario):
    assert bw.loads(bw.dumps(scenario)) == scenario
    assert bw.loads(bw.dumps(scenario)).digest == scenario.digest
    jsonschema.validate(json.loads(json.dumps(scenario.plain())), bw.json_schema())
    assert all(text for _, text in napkin(scenario))


def test_the_schema_takes_the_file_and_refuses_a_misspelt_key(tmp_path):
    jsonschema.validate(tomllib.loads(TOML), bw.json_schema())
    with pytest.raises(jsonschema.ValidationError, match="capacty"):
        jsonschema.validate(tomllib.loads(TOML.replace("capacity", "capacty")), bw.json_schema())
    bw.dump(PYTHON, tmp_path / "here.toml")
    assert bw.load(tmp_path / "here.toml") == PYTHON


def test_with_changes_a_copy_by_dotted_paths():
    changed = PYTHON.with_(
        {"queue.capacity": 7, "workers.service.mean": "1 s", "client.retry.jitter": "none", "load": 0.5}
    )
    assert (changed.queue.capacity, changed.workers.service.mean, changed.client.retry.jitter) == (7, 1.0, "none")
    assert changed.load == pytest.approx(0.5)
    assert PYTHON.queue.capacity == 200
    assert PYTHON.with_({"queue.capacity": "unbounded"}).queue.capacity is None
    assert PYTHON.with_({"queue.memory.slowdown": {"above": 5, "factor": 2}}).queue.memory.slowdown.factor == 2


def test_an_edited_scenario_equals_one_written_so_and_has_its_digest():
    assert (
        PYTHON.with_({"workers.count": 9}).digest
        == bw.loads(TOML.replace("count = 8", "count = 9")).digest
        != PYTHON.digest
    )


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("queue.capacty", 5, 'queue has no field "capacty"; did you mean "capacity"?'),
        ("que.capacity", 5, 'scenario has no field "que"; did you mean "queue"?'),
        ("queue.memory.limt", "1 MB", 'queue.memory has no field "limt"; did you mean "limit"?'),
        ("jobs.thumb.size", "1 MB", 'jobs.thumb must name one of jobs; did you mean "thumbnail"?'),
        ("workers.service.mean", "60 MB", "workers.service must be a time"),
        ("workers.service.cv", -1, "workers.service.cv"),
        ("arrivals.base", "-5/s", "arrivals.base must be a rate"),
        ("arrivals.base", float("nan"), "arrivals.base must be a rate"),
        ("faults.0.start", 3.0, "faults.0.start must be set as faults, the list as a whole, as a case can (got 3.0)"),
        ("queue.discipline", "edf2", "queue.discipline must be 'fifo', 'lifo', 'priority', 'edf', 'sjf'"),
        ("queue.capacity", 2.5, "queue.capacity must be a valid integer"),
        ("load", 0, "load must be a number above 0"),
        ("notes", {"workers.servic": "x"}, 'must be the path of a field; did you mean "workers.service"?'),
    ],
)
def test_a_wrong_change_is_refused_with_its_path(path, value, line):
    with pytest.raises(bw.ScenarioError) as refused:
        PYTHON.with_({path: value})
    assert line in str(refused.value)


def broken(**parts):
    table = PYTHON.plain()
    table.update(parts)
    return bw.Scenario(**table)


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ({"jobs": {"thumbnail": {}}}, "jobs.thumbnail.size is missing: queue.memory needs to know"),
        ({"workers": {"count": 2}}, "workers.service is missing, and jobs.thumbnail has no service"),
        ({"arrivals": {"web": {"kind": "poisson", "rate": 1, "jobs": "thumb"}}}, 'did you mean "thumbnail"'),
        ({"jobs": {"thumbnail": {"size": "1 MB"}, "b": {"size": "1 MB"}},
          "arrivals": {"kind": "poisson", "rate": 1, "jobs": "b"}}, "jobs.thumbnail must be sent by some source"),
        ({"workers": {"service": {"kind": "linear", "per": {"x": "1 s"}}}}, "needs arrivals of kind trace"),
        ({"queue": {"memory": {"write": "1 s"}}}, "queue.memory.limit must be given"),
        ({"queue": {"backlog": 12, "capacity": 3}}, "queue.backlog must fit"),
        ({"arrivals": {}}, "arrivals"),
        ({"jobs": {}}, "jobs must be 1 to"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_together_are_refused(parts, line):
    with pytest.raises(bw.ScenarioError) as refused:
        broken(**parts)
    assert line in str(refused.value)


def test_files_must_say_their_units():
    with pytest.raises(bw.ScenarioError, match="a number alone has no unit"):
        bw.loads(TOML.replace('"100/s"', "100"))
    assert bw.Bursts(base=100, peak=240, every=60, length=10) == PYTHON.arrivals


def test_a_digest_covers_the_contents_of_files(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("t\n0\n1\n")
    scenario = bw.Scenario(arrivals=bw.Trace(file=str(file), time="t"), workers=bw.Workers(service="1 s"))
    before = scenario.digest
    file.write_text("t\n0\n2\n")
    again = bw.Scenario(arrivals=bw.Trace(file=str(file), time="t"), workers=bw.Workers(service="1 s"))
    assert again.digest != before


def test_several_sources_have_their_own_jobs_clients_and_a_common_scale():
    scenario = bw.Scenario(
        arrivals={"web": bw.Poisson(rate=5, jobs="small"), "batch": bw.Periodic(interval="1 s", jobs="big",
                  client=bw.Client(total_timeout="5 s")), "scale": 2},
        jobs={"small": bw.Job(service="10 ms"), "big": bw.Job(service="200 ms")}, workers=bw.Workers(count=2),
    )  # fmt: skip
    assert scenario.rate == pytest.approx(12)
    assert scenario.work == pytest.approx(10 * 0.01 + 2 * 0.2)
    rows = bw.simulate(scenario, horizon="20 s", replications=1, record=("jobs",)).jobs
    assert set(zip(rows["source"], rows["class"], strict=True)) == {("web", "small"), ("batch", "big")}
    assert scenario.with_({"arrivals.web.rate": "7/s"}).rate == pytest.approx(16)


def test_the_napkin_says_what_can_be_known_before_a_run():
    told = dict(napkin(PYTHON))
    assert told["system"] == "G/G/8/208, fifo, with retries"
    assert told["load"].startswith("0.925 from first attempts")
    assert "1.8 in bursts" in told["load"]
    assert "64 MiB hold about 168 jobs" in told["memory"]
    assert "leaves the attempt where it is" in told["timeouts"]
    mm1 = bw.Scenario(arrivals=bw.Poisson(rate=1), workers=bw.Workers(service=bw.Exponential(mean="500 ms")))
    assert dict(napkin(mm1))["system"] == "M/M/1, fifo"
