"""What a ready-made system does with jobs that come at given times, delivery by delivery, on either engine."""

import pytest

import backwater as bw

on_both_engines = pytest.mark.parametrize("engine", ["simpy", "compiled"])
COLUMNS = "job delivery delivered started ended outcome"


def come(tmp_path, times, services=None) -> bw.Trace:
    """Jobs at these times [s], the first of which is 0; each with its own service time, where these are given."""
    file = tmp_path / "jobs.csv"
    lines = zip(times, services or times, strict=True)
    file.write_text("t,s\n" + "".join(f"{t},{s}\n" for t, s in lines))
    return bw.Trace(file=str(file), time="t", columns=("s",))


ITS_OWN = bw.Linear(constant="0 s", per={"s": "1 s"})  # each job its own service time


def simulate(name, engine, *, horizon="200 s", **work) -> bw.Result:
    """A ready-made system without latencies of its own."""
    scenario = bw.model(name, **work).with_({"broker.publish_delay": None, "broker.delivery_delay": None})
    return bw.simulate(scenario, horizon=horizon, replications=1, engine=engine, record=("attempts", "jobs"))


def rows(result, columns=COLUMNS) -> list[tuple]:
    """A row per delivery, in order of source, job and delivery; None where there is no value."""
    table = result.attempts.sort_values(["source", "job", "number", "delivery"])[columns.split()]
    return [tuple(None if v != v else v for v in row) for row in table.itertuples(index=False, name=None)]


def timetable(name, engine, **work) -> list[tuple]:
    """The rows of ``rows`` of a ready-made system."""
    return rows(simulate(name, engine, **work))
