"""Where a report goes: one file per format, in the folder of what it is about."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from backwater.experiments.document import Document
from backwater.experiments.document.html import html
from backwater.experiments.document.markdown import markdown

FORMATS = ("html", "pdf", "md")


def publish(document: Document, folder: str | os.PathLike[str], formats: Sequence[str] = ("html",)) -> list[Path]:
    """Write the report into a folder as ``report.html``, ``report.pdf`` or ``report.md``, its figures as PNG beside.

    The folder keeps the report as data, too, so that the other formats can be had later. Returns the files' paths.
    """
    document.keep(Path(folder))
    out = []
    for wanted in formats:
        path = Path(folder) / f"report.{wanted}"
        path.write_bytes(_rendered(document, wanted))
        out.append(path)
    return out


def _rendered(document: Document, wanted: str) -> bytes:
    if wanted == "pdf":
        from backwater.experiments.document.pdf import pdf  # fonts and images take a while to import

        return pdf(document)
    return (html if wanted == "html" else markdown)(document).encode("utf-8", "replace")
