"""What is in a scenario: its dotted paths, the files and the rules of one's own that it names, and a digest of all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backwater.base import Model
from backwater.rules import Rule


def digest_of(table: dict[str, Any]) -> str:
    """SHA-256 of the tables of a scenario and the contents of the files that they name; 64 hexadecimal digits."""
    content = hashlib.sha256(json.dumps(table, sort_keys=True, allow_nan=False).encode())
    for file in sorted(set(files_of(table))):
        content.update(Path(file).read_bytes())
    return content.hexdigest()


def files_of(table: Any) -> Iterator[str]:
    """Every file that the tables of a scenario name."""
    parts = table.values() if isinstance(table, dict) else table if isinstance(table, list) else ()
    if isinstance(table, dict) and isinstance(table.get("file"), str):
        yield table["file"]
    for part in parts:
        yield from files_of(part)


def rules_of(part: Any) -> Iterator[Rule]:
    """Every rule of one's own in a part of a scenario."""
    if isinstance(part, Rule):
        yield part
    elif isinstance(part, Model):
        for name in type(part).model_fields:
            yield from rules_of(getattr(part, name))
    elif isinstance(part, dict):
        for value in part.values():
            yield from rules_of(value)


def walk(part: Model, prefix: str) -> Iterator[tuple[str, Any]]:
    """Every dotted path of a part, below ``prefix``, with its value as files hold it; a part has None."""
    shown = part.model_dump(mode="json")
    for name in type(part).model_fields:
        value = getattr(part, name)
        named = value if isinstance(value, dict) and name in ("jobs", "sources", "send") else {}
        yield prefix + name, None if isinstance(value, Model) or named else shown[name]
        if isinstance(value, Model):
            # Named sources stand beside their scale, not in a table of their own.
            yield from ((path.replace(".sources.", ".", 1), given) for path, given in walk(value, f"{prefix}{name}."))
        for key, inner in named.items():
            whole = shown[name][key]  # a plain number of jobs is a value, all else a part
            yield f"{prefix}{name}.{key}", None if isinstance(whole, dict) else whole
            yield from walk(inner, f"{prefix}{name}.{key}.") if isinstance(whole, dict) else ()
