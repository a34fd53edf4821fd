"""Drawn figures as parts of a report."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter

from backwater.experiments.document import Picture, clean

LETTERS = 80  # of a text in a figure, at most
MISSING = "\u25a1"  # shown for a letter that the font does not have


def picture(name: str, alt: str, caption: str, figure: Figure) -> Picture:
    """A drawn figure; what people named is text in it, neither a formula nor too long for it."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_text(_words(text.get_text()))
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            ticks = axis.get_major_formatter()
            if isinstance(ticks, FuncFormatter):  # labels that are given are one, too
                ticks.func = _in_words(ticks.func)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=130)
    return Picture(name, alt, caption, image.getvalue())


def _words(text: str) -> str:
    """A text of any origin for a figure; our own hold no formulas, so a dollar is a dollar."""
    known = _letters()
    shown = "".join(c if ord(c) in known or c == "\n" else MISSING for c in clean(text).replace("\t", " "))
    short = "\n".join(line if len(line) <= LETTERS else f"{line[: LETTERS - 1]}…" for line in shown.split("\n"))
    return short.replace("$", r"\$")


def _in_words(labels: Callable[[float, int | None], str]) -> Callable[[float, int | None], str]:
    return lambda x, place: _words(labels(x, place))


@cache
def _letters() -> frozenset[int]:
    font = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
    return frozenset(font.get_charmap())
