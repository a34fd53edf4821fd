"""A report as Markdown, its figures as files beside it; tables as GitHub and most others read them."""

from __future__ import annotations

import re

from backwater.experiments.document import Command, Document, Part, Picture, Points, Table, Text, clean

# What is markup anywhere, at the edge of a word, in front of something, and at the beginning of a line.
MARKUP = re.compile(r"[\\`*\[\]<|~$@]|(?<![^\W_])_|_(?![^\W_])|&(?=[#\w])|:(?=//)|(?<=www)\.|^[-+=#>]")
NUMBERED = re.compile(r"^(\d+)([.)])")


def markdown(document: Document) -> str:
    """The text; whatever is in the document is text there, never markup."""
    out = [f"# {escaped(document.title)}", _marked(document.question)]
    out += [f"> **Alarm.** {escaped(alarm)}" for alarm in document.alarms]
    for section in document.sections:
        out += [f"## {escaped(section.title)}", *(_part(part) for part in section.parts)]
    return "\n\n".join(part for part in out if part) + "\n"


def escaped(text: str) -> str:
    """A text on one line in which nothing is markup: no tag, link, image, code, table cell, list or heading."""
    line = " ".join(clean(text).split())
    return NUMBERED.sub(r"\1\\\2", MARKUP.sub(r"\\\g<0>", line))


def _part(part: Part) -> str:
    match part:
        case Text(words, _, strong):
            said = escaped(words)
            return f"**{said}**" if strong and said else said
        case Points(items):
            return "\n".join(f"- {escaped(item)}" for item in items)
        case Picture(name, alt, caption):
            return f"![{escaped(alt)}]({name}.png)\n\n{_marked(caption)}"
        case Command(words):
            return _code(words)
        case Table():
            return _table(part)


def _marked(text: str) -> str:
    said = escaped(text)
    return f"*{said}*" if said else ""


def _table(table: Table) -> str:
    rules = ["---:" if column in table.right else "---" for column in range(len(table.head))]
    rows = [[escaped(cell) for cell in row] for row in table.rows]
    for index in table.marked:
        rows[index] = [f"**{cell}**" if cell else "" for cell in rows[index]]
    lines = [[escaped(cell) for cell in table.head], rules, *rows]
    return f"{_marked(table.caption)}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(words: str) -> str:
    """A block of code, fenced by more backticks than there are inside."""
    longest = max((len(run) for run in re.findall("`+", words)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{clean(words)}\n{fence}"
