"""Reports: one content in three formats; what they say; and texts that mean harm are texts in all of them."""

import re
import shutil
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from reports import ALL, HOSTILE, STUDY, every_part, hostile
from test_cli import run

import backwater as bw
from backwater.errors import ScenarioError
from backwater.experiments.assumed import assumptions, left_out
from backwater.experiments.document import Document, Section, Table, kept
from backwater.experiments.document.drawn import picture
from backwater.experiments.document.files import publish
from backwater.experiments.document.html import html
from backwater.experiments.document.markdown import markdown
from backwater.experiments.document.pdf import pdf
from backwater.experiments.experiment import Experiment
from backwater.experiments.method import REFERENCES
from backwater.experiments.report import document, reports
from backwater.experiments.report_verdicts import beside_observed, verdicts
from backwater.experiments.study import study
from backwater.experiments.sweep import run_experiment
from backwater.statistics import Estimate

ROOT = Path(__file__).resolve().parents[1]
ORDER = ["Answer", "Requirements", "Predicted and observed", "Figures", "Frontier", "Sensitivity", "Against theory",
         "All points", "Before any run", "Assumptions", "What is not modelled", "Method", "Manifest"]  # fmt: skip


class Tags(HTMLParser):
    """Every tag with its attributes, and every text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished study."""
    out = tmp_path_factory.mktemp("study")
    study(STUDY, out, parallel=1, command="backwater sweep study.toml --out results")
    return out


@pytest.fixture(scope="module")
def swept():
    """The same as a sweep."""
    return run_experiment(STUDY, parallel=1)


def test_a_report_answers_first_and_ends_with_the_command_that_repeats_it(swept):
    told = document(swept, [])
    assert [section.title for section in told.sections] == ORDER
    first, last = told.sections[0].parts[0].words, told.sections[-1]
    assert re.search(r"\d %.* got a 503 and .*\d %.* of jobs failed", first.split(";")[0])
    assert last.parts[-1].words.startswith("backwater")
    assert dict(last.parts[0].rows)["seed"] == "5"
    assert STUDY.scenario.digest in dict(last.parts[0].rows)["scenario"]


def test_the_command_writes_the_formats_that_are_asked_for(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder.parent)
    status, said, _ = run(capsys, "report", folder.name, "--pdf", "--md")
    assert (status, said) == (0, f"Report: {folder.name}/report.pdf\nReport: {folder.name}/report.md\n")
    assert run(capsys, "report", folder.name)[1] == f"Report: {folder.name}/report.html\n"
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    pictures = re.findall(r"\]\((\w+\.png)\)", (folder / "report.md").read_text("utf-8"))
    assert len(pictures) == 5
    assert all((folder / name).exists() for name in pictures)


def test_a_kept_report_is_rendered_again_without_what_it_was_made_from(folder, tmp_path, capsys):
    (page,) = reports(folder)
    for path in (folder / "report.json", *folder.glob("*.png")):
        shutil.copy(path, tmp_path)
    assert run(capsys, "report", str(tmp_path), "--html", "--pdf")[0] == 0
    assert (tmp_path / "report.html").read_text("utf-8") == page.read_text("utf-8")
    next(tmp_path.glob("*.png")).unlink()
    with pytest.raises(ScenarioError, match="must be a whole report, with its figures beside it"):
        kept(tmp_path)


def test_every_format_holds_every_word_of_the_content(swept):
    told = document(swept, [])
    page, text = "".join(Tags(html(told)).texts), "".join(_words(markdown(told)))
    table = next(part for section in told.sections for part in section.parts if isinstance(part, Table))
    for word in [*(section.title for section in told.sections), told.question, *table.rows[0], *REFERENCES]:
        found = REFERENCES[word].title if word in REFERENCES else word
        assert found in page
        assert found in text


def _words(text):
    """What a reader of the Markdown sees."""
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(text):
        for each in [token, *(token.children or [])]:
            yield each.content if each.type in ("text", "fence", "text_special") else ""


def test_requirements_are_judged_at_each_point_with_their_confidence(swept):
    told = verdicts(swept, STUDY)
    by = {row[0]: row[1:] for row in told.table.rows}
    assert by["queue.capacity = 16, load = 0.5"][1].endswith(": met (>99.9 %)")
    assert by["queue.capacity = 1, load = 1.2"][0].endswith(": missed (<0.1 %)")
    assert f"at {sum('missed' not in ''.join(row) for row in by.values())} of 6 points" in told.summary
    assert verdicts(swept, STUDY.model_copy(update={"require": {}})) is None


def test_a_confidence_is_the_level_of_the_one_sided_interval_that_ends_at_the_limit():
    wanted = STUDY.requirements[1]
    found = Estimate(8.0, 6.0, 10.0, 5)
    assert wanted.sureness(found) == pytest.approx(0.975)
    assert wanted._replace(most=False).sureness(found) == pytest.approx(0.025)
    assert wanted.sureness(found._replace(low=7.5)) == pytest.approx(0.975)  # cut off on one side
    assert wanted.sureness(Estimate(8.0, 8.0, 8.0, 5)) != wanted.sureness(Estimate(8.0, 8.0, 8.0, 5))  # NaN


def test_observed_values_stand_beside_the_scenario_as_it_is_or_beside_the_knees(swept):
    table = beside_observed(swept, STUDY)
    assert [row[:2] for row in table.rows[::2]] == [("latency_p99", "1 h"), ("served_within(2 s)", "50 %")]
    assert all(row[4] == "outside, above" and index in table.marked for index, row in enumerate(table.rows[:2]))
    assert all(row[5].endswith("the knee") for row in table.rows)
    at_hand = STUDY.model_copy(update={"sweep": {"queue.capacity": [1, 4]}, "observed": {"attempts_per_job": 2}})
    rows = beside_observed(run_experiment(at_hand, parallel=1), at_hand).rows
    assert [row[5] for row in rows] == ["queue.capacity = 4, the scenario as it stands"]


@pytest.mark.parametrize("given", [{"latency_p99": "2 MB"}, {"utilization": "much"}, {"queue_mean": "ten"}])
def test_an_observed_value_of_another_kind_is_refused_before_any_run(given):
    with pytest.raises(ScenarioError, match=rf"observed.{next(iter(given))} must be a value of"):
        STUDY.model_copy(update={"observed": given}).check()


def test_what_is_not_modelled_depends_on_the_scenario():
    plain = STUDY.scenario
    said = " ".join(left_out(plain))
    assert "Failures of workers" in said
    assert "Retries:" not in said  # its client tries again
    once = plain.with_({"client.retry": None})
    assert "Retries: a client that is turned away does not come back." in left_out(once)
    law = {"kind": "exponential", "mean": "1 h"}
    failing = plain.with_({"workers.failures": {"up": law, "repair": law}})
    assert "Failures of workers" not in " ".join(left_out(failing))
    memory = plain.with_({"queue.memory": {"limit": "1 MB"}, "jobs.job.size": "1 kB"})
    assert "Memory: what waits takes none" in said
    assert "Memory:" not in " ".join(left_out(memory))


@pytest.mark.parametrize("text", [*HOSTILE, ALL], ids=range(len(HOSTILE) + 1))
def test_texts_that_mean_harm_are_texts_in_html(text):
    calm, found = Tags(html(every_part("calm"))), Tags(html(every_part(text)))
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in calm.tags]
    assert [sorted(attrs) for _, attrs in found.tags] == [sorted(attrs) for _, attrs in calm.tags]
    links = [attrs.get("href", attrs.get("src", "")) for _, attrs in found.tags]
    assert all(link.startswith(("#", "data:")) for link in links if link)


@pytest.mark.parametrize("text", [*HOSTILE[:-1], ALL], ids=range(len(HOSTILE)))
def test_texts_that_mean_harm_are_texts_in_markdown(text):
    parse = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse

    def shape(told):
        return [[token.type, *(each.type for each in token.children or [] if each.type != "text_special")]
                for token in parse(told)]  # fmt: skip

    def joined(types):
        return [[kind for kind, after in zip(line, [*line[1:], ""], strict=True) if (kind, after) != ("text", "text")]
                for line in types]  # fmt: skip

    told = markdown(every_part(text))
    assert joined(shape(told)) == joined(shape(markdown(every_part("calm"))))
    assert not re.search(r"https?:|www\.", told.split("\n")[0])  # GitHub makes links of what looks like an address


def test_texts_that_mean_harm_are_harmless_in_pdf():
    pages = pdf(every_part(ALL))
    for word in (b"/URI", b"/JavaScript", b"/JS", b"/Launch", b"/OpenAction <<", b"/EmbeddedFile", b"/AA"):
        assert word not in pages


@pytest.mark.parametrize("text", [r"$\frac{$", "$x$ 漢字", "\x00\x1b", "w" * 400])
def test_texts_that_mean_harm_are_texts_in_figures(text):
    figure = Figure(figsize=(12, 6), layout="constrained")
    axes = figure.subplots()
    axes.set_title(text)
    axes.set_xlabel(text)
    axes.plot([0, 1], label=text)
    axes.set_xticks([0, 1], [text, text])
    axes.legend()
    assert picture("x", "", "", figure).data.startswith(b"\x89PNG")  # without a warning, which would be an error
    for shown in (axes.get_title(), axes.get_xlabel(), axes.get_xticklabels()[0].get_text()):
        assert not re.search(r"(?<!\\)\$", shown)
        assert len(shown) <= 82


def test_a_study_whose_every_name_means_harm_is_reported(tmp_path):
    experiment = hostile()
    study(experiment, tmp_path, parallel=1, command=ALL)
    page, text, pages = (path.read_bytes() for path in reports(tmp_path, ["html", "md", "pdf"]))
    assert {tag for tag, _ in Tags(page.decode()).tags}.isdisjoint({"script", "i", "b", "iframe"})
    kinds = {each.type for token in MarkdownIt().parse(text.decode()) for each in [token, *(token.children or [])]}
    assert kinds.isdisjoint({"html_block", "html_inline", "link_open", "code_inline"})
    assert pages.startswith(b"%PDF")


def test_a_table_of_any_size_finds_room_on_pages():
    wide = Table("wide", tuple("w" * n for n in range(1, 42)), (("0.123 % ± 0.01 %",) * 41,) * 3)
    long = Table("long", ("a", "b"), (("1", "2"),) * 301)
    tall = Table("tall", ("a", "b"), (("word " * 5000, "w" * 5000),) * 2)
    pages = pdf(Document("t", "q", (Section("Tables", (wide, long, tall)),)))
    assert pages.count(b"/Type /Page\n") > 5


@pytest.mark.parametrize("command", ["plan", "stress"])
def test_plans_and_stress_tests_leave_reports_too(command, tmp_path, capsys):
    bw.dump(STUDY.scenario, tmp_path / "s.toml")
    words = {
        "plan": ["--find", "workers.count=1..6", "--require", "failure_ratio <= 5 %", "--horizon", "60 s"],
        "stress": ["--fault", "workers_down start=20s duration=5s", "--observe", "30 s", "--replications", "2"],
    }[command]
    out = tmp_path / "out"
    assert run(capsys, command, str(tmp_path / "s.toml"), *words, "--out", str(out))[0] in (0, 1)
    assert run(capsys, "report", str(out), "--html", "--pdf", "--md")[0] == 0
    titles = [section.title for section in kept(out).sections]
    assert [titles[0], *titles[-5:]] == ["Answer", *ORDER[-5:]]
    assert f"backwater {command}" in (out / "report.md").read_text("utf-8")


def test_the_citation_file_is_whole_and_holds_what_reports_cite():
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert {"cff-version", "message", "title", "authors"} <= set(told)  # what the format asks for
    assert told["cff-version"] == "1.2.0"
    assert (told["title"], told["version"], told["license"]) == ("backwater", project["version"], project["license"])
    assert told["authors"] == project["authors"]
    cited = {each["title"]: each["year"] for each in told["references"]}
    assert cited == {each.title: each.year for each in REFERENCES.values()}
    assert all({"type", "title", "authors"} <= set(each) for each in told["references"])


def test_a_folder_of_no_report_is_refused_in_one_line(tmp_path, capsys):
    status, out, error = run(capsys, "report", str(tmp_path), "--pdf")
    assert (status, out, error.count("\n")) == (2, "", 1)
    assert "must be a file of a sweep's results" in error


def test_published_reports_are_the_same_twice(tmp_path):
    told = every_part("calm")
    first, second = (publish(told, tmp_path, ["html", "md"]) and [p.read_bytes() for p in sorted(tmp_path.iterdir())]
                     for _ in range(2))  # fmt: skip
    assert first == second


def test_a_sweep_with_a_metric_of_ones_own_in_its_requirements_is_another_one():
    plain = STUDY.model_copy(update={"require": {}, "observed": {}})
    point = STUDY.points()[0]
    assert isinstance(plain, Experiment)
    assert plain.key(point, None) != STUDY.key(point, None)
    assert STUDY.extra == ("served_within(4 s)", "served_within(2 s)")


def test_what_is_assumed_is_written_as_a_person_would():
    shifts = {"points": [("0 s", 1), ("8 h", 3)], "every": "24 h"}
    made = bw.Scenario(arrivals=bw.Poisson(rate=1), workers={"service": "1 s", "shifts": shifts}, faults=[
        {"kind": "workers_slow", "factor": 2.0, "start": "3 s"}, {"kind": "errors", "share": 0.25}])  # fmt: skip
    found = {path: value for path, value, _ in assumptions(made, set())}
    assert found["workers.shifts.points"] == "0 s, 1; 8 h, 3"
    assert found["faults"].startswith("kind workers_slow, start 3 s, factor 2, in_hand pause; kind errors, ")
    assert "None" not in " ".join(found.values())
    assert found["queue.capacity"] == "none"
