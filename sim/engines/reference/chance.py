"""The random numbers of one replication."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backwater import random
from backwater.jit import compiled
from backwater.quantile import quantile


@compiled
def draw(law, seed, replication, source, job, purpose, index):  # type: ignore[no-untyped-def]
    """The variate of a law's table for the uniform at an address."""
    return quantile(law, random.uniform(seed, replication, source, job, purpose, index))


class Chance:
    """Uniforms in (0, 1) by address, for one seed and replication."""

    def __init__(self, seed: int = 1, replication: int = 0) -> None:
        self.seed, self.replication = random.seed_word(seed), replication

    def uniform(self, source: int, job: int, purpose: int, index: int) -> float:
        """The uniform at an address."""
        return random.uniform(self.seed, self.replication, source, job, purpose, index)

    def draw(self, law: npt.NDArray[np.float64], source: int, job: int, purpose: int, index: int) -> float:
        """The variate of a law's table for the uniform at an address, in one call."""
        return draw(law, self.seed, self.replication, source, job, purpose, index)
