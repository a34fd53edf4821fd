"""The numbers of ready-made clients, as files hold them; ``backwater.models.clients`` says what each is and its source.

They stand here and not there because a scenario's file may name one, and what reads it knows no models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backwater.errors import check, nearest

Table = dict[str, Any]
FOREVER = {"max_attempts": "forever"}

_AWS_QUOTA = {"kind": "token_bucket", "capacity": 500, "per_success": 1, "refund": True}
_AWS_OLD = {**_AWS_QUOTA, "cost": 5, "timeout_cost": 10}
_AWS_2026 = {"base": "50 ms", "cap": "20 s", "max_attempts": 3}
_AWS_HINT = {"beyond": "5 s"}
_POLLY = {"max_attempts": 4, "base": "2 s"}
_FINAGLE = {"kind": "ratio", "share": 0.2, "min_rate": "10/s", "window": "10 s"}
_AT_ONCE = {"kind": "constant", "base": "0 s", "jitter": "none"}
_ENVOY = {"base": "25 ms", "step": "25 ms", "cap": "250 ms", "max_attempts": 2}
_SRE = {"retry": {"base": "100 ms", "cap": "10 s", "max_attempts": 3}, "retry_budget": {"kind": "ratio", "share": 0.1}}

PRESETS: dict[str, Table] = {
    "aws_legacy": {"retry": {"base": "1 s", "max_attempts": 5}, "honours_retry_after": False},
    "aws_legacy_dynamodb": {
        "retry": {"base": "50 ms", "jitter": "none", "max_attempts": 10}, "honours_retry_after": False,
    },
    "aws_standard": {
        "retry": {"base": "1 s", "cap": "20 s", "max_attempts": 3}, "retry_budget": _AWS_OLD,
        "honours_retry_after": False,
    },
    "aws_adaptive": {
        "retry": {"base": "1 s", "cap": "20 s", "max_attempts": 3}, "retry_budget": _AWS_OLD, "rate_limiter": {},
        "honours_retry_after": False,
    },
    "aws_standard_js": {
        "retry": {"base": "100 ms", "cap": "20 s", "max_attempts": 3}, "retry_budget": _AWS_OLD,
    },
    "aws_standard_2026": {
        "retry": _AWS_2026, "retry_budget": {**_AWS_QUOTA, "cost": 14}, "honours_retry_after": _AWS_HINT,
    },
    "aws_throttling_2026": {
        "retry": {**_AWS_2026, "rejected_base": "1 s"},
        "retry_budget": {**_AWS_QUOTA, "cost": 14, "rejection_cost": 5}, "honours_retry_after": _AWS_HINT,
    },
    "grpc": {
        "retry": {"base": "100 ms", "cap": "1 s", "jitter": 0.2, "max_attempts": 4}, "retry_budget": {"kind": "grpc"},
        "honours_retry_after": {"exactly": True, "resets": True},
    },
    "google": {
        "retry": {"base": "1 s", "cap": "60 s", **FOREVER}, "total_timeout": "120 s", "honours_retry_after": False,
    },
    "google_pubsub": {
        "retry": {"base": "100 ms", "factor": 4.0, "cap": "60 s", **FOREVER}, "total_timeout": "600 s",
        "honours_retry_after": False,
    },
    "envoy": {
        "proxy": {"retry": _ENVOY, "retry_budget": {"kind": "concurrent", "most": 3}},
        "total_timeout": "15 s", "honours_retry_after": False,
    },
    "envoy_budget": {
        "proxy": {"retry": _ENVOY, "retry_budget": {"kind": "concurrent", "most": 3, "share": 0.2}},
        "total_timeout": "15 s", "honours_retry_after": False,
    },
    "linkerd": {
        "proxy": {"retry": {**_AT_ONCE, **FOREVER}, "retry_budget": _FINAGLE}, "honours_retry_after": False,
    },
    "finagle": {"retry": {**_AT_ONCE, **FOREVER}, "retry_budget": _FINAGLE, "honours_retry_after": False},
    "urllib3": {
        "retry": {"base": "100 ms", "first": "0 s", "cap": "120 s", "jitter": "none", "max_attempts": 11},
        "honours_retry_after": {"exactly": True, "most": "21600 s", "least": "1 us"},
    },
    "tenacity_exponential": {
        "retry": {"base": "1 s", "floor": "4 s", "cap": "10 s", "jitter": "none", **FOREVER},
        "honours_retry_after": False,
    },
    "tenacity_random_exponential": {"retry": {"base": "1 s", "cap": "60 s", **FOREVER}, "honours_retry_after": False},
    "tenacity_exponential_jitter": {
        "retry": {"base": "1 s", "cap": "60 s", "jitter": "1 s", **FOREVER}, "honours_retry_after": False,
    },
    "polly_constant": {"retry": {"kind": "constant", "jitter": 0.25, **_POLLY}, "honours_retry_after": False},
    "polly_linear": {"retry": {"kind": "linear", "jitter": 0.25, **_POLLY}, "honours_retry_after": False},
    "polly_exponential": {"retry": {"kind": "decorrelated_v2", **_POLLY}, "honours_retry_after": False},
    "dotnet_resilience": {
        "attempt_timeout": "10 s", "total_timeout": "30 s",
        "retry": {"kind": "decorrelated_v2", **_POLLY}, "honours_retry_after": {"exactly": True},
        "breaker": {"share": 0.1, "min_attempts": 100, "window": "30 s", "open_for": "5 s"},
    },
    "celery_task": {
        "retry": {"kind": "constant", "base": "180 s", "jitter": "none", "max_attempts": 4},
        "honours_retry_after": False,
    },
    "celery_publish": {
        "retry": {"kind": "linear", "base": "0 s", "step": "200 ms", "cap": "1 s", "jitter": "none", "max_attempts": 4},
        "honours_retry_after": False,
    },
    "sre": _SRE,
    "sre_throttled": {**_SRE, "throttle": {"k": 2.0, "window": "120 s"}},
    "brooker": {
        "retry": {"base": "100 ms", "cap": "10 s", "max_attempts": 4},
        "retry_budget": {"kind": "token_bucket", "capacity": 10, "per_success": 0.1, "cost": 1},
    },
}  # fmt: skip


def filled(given: Any) -> Any:
    """A client as somebody wrote it, with what its ready-made one says where nothing else is said.

    A table within it is filled in too, unless it is of another kind.
    """
    if isinstance(given, str):
        given = {"preset": given}
        check(given["preset"] in PRESETS, "<client>", given["preset"], _must(given["preset"]))
    if not isinstance(given, Mapping) or "preset" not in given:
        return given
    name = given["preset"]
    check(isinstance(name, str) and name in PRESETS, "preset", name, _must(str(name)))
    return _over(PRESETS[name], {key: value for key, value in given.items() if key != "preset"})


def _must(word: str) -> str:
    return f"must be the name of a ready-made client{nearest(word, PRESETS)}"


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> Table:
    out = {**below, **above}
    for name in below.keys() & above.keys():
        under, over = below[name], above[name]
        if isinstance(under, dict) and isinstance(over, Mapping) and over.get("kind") in (None, under.get("kind")):
            out[name] = _over(under, over)
    return out
