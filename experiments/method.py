"""How a report's numbers were made: a paragraph with its references, and the manifest with the command to repeat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from backwater.experiments.document import Command, Points, Section, Table, Text, pairs
from backwater.run import Run
from backwater.units import human


class Reference(NamedTuple):
    """A published source; CITATION.cff holds the same."""

    author: str
    title: str
    rest: str
    year: int

    @property
    def words(self) -> str:
        """The reference as text."""
        return f"{self.author} ({self.year}): {self.title}. {self.rest}."


REFERENCES = {
    "law": Reference("Law, A. M.", "Simulation Modeling and Analysis", "5th edition, McGraw-Hill", 2015),
    "cochran": Reference("Cochran, W. G.", "Sampling Techniques", "3rd edition, Wiley", 1977),
    "woodruff": Reference(
        "Woodruff, R. S.", "Confidence Intervals for Medians and Other Position Measures",
        "Journal of the American Statistical Association 47(260), 635–646", 1952),
    "salmon": Reference(
        "Salmon, J. K., Moraes, M. A., Dror, R. O., Shaw, D. E.", "Parallel Random Numbers: As Easy as 1, 2, 3",
        "Proceedings of SC'11", 2011),
    "little": Reference(
        "Little, J. D. C.", "A Proof for the Queuing Formula: L = λW", "Operations Research 9(3), 383–387", 1961),
}  # fmt: skip
SIMULATED = (
    "Each setting was simulated event by event, in independent replications. All settings see the same jobs: random "
    "numbers are addressed by seed, replication, job and purpose (Philox; Salmon et al. 2011), so differences between "
    "settings are of the settings and not of luck (common random numbers; Law 2015, ch. 11)."
)
ESTIMATED = (
    "Intervals are at 95 %, by Student's t over replications (Law 2015, ch. 9). Ratios are ratios of means, linearised "
    "(Cochran 1977, ch. 6); quantiles are of all replications pooled, from histograms with at most 0.4 % error, with "
    "intervals for the share that lies below, mapped back (Woodruff 1952)."
)
CHECKED = (
    "Every run passed its audit, or would have given no result: jobs conserved class by class, busy time, bytes, and "
    "Little's law (Little 1961). Two engines, one of SimPy processes and one compiled, are held to the same bits by "
    "tests; which of them ran changes no number."
)


def method(*more: str, details: Table | None = None) -> Section:
    """The section on method: what holds of all reports, what is special to this one, and the references."""
    parts = [Text(words) for words in (SIMULATED, ESTIMATED, CHECKED, *more)]
    cited = Points(tuple(each.words for each in REFERENCES.values()))
    return Section("Method", (*parts, *([details] if details else []), Text("References:"), cited))


def manifest(rows: Sequence[tuple[str, str]], versions: Mapping[str, str], command: str) -> Section:
    """The section that says what to repeat and how."""
    numbers = ", ".join(f"{name} {number}" for name, number in versions.items())
    said = pairs("What made these numbers", ("what", "value"), [*rows, ("versions", numbers)])
    return Section("Manifest", (said, Text("The one command that repeats it:"), Command(command)))


def run_rows(run: Run, digest: str) -> list[tuple[str, str]]:
    """What a manifest says of runs and scenario."""
    length = human(run.end, "time") if run.horizon is not None else f"{run.arrivals:,} arrivals"
    return [
        ("runs", f"{run.replications} replications of {length}"),
        ("warm-up", f"{human(run.warmup, 'time')}, not counted" if run.warmup else "none: counting starts empty"),
        ("seed", str(run.seed)),
        ("scenario", f"SHA-256 {digest}"),
    ]
