"""A report as PDF pages with embedded fonts, bookmarks, and tables whose heads repeat on every page."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from fpdf import FPDF, ViewerPreferences
from fpdf.fonts import FontFace, TTFFont

from backwater.experiments.document import Command, Document, Part, Picture, Points, Section, Table, Text, clean

MARGIN, LINE = 16.0, 1.35  # of a page [mm]; height of a line in heights of its font
INK, GREY, RED, ROSE = (31, 41, 51), (82, 96, 109), (127, 29, 29), (254, 226, 226)
BODY, SMALL, CELL, SMALLER, TIGHT = 10.0, 8.5, 8.0, 7.0, 6.0  # sizes of type [pt]
MANY = 8  # columns from which a table takes a page across
COLUMNS, ROWS = 14, 300  # of a table, at most: more columns go on below, more rows are left out
CELL_TEXT = 400  # letters of a cell, at most: a row must fit on a page
MISSING = "\u25a1"  # shown for a letter that the fonts do not have
FACES = {"": "DejaVuSans", "B": "DejaVuSans-Bold", "I": "DejaVuSans-Oblique"}


def pdf(document: Document) -> bytes:
    """The pages."""
    made = _Pages(document.title)
    made.heading(document.title, 16)
    if document.question.strip():
        made.paragraph(document.question, 11.5, colour=GREY)
    for alarm in document.alarms:
        made.alarm(alarm)
    for section in document.sections:
        made.turn(across=wide(section))
        first = section.parts[0]
        made.room(made.scaled(first)[1] + 30 if isinstance(first, Picture) else 40.0)
        made.start_section(made.known(section.title), strict=False)
        made.heading(section.title, 12.5)
        for part in section.parts:
            made.part(part)
    return bytes(made.output())


def wide(section: Section) -> bool:
    """Whether a section begins with a table that needs a page across."""
    return isinstance(section.parts[0], Table) and len(section.parts[0].head) > MANY


class _Pages(FPDF):
    """A4 pages, upright; wide tables lie across."""

    def __init__(self, title: str) -> None:
        super().__init__(format="A4", unit="mm")
        fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        for style, file in FACES.items():
            self.add_font("sans", style, fonts / f"{file}.ttf")
        self.add_font("mono", "", fonts / "DejaVuSansMono.ttf")
        letters = {name: set(font.cmap) for name, font in self.fonts.items() if isinstance(font, TTFFont)}
        self._letters = {"sans": letters["sans"] & letters["sansB"], "mono": letters["mono"]}
        self.set_margin(MARGIN)
        self.set_auto_page_break(True, MARGIN)
        self.set_lang("en")
        self.set_title(self.known(title))
        self.set_creator("backwater")
        self.viewer_preferences = ViewerPreferences(display_doc_title=True)
        self.title_words = self.known(title)
        self.add_page()

    def footer(self) -> None:
        """Title and number at the foot of each page."""
        self.set_y(-MARGIN + 4)
        self.set_font("sans", "", 7.5)
        self.set_text_color(*GREY)
        short = self.title_words if len(self.title_words) <= 80 else f"{self.title_words[:79]}…"
        self.cell(self.epw * 0.8, 5, short)
        self.cell(self.epw * 0.2, 5, f"{self.page_no()}", align="R")

    def known(self, text: str, face: str = "sans") -> str:
        """A text on one line in letters that the fonts have."""
        letters = self._letters[face]
        return "".join(c if ord(c) in letters else MISSING for c in " ".join(clean(text).split()))

    def room(self, needed: float) -> None:
        """A new page unless this one has that much left [mm]."""
        if self.get_y() + needed > self.h - MARGIN:
            self.add_page(same=True)

    def turn(self, across: bool) -> None:
        """A page that lies across, or an upright one, unless this one does."""
        if (self.w > self.h) != across:
            self.add_page(orientation="landscape" if across else "portrait")

    def heading(self, words: str, size: float) -> None:
        """A heading."""
        self.ln(3)
        self.paragraph(words, size, "B")

    def paragraph(
        self, words: str, size: float = BODY, style: str = "", *, colour: Sequence[int] = INK, indent: float = 0.0
    ) -> None:
        """A paragraph."""
        self.set_font("sans", style, size)
        self.set_text_color(*colour)
        self.set_x(MARGIN + indent)
        self.multi_cell(0, size * LINE / self.k, self.known(words), align="L", new_x="LMARGIN", new_y="NEXT")
        self.ln(1.2)

    def alarm(self, words: str) -> None:
        """A box that nobody overlooks."""
        self.ln(1)
        self.set_font("sans", "B", BODY)
        self.set_draw_color(185, 28, 28)
        self.set_fill_color(*ROSE)
        self.set_text_color(*RED)
        self.multi_cell(0, BODY * LINE / self.k, self.known(words), border=1, align="L", fill=True, padding=3,
                        new_x="LMARGIN", new_y="NEXT")  # fmt: skip
        self.ln(2)

    def part(self, part: Part) -> None:
        """Whatever stands in a section."""
        across = isinstance(part, Table) and len(part.head) > MANY
        if across or isinstance(part, Picture):
            self.turn(across)
        match part:
            case Text(words, note, strong):
                self.paragraph(words, SMALL if note else BODY, "B" if strong else "", colour=GREY if note else INK)
            case Points(items):
                for item in items:
                    self.paragraph(f"•  {item}", indent=3)
            case Picture():
                self.figure(part)
            case Command(words):
                self.set_font("mono", "", SMALL)
                self.set_fill_color(245, 247, 249)
                self.set_text_color(*INK)
                self.multi_cell(0, SMALL * LINE / self.k, self.known(words, "mono"), align="L", fill=True, padding=2,
                                new_x="LMARGIN", new_y="NEXT")  # fmt: skip
            case Table():
                self.grid(part)

    def figure(self, part: Picture) -> None:
        """A figure and its caption, on one page, as wide as the page or as high as it."""
        width, height = self.scaled(part)
        self.room(height + 14)
        self.image(io.BytesIO(part.data), w=width, h=height, alt_text=self.known(part.alt))
        self.ln(1)
        self.paragraph(part.caption, SMALL, colour=GREY)

    def scaled(self, part: Picture) -> tuple[float, float]:
        """Width and height of a figure on a page [mm]."""
        width, height = struct.unpack(">II", part.data[16:24])  # of a PNG
        scale = min(self.epw / width, (self.eph - 35) / height)
        return width * scale, height * scale

    def grid(self, table: Table) -> None:
        """A table; one of many columns lies across, in pieces if need be, each of which names its rows again."""
        size = TIGHT if len(table.head) > MANY else CELL if len(table.head) < 6 else SMALLER
        for first in range(1, max(len(table.head), 2), COLUMNS - 1):
            columns = [0, *range(first, min(first + COLUMNS - 1, len(table.head)))]
            self._piece(table, columns, size)
        if len(table.rows) > ROWS:
            self.paragraph(
                f"{len(table.rows) - ROWS:,} more rows are in the HTML and Markdown reports.", SMALL, colour=GREY
            )

    def _piece(self, table: Table, columns: list[int], size: float) -> None:
        """Some columns of a table."""
        lines = [[self._cell(row[column]) for column in columns] for row in (table.head, *table.rows[:ROWS])]
        bold = {0, *(number + 1 for number in table.marked)}
        self.room(25.0)
        self.paragraph(table.caption, SMALL, colour=GREY)
        self.set_font("sans", "", size)
        self.set_text_color(*INK)
        self.set_draw_color(195, 202, 209)
        align = tuple("R" if column in table.right else "L" for column in columns)
        bad = FontFace(emphasis="B", color=RED, fill_color=ROSE)
        widths = self._widths(lines, bold)
        with self.table(
            col_widths=tuple(widths), width=sum(widths), align="L", text_align=align, v_align="T", padding=(0.6, 1.2),
            borders_layout="HORIZONTAL_LINES", line_height=size * LINE / self.k,
        ) as made:  # fmt: skip
            for number, line in enumerate(lines):
                made.row(line, style=bad if number in bold - {0} else None)
        self.ln(2)

    def _cell(self, text: str) -> str:
        words = self.known(text)
        return words if len(words) <= CELL_TEXT else f"{words[:CELL_TEXT]}…"

    def _widths(self, lines: list[list[str]], bold: set[int]) -> list[float]:
        """Widths of columns [mm]: as wide as their words; where that is too much, the widest give way."""
        size, wanted = self.font_size_pt, [0.0] * len(lines[0])
        for number, line in enumerate(lines):
            self.set_font("sans", "B" if number in bold else "", size)
            wanted = [max(w, self.get_string_width(words) + 2.6) for w, words in zip(wanted, line, strict=True)]
        self.set_font("sans", "", size)
        low, high = 0.0, max(wanted)
        if sum(wanted) <= self.epw:
            return wanted
        for _ in range(40):  # the width at which the widest are cut
            cut = (low + high) / 2
            low, high = (cut, high) if sum(min(each, cut) for each in wanted) <= self.epw else (low, cut)
        return [min(each, low) for each in wanted]
