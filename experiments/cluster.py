"""Points on a Dask cluster: shipped as plain data, taken back as they end; what a dead worker had is run again."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from backwater.errors import BackwaterError, ScenarioError, check
from backwater.jit import source_digest
from backwater.simulation import versions

if TYPE_CHECKING:
    from distributed import Client, Future

PATIENCE = 10.0  # for a scheduler to answer, and for its first worker [s]
AHEAD = 4  # items per thread of the cluster that are sent before they are needed


class ClusterError(BackwaterError):
    """A cluster that has been lost, or whose workers die of what they are given."""


def on_cluster(address: str, work: Callable[..., Any], items: Iterable[tuple[Any, tuple[Any, ...]]]) -> Iterator[Any]:
    """``(item, work(*its arguments))`` for all (item, arguments), as they end.

    A worker that dies is survived: the scheduler gives what it had to another one. The workers' code and libraries must
    be ours, or numbers would depend on who ran what. Raises ScenarioError before any work where the cluster cannot be
    reached, has no worker, or has other code; ClusterError where it is lost.
    """
    client = _connected(address)
    try:
        _check_same(client)
        with _losses(address):
            yield from _all(client, work, iter(items))
    finally:
        client.close(timeout=5)


def _all(client: Client, work: Callable[..., Any], left: Iterator[tuple[Any, tuple[Any, ...]]]) -> Iterator[Any]:
    from distributed import as_completed

    running: dict[Any, tuple[Any, Future[Any]]] = {}
    batch, number = uuid.uuid4().hex, 0
    ended = as_completed([], client.loop, with_results=True, raise_errors=False)
    try:
        while True:
            wanted = max(AHEAD * sum(client.nthreads().values()), 1)  # workers come and go
            for item, arguments in islice(left, max(wanted - len(running), 0)):
                future = client.submit(_there, source_digest(), work, arguments, key=f"backwater-{batch}-{number}")
                running[future.key], number = (item, future), number + 1
                ended.add(future)
            if not running:
                return
            done, result = next(ended)
            item, _ = running.pop(done.key)
            yield item, result if done.status == "finished" else done.result()
    finally:
        client.cancel([future for _, future in running.values()])


def _there(code: str, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """On a worker: do it, if the code here is the one that asks; workers that come late are not seen beforehand."""
    check(source_digest() == code, "--cluster", source_digest()[:16], f"must run the code {code[:16]} on every worker")
    return work(*arguments)


def _connected(address: str) -> Client:
    try:
        from distributed import Client
    except ImportError:
        must = "needs Dask, which is not installed here: pip install 'backwater[cluster]'"
        raise ScenarioError("--cluster", must, shown=False) from None
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TimeoutError):
        must = (
            f"must be the address of a Dask scheduler that answers within {PATIENCE:g} s, such as tcp://10.0.0.1:8786"
        )
        raise ScenarioError("--cluster", must, address) from None
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        client.close(timeout=5)
        raise ScenarioError("--cluster", f"must have a worker within {PATIENCE:g} s", address) from None
    return client


def said() -> dict[str, str]:
    """What decides the numbers, where this is asked: the code and its libraries."""
    return {"code": source_digest()[:16], **versions()}


def _check_same(client: Client) -> None:
    """Refuse a cluster of which a worker would compute other numbers."""
    here = said()
    try:
        workers = client.run(said)
    except ImportError as error:
        raise ScenarioError("--cluster", f"must have backwater on every worker: {error}", shown=False) from None
    for worker, there in workers.items():
        for name, version in here.items():
            must = f"must run the same {name} on every worker as here, {version}; {worker} runs another one"
            check(there[name] == version, "--cluster", there[name], must)


@contextmanager
def _losses(address: str) -> Iterator[None]:
    """Within it, what befalls a cluster is one clear line."""
    from distributed import CancelledError, KilledWorker
    from distributed.comm.core import CommClosedError

    try:
        yield
    except KilledWorker as error:
        died = f"{error.allowed_failures + 1} workers died of the same point"
        raise ClusterError(f"the cluster at {address}: {died}; what is finished is kept") from None
    except (CancelledError, CommClosedError) as error:
        raise ClusterError(f"the cluster at {address} was lost ({error}); what is finished is kept") from None
