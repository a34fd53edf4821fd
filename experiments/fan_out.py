"""Posts that fan out: when the first and when the last follower has one."""

from __future__ import annotations

import pandas as pd

from backwater.errors import check
from backwater.result import Result


def posts(result: Result) -> pd.DataFrame:
    """Every post of a run with recorded jobs: replication, source, arrived [s], messages, first, last [s].

    A post is what arrived together. ``first`` and ``last`` are from its arrival until the first and the last of its
    messages is served; posts of which one is not served are left out. Raises ScenarioError where jobs are not recorded.
    """
    recorded = "jobs" in result.run.record
    check(recorded, "run.record", list(result.run.record), 'must hold "jobs"')
    jobs = result.jobs.assign(done=result.jobs["outcome"] == "completed")
    together = jobs.groupby(["replication", "source", "arrived"], observed=True)
    found = together.agg(
        messages=("done", "size"), done=("done", "all"), first=("ended", "min"), last=("ended", "max")
    ).reset_index()  # fmt: skip
    found = found[found["done"]].drop(columns="done")
    return found.assign(first=found["first"] - found["arrived"], last=found["last"] - found["arrived"])
