"""Requests to a large language model: a few GPU replicas, long and uneven service, impatient clients.

The service time is an assumption, 0.05 s + 0.25 ms per prompt token + 25 ms per generated token, at the mean token
counts of a recorded code-completion service (2,048 and 28). With ``trace``, the recorded requests themselves arrive.
Source of the token counts: Azure Public Dataset, "Azure LLM inference trace 2023", CC-BY 4.0; Patel et al., "Splitwise:
Efficient generative LLM inference using phase splitting", ISCA 2024.
"""

from __future__ import annotations

from backwater.components.arrivals import Bursts
from backwater.components.client import Client, Retry
from backwater.components.queue import Queue
from backwater.components.trace import Trace
from backwater.components.workers import Workers
from backwater.distributions import Linear, LogNormal
from backwater.run import Run
from backwater.scenario import Scenario

RUN = Run(horizon="1 h", warmup="5 min", replications=10)


def llm_inference(capacity: int | None = 16, workers: int = 6, trace: str | None = None) -> Scenario:
    """LLM inference requests.

    capacity  requests that may wait; None for no bound
    workers   GPU replicas, each serving one request at a time
    trace     CSV file with the columns TIMESTAMP, ContextTokens and GeneratedTokens, whose requests arrive
    """
    bursts = Bursts(base="2/s", peak="8/s", every="5 min", length="30 s")
    recorded = None if trace is None else Trace(
        file=trace, time="TIMESTAMP", columns=("ContextTokens", "GeneratedTokens")
    )  # fmt: skip
    by_tokens = Linear(constant="50 ms", per={"ContextTokens": "250 us", "GeneratedTokens": "25 ms"})
    return Scenario(
        name="LLM inference requests",
        arrivals=recorded or bursts,
        client=Client(
            attempt_timeout="60 s",
            retry=Retry(base="1 s", cap="20 s", max_attempts=4),
        ),
        queue=Queue(capacity=capacity),
        workers=Workers(count=workers, service=by_tokens if trace else LogNormal(mean="1.26 s", cv=0.8)),
    )
