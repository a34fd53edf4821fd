"""The reference engine: SimPy processes that tell their own stories, and that a user can extend.

``System(env, scenario)`` puts a whole scenario into an ordinary ``simpy.Environment``, beside processes of one's own;
``Producer``, ``Client``, ``BoundedQueue``, ``WorkerPool`` and ``Disk`` are its parts.
"""

from backwater.engines.reference.chance import Chance
from backwater.engines.reference.client import Client
from backwater.engines.reference.disk import Disk
from backwater.engines.reference.jobs import Attempt, LiveJob
from backwater.engines.reference.ledger import Ledger
from backwater.engines.reference.producer import Jobs, Producer
from backwater.engines.reference.queue import BoundedQueue
from backwater.engines.reference.system import LIVE_JOBS, System, run
from backwater.engines.reference.workers import WorkerPool

__all__ = [
    "LIVE_JOBS", "Attempt", "BoundedQueue", "Chance", "Client", "Disk", "Jobs", "Ledger", "LiveJob", "Producer",
    "System", "WorkerPool", "run",
]  # fmt: skip
