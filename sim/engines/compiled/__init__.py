"""The compiled engine: one event loop in Numba over flat arrays, with the same answers as the reference."""

from backwater.engines.compiled.system import LIVE_JOBS, is_ready, prepare, run

__all__ = ["LIVE_JOBS", "is_ready", "prepare", "run"]
