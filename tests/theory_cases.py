"""The exact cases of theory.json as scenarios of ours, and their exact values as estimates of ours."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import chi2

import backwater as bw
from backwater.metrics import bin_edges
from backwater.outcome import BACKOFF, WAITING
from backwater.statistics import Estimate, histogram_share, ratio

FILE = Path(__file__).resolve().parents[2] / "shared" / "reference" / "theory.json"
MODELS = (
    "M/M/1", "M/M/c", "M/M/c/K", "ErlangB", "ErlangC", "M/G/1", "M/D/1", "M/D/c", "M/D/1/K", "M/PH/1/K", "D/M/c",
    "M/M/1-LIFO", "M/G/1-LIFO", "M/M/c/K-discipline", "M/G/1-prio-NP", "M/M/c-prio-NP", "M/M/c/K-retrial-geometric",
    "M/M/c/K-retrial-maxattempts", "M/M/c/K-spill-at-start", "M/M/c/K-spill-per-job", "M/M/c/K-timeout-zombie-retry",
    "M/M/c+M", "M/M/c+D", "MMPP2/M/c/K", "closed-loop M/M/c//N", "M/M/c/K-spill-global", "bernoulli-retry",
    "token-bucket-retry",
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
    "p_full_time_average": "the share of time in one state, which is no metric; what arrivals find is tested",
    "p_spilling": "the same", "p_empty": "the same",
    "p_wait_all_gt": "a quantile over served and abandoned together; its mean and those of the served are tested",
    "p_offered_wait_gt": "a wait that nobody has",
    "mean_time_empty_to_full": "a passage time; tested by itself", "mean_time_full_to_empty": "the same",
}  # fmt: skip


def cases() -> list[dict]:
    """The cases of these models; none where the file is not here."""
    return [case for case in _all() if case["model"] in MODELS and "metastable" not in case]


def _all() -> list[dict]:
    return json.loads(FILE.read_text("utf-8"))["cases"] if FILE.exists() else []


def passages() -> list[dict]:
    """The cases that state how long it takes from an empty room to a full one and back; none where no file is."""
    return [case for case in _all() if "mean_time_empty_to_full" in case["exact"]]


def drains() -> list[dict]:
    """The cases that state how long a backlog takes to go."""
    return [case for case in _all() if case["model"] == "drain-time"]


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
    table: dict = {"workers": {"count": p.get("c", 1)}, "queue": {}, "client": {}}
    if "failure_prob" in p:
        return _failing(table, p)
    if model.startswith("MMPP"):
        table["arrivals"] = {"kind": "mmpp", "rates": [p["lam1"], p["lam2"]], "sojourns": [1 / p["r12"], 1 / p["r21"]]}
        table["workers"]["service"] = service("exp", p["mu"])
    elif model.startswith("closed"):
        think = {"kind": "exponential", "mean": p["think_mean"]}
        table["arrivals"] = {"kind": "closed", "clients": p["N"], "think": think}
        table["workers"]["service"] = service("exp", p["mu"])
    elif "lam1" in p:
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
        factor = p["f"] if "f" in p else 1 / p["s"]
        at = "start" if at_start else "now" if model.endswith("global") else "arrival"
        table["queue"]["memory"] = {"slowdown": {"above": p["m"], "factor": factor, "at": at}}
    return bw.Scenario(**_retrying(table, p))


def _failing(table: dict, p: dict) -> bw.Scenario:
    """Calls one after the other, each of which fails by chance and is tried again at once."""
    table |= {"arrivals": {"kind": "periodic", "interval": 1.0}, "faults": [
        {"kind": "errors", "share": p["failure_prob"]}]}  # fmt: skip
    table["workers"]["service"] = 0.0
    most = p["max_retries"] + 1 if "max_retries" in p else "forever"
    table["client"]["retry"] = {"kind": "constant", "base": 0.0, "max_attempts": most}
    if "bucket_size" in p:  # a retry needs more than one token: they come in tenths, so 1.1
        table["client"]["retry_budget"] = {
            "kind": "token_bucket", "capacity": p["bucket_size"], "per_request": p["bucket_fill_per_call"],
            "cost": p["cost_per_retry"], "reserve": 0.1,
        }  # fmt: skip
    return bw.Scenario(**table)


def _retrying(table: dict, p: dict) -> dict:
    if p.get("H", 0) > 0:
        table["client"]["retry"] = {
            "kind": "constant", "base": 1 / p["nu"], "jitter": "exponential", "max_attempts": "forever",
            "retry_probability": p["H"],
        }  # fmt: skip
    if "tau" in p or p.get("patience"):
        patience = {"kind": "exponential", "mean": 1 / p["theta"]} if "theta" in p else p["tau"]
        table["client"] |= {"attempt_timeout": patience, "on_timeout": "cancel_waiting"}
        return table
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
    if "patience" in p:
        return 5 * p.get("tau", 1 / p.get("theta", 1.0)) + 2 / p["mu"]
    if "failure_prob" in p:
        return 1.0
    if "think_mean" in p:
        return p["think_mean"] + p["N"] / (p["c"] * p["mu"])
    scv = max(made.service_law(index).scv for index in range(len(made.jobs)))
    capacity, load = p["c"] / (made.work / made.rate), made.load
    relax = (1 + scv) / 2 / (capacity * max((1 - math.sqrt(load)) ** 2, 1e-9))
    relax = min(relax, p.get("K", math.inf) ** 2 / capacity) + p.get("K", 1) / capacity
    if "r12" in p:
        relax += 2 / p["r12"] + 2 / p["r21"]
    if "mean_time_empty_to_full" in case["exact"]:
        relax += 1 / sum(1 / case["exact"][f"mean_time_{way}"] for way in ("empty_to_full", "full_to_empty"))
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
    "mean_queue_len_class2": "queue_mean[class2]", "mean_arrival_rate": "arrival_rate",
    "success_within_tau": "success_ratio", "mean_queue_len_if_removed_at_tau": "queue_mean",
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


def _waits(result: bw.Result) -> Estimate:
    cells = result.cells()
    accepted = cells.count("accepted")
    return ratio(accepted - cells.bins(0)[:, 0], accepted, LEVEL)


def _waits_all(result: bw.Result) -> Estimate:
    cells = result.cells()
    return ratio(cells.area(WAITING), cells.count("accepted"), LEVEL)


# Where jobs leave the queue: who left is lost, and who waits is asked of all that came.
IMPATIENT: dict[str, Callable[[bw.Result], Estimate]] = {
    "loss_prob": lambda result: result.estimate("cancelled_ratio", LEVEL),
    "p_wait": _waits, "mean_wait_all": _waits_all,
}  # fmt: skip
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
            derived = DERIVED | IMPATIENT if "patience" in case["params"] else DERIVED
            found = derived[name](result) if name in derived else result.estimate(METRIC[name], LEVEL)
            out.append((name, exact, found))
    shares = ("p_", "loss", "utilisation", "success", "wasted")
    return [(name, exact, rare(found, times) if name.startswith(shares) else found) for name, exact, found in out]


def in_system(rows, replication: int, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """When the number of attempts in the system changes [s], and what it is from then on; ``rows`` of attempts."""
    rows = rows[(rows["replication"] == replication) & rows["accepted"].notna()]
    done = rows[rows["outcome"] != "unfinished"]["ended"].to_numpy()
    times = np.concatenate([rows["accepted"].to_numpy(), done])
    steps = np.concatenate([np.ones(len(rows)), -np.ones(len(done))])
    order = np.lexsort((-steps, times))
    return times[order], start + np.cumsum(steps[order])


def passage_rates(times: np.ndarray, counts: np.ndarray, full: int, end: float) -> dict[str, tuple[int, float]]:
    """How often the system went from empty to full and from full to empty, and for how long it was on the way [s]."""
    out = {"empty_to_full": [0, 0.0], "full_to_empty": [0, 0.0]}
    way, since = "empty_to_full", 0.0
    for at in np.flatnonzero((counts == full) | (counts == 0)):
        if counts[at] == (full if way == "empty_to_full" else 0):
            out[way][0] += 1
            out[way][1] += times[at] - since
            since, way = times[at], "full_to_empty" if way == "empty_to_full" else "empty_to_full"
    out[way][1] += end - since
    return {name: (events, total) for name, (events, total) in out.items()}
