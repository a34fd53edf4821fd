"""A small sparse Markov chain in continuous time: its states found from one of them, its long-run shares of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_matrix, diags_array
from scipy.sparse.linalg import LinearOperator, gmres, spilu, splu

from backwater.errors import BackwaterError
from backwater.experiments.theory.formulas import Array

States = npt.NDArray[np.int64]
#: From states, shape (n, columns): for each way to leave them the rate [1/s], shape (n,), 0 where it is none, and the
#: states to which it leads, shape (n, columns).
Moves = Callable[[States], Iterable[tuple[Array, States]]]
MOST = 200_000  # states
DIRECT = 10_000  # states up to which a chain of many dimensions is solved directly
SYMMETRIC = {"diag_pivot_thresh": 0.0, "options": {"SymmetricMode": True}}  # its diagonal dominates


class TooLarge(BackwaterError):
    """A chain of more states than are solved here; says how many there would be at least."""


class Chain(NamedTuple):
    """states, shape (n, columns), and the share of time in each, shape (n,), in the long run [1]."""

    states: States
    shares: Array


def solve(start: list[int], bounds: list[int], moves: Moves, most: int = MOST) -> Chain:
    """The chain of all states that can be reached; column i of a state is below ``bounds[i]``.

    Raises TooLarge beyond ``most`` states. Source of the method: Stewart, "Introduction to the Numerical Solution of
    Markov Chains", 1994, 2.3: one balance equation is left out, one share is set, the rest is solved by sparse LU.
    """
    states, sources, targets, rates = _explore(start, bounds, moves, most)
    n = len(states)
    if n == 1:
        return Chain(states, np.ones(1))
    flows = csc_matrix((rates, (targets, sources)), shape=(n, n))
    balance = csc_matrix(flows - diags_array(np.asarray(flows.sum(axis=0)).ravel()))
    rest, first = balance[1:, 1:], -balance[1:, [0]].toarray().ravel()
    many = n > DIRECT and np.count_nonzero(states.max(axis=0)) > 2
    others = _iterate(rest, first) if many else splu(rest, "MMD_AT_PLUS_A", **SYMMETRIC).solve(first)
    shares = np.maximum(np.concatenate([[1.0], others]), 0.0)
    return Chain(states, shares / shares.sum())


def _iterate(matrix: csc_matrix, right: Array) -> Array:
    """The solution of a system whose factors would fill up, as they do in three dimensions and more."""
    rough = spilu(matrix, drop_tol=0.03, fill_factor=3, permc_spec="NATURAL", **SYMMETRIC)
    solve_roughly = LinearOperator(matrix.shape, rough.solve)
    found, left = gmres(matrix, right, M=solve_roughly, rtol=1e-13, restart=80, maxiter=20)
    if left:
        raise TooLarge("its chain has too many dimensions: its solution was not found")
    return np.asarray(found)


def _explore(start: list[int], bounds: list[int], moves: Moves, most: int) -> tuple[States, Array, Array, Array]:
    """All states, level by level from the first; and of every transition the source, the target and the rate."""
    cells = int(np.prod([float(bound) for bound in bounds]))
    if cells > 50 * most:
        raise TooLarge(f"its chain would have up to {cells:,} states, and {most:,} are solved here")
    number = np.full(cells, -1)
    frontier = np.array([start])
    number[np.ravel_multi_index(frontier.T, bounds)] = 0
    levels, found, edges = [frontier], 1, []
    while len(frontier):
        at = number[np.ravel_multi_index(frontier.T, bounds)]
        keys = []
        for rates, leads in moves(frontier):
            some = np.flatnonzero(rates > 0)
            keys.append(np.ravel_multi_index(leads[some].T, bounds))
            edges.append((at[some], keys[-1], rates[some]))
        new = np.unique(np.concatenate(keys))
        new = new[number[new] < 0]
        number[new] = np.arange(found, found + len(new))
        found += len(new)
        if found > most:
            raise TooLarge(f"its chain has more than {most:,} states, the most that are solved here")
        frontier = np.stack(np.unravel_index(new, bounds), axis=1)
        levels.append(frontier)
    sources, leads, rates = (np.concatenate(part) for part in zip(*edges, strict=True))
    return np.concatenate(levels), sources, number[leads], rates
