"""A small sparse Markov chain in continuous time: its states found from one of them, its long-run shares of time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_matrix, csr_matrix, diags_array
from scipy.sparse.csgraph import breadth_first_order
from scipy.sparse.linalg import LinearOperator, gmres, spilu, splu

from backwater.errors import BackwaterError
from backwater.experiments.theory.formulas import Array

States = npt.NDArray[np.int64]
#: From states, shape (n, columns): for each way to leave them the rate [1/s], shape (n,), 0 where it is none, and the
#: states to which it leads, shape (n, columns).
Moves = Callable[[States], Iterable[tuple[Array, States]]]
MOST = 200_000  # states
DIRECT = 10_000  # states up to which a chain of many dimensions is solved directly
FILLING = 4  # times fewer states than of others may be in a chain of many dimensions, whose factors fill up
BALANCED = 1e-10  # what may be left of a balance equation, against the highest rate
SYMMETRIC = {"diag_pivot_thresh": 0.0, "options": {"SymmetricMode": True}}  # its diagonal dominates


class Unsolved(BackwaterError):
    """A chain that is not solved here: too large, or too near to having no steady state. Says which."""


class Chain(NamedTuple):
    """states, shape (n, columns), and the share of time in each, shape (n,), in the long run [1]."""

    states: States
    shares: Array


def solve(bounds: list[int], moves: Moves, most: int = MOST) -> Chain:
    """The chain of all states that the first, (0, 0, ...), leads to; column i of a state is below ``bounds[i]``.

    Raises Unsolved beyond ``most`` states, and where no shares balance. Source of the method: Stewart, "Introduction to
    the Numerical Solution of Markov Chains", 1994, 2.3: one balance equation is left out, one share is set, the rest is
    solved by sparse LU.
    """
    cells = math.prod(bounds)
    if cells > most:
        raise Unsolved(f"its chain would have up to {cells:,} states, and at most {most:,} are solved here")
    states = np.stack(np.unravel_index(np.arange(cells), bounds, order="F"), axis=1)
    rates, leads, sources, astray = [], [], [], np.zeros(cells, dtype=bool)
    for rate, targets in moves(states):
        inside = ((targets >= 0) & (targets < bounds)).all(axis=1)
        astray |= (rate > 0) & ~inside
        some = np.flatnonzero((rate > 0) & inside)
        sources.append(some)
        leads.append(np.ravel_multi_index(targets[some].T, bounds, order="F"))
        rates.append(rate[some])
    entries = (np.concatenate(sources), np.concatenate(leads))
    rows = csr_matrix((np.concatenate(rates), entries), shape=(cells, cells))
    met = np.sort(breadth_first_order(rows, 0, return_predecessors=False))
    assert not astray[met].any()  # only states that nothing leads to may lead out of bounds
    dimensions = int(np.count_nonzero(states[met].max(axis=0)))
    if dimensions > 2 and len(met) > most // FILLING:
        many = f"its chain has {len(met):,} states in many dimensions"
        raise Unsolved(f"{many}, and at most {most // FILLING:,} are solved here")
    return Chain(states[met], _shares(csc_matrix(rows[met][:, met].T), dimensions))


def _shares(flows: csc_matrix, dimensions: int) -> Array:
    """The long-run shares where ``flows[i, j]`` leads from state j to state i [1/s]."""
    n = flows.shape[0]
    if n == 1:
        return np.ones(1)
    balance = csr_matrix(flows - diags_array(np.asarray(flows.sum(axis=0)).ravel()))
    if n > DIRECT and dimensions > 2:
        shares = _iterate(balance)
    else:
        rest, first = _without(balance, 0)
        shares = np.insert(splu(rest, "MMD_AT_PLUS_A", **SYMMETRIC).solve(first), 0, 1.0)
    kept = np.maximum(shares, 0.0)
    shares = kept / max(kept.sum(), np.finfo(float).tiny)
    wrong = max(np.abs(balance @ shares).max() / -balance.diagonal().min(), abs(shares.sum() - 1))
    if not wrong < BALANCED:
        raise Unsolved("its chain was not solved: it may have no steady state")
    return np.asarray(shares)


def _without(balance: csr_matrix, one: int) -> tuple[csc_matrix, Array]:
    """The equations of all states but one, where the share of that one is 1."""
    kept = np.delete(np.arange(balance.shape[0]), one)
    rows = balance[kept]
    return csc_matrix(rows[:, kept]), -rows[:, [one]].toarray().ravel()


def _iterate(balance: csr_matrix) -> Array:
    """Shares where factors would fill up, as they do in three dimensions and more.

    A rough solution says which state is the likeliest; against that one the others are then found to full precision.
    """
    n = balance.shape[0]
    one, shares = 0, np.ones(n)
    for precision in (1e-2, 1e-13):
        rest, right = _without(balance, one)
        rough = spilu(rest, drop_tol=0.003, fill_factor=10, permc_spec="NATURAL", **SYMMETRIC)
        solve_roughly = LinearOperator(rest.shape, rough.solve)
        guess = np.delete(shares, one)
        found, left = gmres(rest, right, guess, M=solve_roughly, rtol=precision, restart=60, maxiter=10)
        if left:
            raise Unsolved("its chain has many dimensions, and its solution was not found")
        shares = np.insert(found, one, 1.0)
        one = int(np.argmax(shares))
        shares /= shares[one]
    return shares
