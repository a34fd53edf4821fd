"""Theory beside the number: what is known of a scenario without running it, with its source and when it holds."""

from backwater.experiments.theory.answers import Answer
from backwater.experiments.theory.match import Theory, theory
from backwater.experiments.theory.reading import Obstacle

__all__ = ["Answer", "Obstacle", "Theory", "theory"]
