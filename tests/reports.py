"""What the tests of reports look at: a small study with everything in it, and texts that mean harm."""

import zlib

import backwater as bw
from backwater.experiments.document import Command, Document, Picture, Points, Section, Table, Text
from backwater.experiments.experiment import Experiment

HOSTILE = (
    "<script>alert(1)</script>", "{{7*7}}{% raw %}", "](javascript:alert(1))", '"onerror="alert(1)', "' onload='x",
    "![x](https://evil.invalid/x.png) <https://evil.invalid> www.evil.invalid", "`code` | *bold* _em_ ~~x~~ $x$ # h",
    "</title><img src=https://evil.invalid/y.png>", "&lt;b&gt;&#60;i", "w" * 400, "😀 漢字 שלום مرحبا",
    "a\u202eb\x00c\x1b[0m", "1. one", "- item", "# heading", "> quote", "```\n<b>x</b>\n```", "== \\", "",
)  # fmt: skip
ALL = " / ".join(HOSTILE)
DATA = zlib.compress(b"\0\xff\0\0\xff\0\0")
PNG = b"\x89PNG\r\n\x1a\n" + b"".join(
    len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)
    for kind, data in ((b"IHDR", b"\0\0\0\2\0\0\0\1\x08\2\0\0\0"), (b"IDAT", DATA), (b"IEND", b""))
)

STUDY = Experiment(
    question="How many may wait?",
    scenario=bw.Scenario(
        name="Two workers",
        arrivals=bw.Poisson(rate="9/s"),
        client=bw.Client(retry=bw.Retry(base="100 ms")),
        queue=bw.Queue(capacity=4),
        workers=bw.Workers(count=2, service=bw.Exponential(mean="200 ms")),
        notes={"workers.service": "measured"},
    ),
    run=bw.Run(horizon="120 s", warmup="20 s", replications=4, seed=5),
    sweep={"queue.capacity": [1, 4, 16], "load": [0.5, 1.2]},
    require={"served_within(4 s)": ">= 90 %", "latency_p99": "<= 10 s"},
    observed={"latency_p99": "1 h", "served_within(2 s)": "50 %"},
)


def hostile() -> Experiment:
    """A study in which everything that a person may name means harm."""
    scenario = bw.Scenario(
        name=ALL,
        arrivals={HOSTILE[0]: bw.Poisson(rate="5/s"), ALL: bw.Poisson(rate="4/s")},
        jobs={text: bw.Job() for text in HOSTILE if text},
        workers=bw.Workers(count=2, service=bw.Exponential(mean="200 ms")),
        queue=bw.Queue(capacity=4),
        notes={"workers.service": ALL},
    )
    return Experiment(
        question=ALL, scenario=scenario, run=bw.Run(horizon="20 s", replications=2),
        sweep={ALL: [{"workers.count": 1}, {"workers.count": 2}]},
        cases={text: {} for text in HOSTILE[:3]},
    )  # fmt: skip


def every_part(text: str) -> Document:
    """A document in which a text stands everywhere that a text can stand."""
    parts = (
        Text(text), Text(text, note=True), Text(text, strong=True), Points((text, text)), Command(text),
        Table(text, (text, text), ((text, text), (text, text)), right=(1,), marked=(1,)), Picture("x", text, text, PNG),
    )  # fmt: skip
    return Document(text, text, (Section("Answer", parts), Section("Figures", parts[-1:])), (text,))
