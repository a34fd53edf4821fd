"""What a log file holds, by its first lines: CSV, Parquet, JSON lines or an access log; and its columns as they stand.

A broken line is counted, not fatal. Files may be compressed by gzip.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pandas as pd

from backwater.errors import ScenarioError, check

HEAD = 1 << 18  # bytes that are looked at to tell what a file is
LONGEST = 1 << 16  # bytes of a line; a longer one is broken
Columns = dict[str, Any]


class Form(NamedTuple):
    """What a file is: its name for people, its columns, those that hold numbers, and how to read some of them.

    ends  whether the time is that of the answer, not of the request
    read  names of columns -> (columns, each a sequence of equal length; how many lines were broken)
    """

    name: str
    columns: list[str]
    numeric: list[str]
    ends: bool
    read: Callable[[list[str]], tuple[Columns, int]]


# Client, time, request, status, bytes, then perhaps referer and agent, then what the server was told to add.
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ACCESS = re.compile(
    r'^(?:\S+:\d+ )?(?P<client>\S+) \S+ [^\[]{0,200}\[(?P<time>[^\]]{10,40})\] "(?P<request>(?:[^"\\]|\\.)*)" '
    rf"(?P<status>\d{{3}}|-) (?P<bytes>\d+|-)(?: {_QUOTED} {_QUOTED})?(?P<rest>.*)$"
)
# What servers add at the end. nginx: $request_time has milliseconds; Apache's %D is a whole number.
_ADDED = {
    "request_time": re.compile(r'(?:^|\s)(?:(?:rt|request_time)=)?"?(\d+\.\d{3,6})"?(?=\s|$)'),
    "upstream_time": re.compile(r'(?:urt|upstream_response_time)="?(\d+\.\d+)'),
    "trailing": re.compile(r"(?:^|\s)(\d+)\s*$"),
}
# AWS Application Load Balancer: type, time of the answer, balancer, client, target, three times [s], status.
_BALANCER = re.compile(
    r"^(?:https?|h2|wss?|grpcs) (?P<time>\d{4}-\d\d-\d\dT\S+) \S+ (?P<client>\S+?)(?::\d+)? \S+ "
    r"(?P<request_processing_time>\S+) (?P<target_processing_time>\S+) (?P<response_processing_time>\S+) "
    rf"(?P<status>\S+) \S+ \S+ \S+ (?P<request>{_QUOTED})"
)
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$")
_DATE = re.compile(r"\s*\d{4}-\d\d-\d\d|\s*\d\d/\w{3}/\d{4}:")


def sniff(path: Path) -> Form:
    """What a log file is. Raises ScenarioError for what cannot be read, is empty, or is not text."""
    try:
        with opened(path) as file:
            head = file.read(HEAD)
    except (OSError, EOFError, gzip.BadGzipFile) as error:
        reason = getattr(error, "strerror", None) or "its compression is broken"
        raise ScenarioError("LOG", f"must be a file that can be read: {reason}", str(path)) from None
    if head[:4] == b"PAR1":
        return _parquet(path)
    check(b"\0" not in head, "LOG", str(path), "must be text (CSV, JSON lines, an access log) or Parquet")
    text = head.decode("utf-8-sig", "replace")
    check("\n" in text or len(head) < HEAD, "LOG", str(path), f"must have lines: none ends within {HEAD // 1024} KiB")
    lines = [line for line in text.splitlines() if line.strip()][:200]
    check(lines, "LOG", str(path), "must hold requests, and is empty")
    whole = lines[:-1] if len(lines) > 1 and len(head) == HEAD else lines
    if any("_bucket{" in line for line in whole) or re.match(r'\s*"?le"?\s*[,;\t]', whole[0]):
        raise ScenarioError("LOG", "must hold one request per line: give Prometheus buckets as --buckets", str(path))
    for pattern, form in ((_ACCESS, _access), (_BALANCER, _balancer)):
        if sum(bool(pattern.match(line)) for line in whole) > len(whole) / 2:
            return form(path, whole)
    if sum(line.lstrip().startswith("{") for line in whole) > len(whole) / 2:
        return _json(path, whole)
    return _csv(path, whole)


def opened(path: Path) -> BinaryIO:
    """A file for reading bytes, unpacked if it is compressed by gzip."""
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else open(path, "rb")  # type: ignore[return-value]


def lines_of(path: Path) -> Iterator[str | None]:
    """The lines of a file that hold anything; None for one that is too long to be a request."""
    try:
        with opened(path) as file:
            buffered = io.BufferedReader(file, 1 << 20) if isinstance(file, gzip.GzipFile) else file
            while line := buffered.readline(LONGEST):
                if len(line) == LONGEST and not line.endswith(b"\n"):
                    while (line := buffered.readline(LONGEST)) and not line.endswith(b"\n"):
                        pass
                    yield None
                elif line.strip():
                    yield line.decode("utf-8", "replace")
    except (OSError, EOFError, gzip.BadGzipFile) as error:
        reason = getattr(error, "strerror", None) or "its compression is broken"
        raise ScenarioError("LOG", f"must be a file that can be read to its end: {reason}", str(path)) from None


def _gather(path: Path, names: list[str], row_of: Callable[[str], Any]) -> tuple[Columns, int]:
    """Columns from lines, one by one; ``row_of`` gives the values by name, or None for a broken line."""
    columns: Columns = {name: [] for name in names}
    broken = 0
    adders = [(name, columns[name].append) for name in names]
    for line in lines_of(path):
        row = None if line is None else row_of(line)
        if row is None:
            broken += 1
            continue
        for name, add in adders:
            add(row[name])
    return columns, broken


def _access(path: Path, lines: list[str]) -> Form:
    rests = [match["rest"] for line in lines if (match := _ACCESS.match(line)) is not None]
    more = [name for name, told in _ADDED.items() if sum(bool(told.search(rest)) for rest in rests) > len(rests) / 2]

    def row_of(line: str) -> Any:
        match = _ACCESS.match(line.rstrip("\r\n"))
        if match is None or not more:
            return match
        return {**match.groupdict(), **{name: _first(_ADDED[name].search(match["rest"])) for name in more}}

    name = "an access log with request times" if "request_time" in more else "an access log"
    columns = ["client", "time", "request", "status", "bytes", *more]
    return Form(name, columns, ["bytes", *more], "request_time" in more, lambda names: _gather(path, names, row_of))


def _first(match: re.Match[str] | None) -> str | None:
    return None if match is None else match[1]


def _balancer(path: Path, lines: list[str]) -> Form:
    def row_of(line: str) -> Any:
        return _BALANCER.match(line)

    columns = list(_BALANCER.groupindex)
    numeric = [name for name in columns if name.endswith("_time")]
    return Form("a load balancer's log", columns, numeric, True, lambda names: _gather(path, names, row_of))


def _json(path: Path, lines: list[str]) -> Form:
    rows = [row for row in map(_json_row, lines) if row is not None]
    check(rows, "LOG", str(path), "must hold one JSON object per line")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    numeric = [name for name in columns if all(_is_number(row.get(name)) for row in rows)]
    return Form("JSON lines", columns, numeric, False, lambda names: _gather(path, names, _json_row))


def _json_row(line: str) -> dict[str, Any] | None:
    """An object with those inside it, one level deep, under dotted names; None where it is not one."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    for name in [name for name, value in row.items() if isinstance(value, dict)]:
        row |= {f"{name}.{inner}": value for inner, value in row.pop(name).items()}
    return defaultdict(lambda: None, row)


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return bool(_NUMBER.match(value))
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _csv(path: Path, lines: list[str]) -> Form:
    delimiter = max(",;\t|", key=lambda sign: _steadiness(lines, sign))
    delimiter = delimiter if _steadiness(lines, delimiter) > 0 else ","
    rows = list(csv.reader(lines, delimiter=delimiter))
    first = [cell.strip() for cell in rows[0]]
    named = not any(_NUMBER.match(cell) or _DATE.match(cell) for cell in first)
    columns = first if named else [str(n) for n in range(1, len(first) + 1)]
    twice = next((name for name in columns if columns.count(name) > 1), None)
    check(twice is None, "LOG", twice, f"must name each column once: {path}")
    # pandas takes the number of fields from the first line that it sees, and skips lines of more.
    lead = next((n for n, row in enumerate(rows[named:]) if len(row) == len(columns)), 0)
    skipped = _blank_lines(path) + named + lead
    rows = [row for row in rows[named:] if len(row) == len(columns)]
    check(rows, "LOG", str(path), "must hold a line of requests of as many fields as its first line")
    numeric = [name for n, name in enumerate(columns) if all(_NUMBER.match(row[n]) for row in rows)]

    def read(names: list[str]) -> tuple[Columns, int]:
        kept = [columns.index(name) for name in names]
        try:
            with opened(path) as file, warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                frame = pd.read_csv(file, sep=delimiter, header=None, skiprows=skipped, usecols=kept, dtype=str,
                                    on_bad_lines="warn", encoding_errors="replace", skipinitialspace=True)  # fmt: skip
        except (pd.errors.ParserError, EOFError, OSError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise ScenarioError("LOG", f"must be a CSV file that can be read to its end: {reason}", str(path)) from None
        broken = sum(str(each.message).count("Skipping line") for each in said)
        return {name: frame[n] for name, n in zip(names, kept, strict=True)}, broken + lead

    return Form("CSV", columns, numeric, False, read)


def _blank_lines(path: Path) -> int:
    """How many lines before the first one that holds anything."""
    with opened(path) as file:
        return next((n for n, line in enumerate(file) if line.strip(b"\xef\xbb\xbf\r\n\t ")), 0)


def _steadiness(lines: list[str], sign: str) -> float:
    """How far a sign may be what separates fields: in how many lines it stands as often as in the first one."""
    n = lines[0].count(sign)
    return 0.0 if n == 0 else sum(line.count(sign) == n for line in lines) + n / (n + 1)


def _parquet(path: Path) -> Form:
    try:
        frame = pd.read_parquet(path)
    except ImportError:
        raise ScenarioError(
            "LOG", "is Parquet, which needs pyarrow: pip install 'backwater[parquet]'", shown=False
        ) from None
    except Exception as error:  # whatever pyarrow says of a broken file
        reason = str(error).strip().splitlines()[0]
        raise ScenarioError("LOG", f"must be a whole Parquet file: {reason}", str(path)) from None
    check(len(frame), "LOG", str(path), "must hold requests, and is empty")
    columns = [str(name) for name in frame.columns]
    numeric = [name for name, kind in zip(columns, frame.dtypes, strict=True) if pd.api.types.is_numeric_dtype(kind)]
    frame.columns = pd.Index(columns)
    return Form("Parquet", columns, numeric, False, lambda names: ({name: frame[name] for name in names}, 0))
