"""The random numbers of one replication."""

from __future__ import annotations

from backwater import random


class Chance:
    """Uniforms in (0, 1) by address, for one seed and replication."""

    def __init__(self, seed: int = 1, replication: int = 0) -> None:
        self.seed, self.replication = random.seed_word(seed), replication

    def uniform(self, source: int, job: int, purpose: int, index: int) -> float:
        """The uniform at an address."""
        return random.uniform(self.seed, self.replication, source, job, purpose, index)  # type: ignore[no-any-return]
