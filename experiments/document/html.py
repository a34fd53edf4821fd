"""A report as one HTML page that needs nothing else, and runs nothing."""

from __future__ import annotations

import base64

from jinja2 import Environment, PackageLoader, StrictUndefined

from backwater.experiments.document import Document, Picture, clean


def html(document: Document) -> str:
    """The page; whatever is in the document is text there, never markup."""
    pages = Environment(
        loader=PackageLoader("backwater.experiments", "templates"), autoescape=True, undefined=StrictUndefined,
        finalize=clean, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return pages.get_template("report.html").render(document=document, image=_image)


def _image(picture: Picture) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.data).decode()}"
