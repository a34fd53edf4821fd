"""Random workflows: what the first class of a scenario leads to, as deep as it may go."""

from hypothesis import strategies as st

import backwater as bw
from backwater.components.jobs import Job

COUNTS = [1, 2, 3, {"kind": "uniform", "low": 0, "high": 3}, {"kind": "exponential", "mean": 1.2}]


@st.composite
def leading(draw, scenarios, always=False) -> bw.Scenario:
    """A scenario of which some jobs lead to others; one time in four unless ``always``."""
    scenario = draw(scenarios)
    if not always and draw(st.integers(0, 3)) > 0:
        return scenario

    def then(send, *joins) -> dict:
        join = draw(st.sampled_from([None, *joins]))
        every = draw(st.sampled_from(["0 s", "500 ms", "700 ms"])) if join is not None else "0 s"
        return {"send": {name: draw(st.sampled_from(COUNTS)) for name in send}, "join": join, "join_every": every}

    first, like = next(iter(scenario.jobs.items()))
    plain = like.model_copy(update={"then": None})
    new = {
        first: like.model_copy(update={"then": Job(then=then(draw(st.sampled_from([["x"], ["x", "y"]])), "z")).then}),
        "x": plain.model_copy(update={"then": Job(then=then(["y"], "z", "y")).then if draw(st.booleans()) else None}),
        "y": plain, "z": plain,
    }  # fmt: skip
    named = {name for job in new.values() if job.then is not None for name in job.then.names}
    jobs = {**scenario.jobs, **{name: job for name, job in new.items() if name == first or name in named}}
    return bw.Scenario(**{name: getattr(scenario, name) for name in bw.Scenario.model_fields} | {"jobs": jobs})
