"""The exact cases of theory.json as scenarios of ours, and their exact values as estimates of ours."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import chi2

import backwater as bw
from backwater.metrics import bin_edges
from backwater.outcome import BACKOFF
from backwater.statistics import Estimate, histogram_share, ratio

FILE = Path(__file__).resolve().parents[2] / "shared" / "reference" / "theory.json"
MODELS = (
    "M/M/1", "M/M/c", "M/M/c/K", "ErlangB", "ErlangC", "M/G/1", "M/D/1", "M/D/c", "M/D/1/K", "M/PH/1/K", "D/M/c",
    "M/M/1-LIFO", "M/G/1-LIFO", "M/M/c/K-discipline", "M/G/1-prio-NP", "M/M/c-prio-NP", "M/M/c/K-retrial-geometric",
    "M/M/c/K-retrial-maxattempts", "M/M/c/K-spill-at-start", "M/M/c/K-spill-per-job", "M/M/c/K-timeout-zombie-retry",
)  # fmt: skip
LEVEL = 0.9999
RARE = 30  # independent events below which a share gets the Poisson interval
# Values that are no metric of a simulation: constants of the method, other systems' values, inner states.
NOT_OURS = {
    "service_scv": "a parameter", "sigma": "the root of an equation", "ratio_second_moments": "compares two systems",
    "mean_wait_sq_fifo": "of another system", "truncation_orbit": "of the solver", "truncation": "of the solver",
    "truncated_tail": "of the solver", "orbit_p95": "a quantile of a gauge, which is no metric",
    "mean_orbit_by_stage": "a gauge by stage, which is no metric; its sum is tested",
    "mean_slow_servers": "rows do not tell which service was slowed; the waits, loss and utilization do",
    "p_spilled_of_accepted": "the same",
}  # fmt: skip


def cases() -> list[dict]:
    """The cases of these models; none where the file is not here."""
    if not FILE.exists():
        return []
    return [case for case in json.loads(FILE.read_text("utf-8"))["cases"] if case["model"] in MODELS]


def service(name: str, mu: float) -> dict:
    """A service law by the name that the cases use; the number is the squared coefficient of variation."""
    mean = f"{1 / mu!r} s"
    for prefix, kind in (("h2_cv", "hyperexponential"), ("lognormal_cv", "lognormal")):
        if name.startswith(prefix):
            return {"kind": kind, "mean": mean, "cv": math.sqrt(float(name.removeprefix(prefix)))}
    if name.startswith("erlang"):
        return {"kind": "erlang", "mean": mean, "k": int(name.removeprefix("erlang"))}
    return {"kind": "constant", "value": mean} if name == "det" else {"kind": "exponential", "mean": mean}


def scenario(case: dict) -> bw.Scenario:
    """The case as a scenario."""
    p, model = case["params"], case["model"]
    table: dict = {"workers": {"count": p["c"]}, "queue": {}, "client": {}}
    if "lam1" in p:
        table["arrivals"] = {"kind": "poisson", "rate": p["lam1"] + p["lam2"]}
        table["jobs"] = {
            f"class{i}": {"share": p[f"lam{i}"], "priority": i, "service": service(p["service"], p[f"mu{i}"])}
            for i in (1, 2)
        }
        table["queue"]["discipline"] = "priority"
    else:
        steady = model == "D/M/c"
        table["arrivals"] = (
            {"kind": "periodic", "interval": 1 / p["lam"]} if steady else {"kind": "poisson", "rate": p["lam"]}
        )
        name = "det" if model.startswith("M/D") else p.get("service", "exp")
        table["workers"]["service"] = service(name, p["mu"])
    if "K" in p:
        table["queue"]["capacity"] = p["K"] - p["c"]
    if "LIFO" in p.get("discipline", ""):
        table["queue"]["discipline"] = "lifo"
    if p.get("full") == "drop oldest":
        table["queue"]["overflow"] = "drop_oldest"
    if "spill" in model:
        at_start = model.endswith("start")
        factor = 1 / p["s"] if at_start else p["f"]
        table["queue"]["memory"] = {
            "slowdown": {"above": p["m"], "factor": factor, "at": "start" if at_start else "arrival"}
        }
    return bw.Scenario(**_retrying(table, p))


def _retrying(table: dict, p: dict) -> dict:
    if p.get("H", 0) > 0:
        table["client"]["retry"] = {
            "kind": "constant", "base": 1 / p["nu"], "jitter": "exponential", "max_attempts": "forever",
            "retry_probability": p["H"],
        }  # fmt: skip
    if "max_retries" in p:
        table["client"]["retry"] = {
            "base": p["backoff_base_mean"], "factor": p["backoff_factor"], "jitter": "exponential",
            "max_attempts": p["max_retries"] + 1,
        }  # fmt: skip
    if "theta" in p:
        table["client"]["attempt_timeout"] = {"kind": "exponential", "mean": f"{1 / p['theta']!r} s"}
        table["workers"]["demand"] = "attempt"
    return table


def relaxation(case: dict) -> float:
    """How long the system remembers, by rule [s].

    Of M/G/c about (1 + scv) / 2 / (c mu (1 - sqrt(rho))**2); with K places at most about K**2 / (c mu), and not before
    a full room has been served; a retrial orbit adds its mean pause.
    """
    p, made = case["params"], scenario(case)
    scv = max(made.service_law(index).scv for index in range(len(made.jobs)))
    capacity, load = p["c"] / (made.work / made.rate), made.load
    relax = (1 + scv) / 2 / (capacity * max((1 - math.sqrt(load)) ** 2, 1e-9))
    relax = min(relax, p.get("K", math.inf) ** 2 / capacity) + p.get("K", 1) / capacity
    pause = p.get("backoff_base_mean", 1 / p["nu"] if "nu" in p else 0.0)
    return relax + pause * p.get("backoff_factor", 1) ** p.get("max_retries", 0)


def run_of(case: dict, seed: int) -> bw.Run:
    """Runs long enough by rule: a warm-up of 8 relaxation times, then 80,000 arrivals or 120 relaxation times.

    A tenth of that where the rows are kept.
    """
    relax, rows = relaxation(case), ("attempts",) if needs_rows(case) else ()
    length = max(80_000 / scenario(case).rate, 120 * relax) / (10 if rows else 1)
    return bw.Run(warmup=8 * relax, horizon=8 * relax + length, seed=seed, replications=24, record=rows)


def needs_rows(case: dict) -> bool:
    """Whether some value is found in the rows of attempts only."""
    return bool({"p_first_attempt_rejected", "p_reject_by_attempt", "mean_wait_of_dropped"} & set(case["exact"]))


METRIC = {
    "mean_wait": "wait_mean", "mean_sojourn": "sojourn_mean", "utilisation": "utilization",
    "mean_queue_len": "queue_mean", "mean_in_system": "system_mean", "throughput": "throughput",
    "loss_prob": "failure_ratio", "goodput": "goodput", "attempts_per_job": "attempts_per_job",
    "p_attempt_rejected": "rejection_ratio", "success_prob": "success_ratio",
    "p_attempt_timeout": "timeout_ratio", "mean_orbit": "backoff_mean", "wait_p50": "wait_p50",
    "wait_p95": "wait_p95", "wait_p99": "wait_p99", "sojourn_p50": "sojourn_p50", "sojourn_p95": "sojourn_p95",
    "sojourn_p99": "sojourn_p99", "mean_wait_class1": "wait_mean[class1]",
    "mean_wait_class2": "wait_mean[class2]", "mean_sojourn_class1": "sojourn_mean[class1]",
    "mean_sojourn_class2": "sojourn_mean[class2]", "mean_queue_len_class1": "queue_mean[class1]",
    "mean_queue_len_class2": "queue_mean[class2]",
}  # fmt: skip


def beyond(result: bw.Result, latency: int, t: float) -> Estimate:
    """Share of a latency's values above ``t``."""
    bins = result.cells().bins(latency)
    within = np.array([histogram_share(part, bin_edges(), t) for part in bins])
    total = bins.sum(axis=1).astype(float)
    return ratio(total - within, total, LEVEL)


def rare(found: Estimate, times: float) -> Estimate:
    """The interval of a share, widened where too few independent events were seen for a t interval to hold.

    Rare events come in clusters about as long as the relaxation time; their count over ``times`` such times is Poisson.
    """
    if not 0 <= found.value <= 1 or min(found.value, 1 - found.value) * times >= RARE:
        return found
    seldom = min(found.value, 1 - found.value)
    low = chi2.ppf((1 - LEVEL) / 2, 2 * seldom * times) / 2 / times if seldom > 0 else 0.0
    high = chi2.ppf((1 + LEVEL) / 2, 2 * seldom * times + 2) / 2 / times
    low, high = (low, high) if found.value < 0.5 else (1 - high, 1 - low)
    return found._replace(low=min(low, found.low), high=max(high, found.high))


def squares(result: bw.Result) -> Estimate:
    """Mean square of the wait, from the histogram: the middle of a bin stands for its values (relative error 1e-5)."""
    bins, edges = result.cells().bins(0), bin_edges()
    middle = np.where(np.arange(len(edges) - 1) == 0, 0.0, (edges[:-1] + edges[1:]) / 2)
    return ratio(bins @ middle**2, bins.sum(axis=1).astype(float), LEVEL)


def rows_ratio(result: bw.Result, number: int) -> Estimate:
    """Share of the ``number``-th attempts that were rejected."""
    rows = result.attempts
    rows = rows[(rows["number"] == number) & (rows["sent"] >= result.run.warmup)]
    parts = rows.groupby("replication")["outcome"]
    rejected = parts.apply(lambda outcome: (outcome == "rejected").sum()).to_numpy(float)
    return ratio(rejected, parts.size().to_numpy(float), LEVEL)


def dropped_waits(result: bw.Result, outcomes: tuple[str, ...]) -> Estimate:
    """Mean time in the queue of attempts of these outcomes."""
    rows = result.attempts
    rows = rows[rows["outcome"].isin(outcomes) & (rows["ended"] >= result.run.warmup)]
    waits = (rows["taken"].fillna(rows["ended"]) - rows["accepted"]).groupby(rows["replication"])
    return ratio(waits.sum().to_numpy(), waits.size().to_numpy(float), LEVEL)


def delayed(result: bw.Result) -> Estimate:
    """Mean wait of those that wait at all."""
    cells = result.cells()
    return ratio(cells.total(0), cells.bins(0)[:, 1:].sum(axis=1).astype(float), LEVEL)


def _orbit_time(result: bw.Result) -> Estimate:
    cells = result.cells()
    return ratio(cells.area(BACKOFF), cells.count("arrived"), LEVEL)


def _wasted(result: bw.Result) -> Estimate:
    cells = result.cells()
    return ratio(cells.count("served") - cells.count("useful"), cells.count("served"), LEVEL)


DERIVED: dict[str, Callable[[bw.Result], Estimate]] = {
    "p_wait": lambda result: beyond(result, 0, 0.0),
    "mean_wait_sq": squares,
    "mean_wait_of_delayed": delayed,
    "mean_orbit_time_per_job": _orbit_time,
    "wasted_fraction_of_completions": _wasted,
    "p_first_attempt_rejected": lambda result: rows_ratio(result, 1),
    "mean_wait_of_dropped": lambda result: dropped_waits(result, ("dropped",)),
    "mean_wait_all": lambda result: dropped_waits(result, ("dropped", "completed")),
}


def comparisons(case: dict, result: bw.Result) -> list[tuple[str, float, Estimate]]:
    """(name, exact value, estimate) of everything that the case states."""
    run = result.run
    times = run.replications * (run.end - run.warmup) / relaxation(case)
    out: list[tuple[str, float, Estimate]] = []
    for name, exact in case["exact"].items():
        if name in NOT_OURS:
            continue
        if name.endswith("_gt"):
            latency = 0 if name == "p_wait_gt" else 1
            out += [(f"{name} {t}", value, beyond(result, latency, float(t))) for t, value in exact.items()]
        elif name == "p_reject_by_attempt":
            out += [(f"{name} {i}", value, rows_ratio(result, i)) for i, value in enumerate(exact, start=1)]
        else:
            out.append(
                (name, exact, DERIVED[name](result) if name in DERIVED else result.estimate(METRIC[name], LEVEL))
            )
    shares = ("p_", "loss", "utilisation", "success", "wasted")
    return [(name, exact, rare(found, times) if name.startswith(shares) else found) for name, exact, found in out]
