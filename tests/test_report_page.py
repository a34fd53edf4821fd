"""The page of a report in a real browser: silent, alone, readable, the answer on the first screen, whole on paper."""

import base64
import itertools
from dataclasses import replace

import pytest
from browser import PAGE, Browser
from reports import ALL, STUDY, every_part

from backwater.experiments.document.html import html
from backwater.experiments.report import document
from backwater.experiments.study import sampled
from backwater.experiments.sweep import run_experiment

BAD = '<!doctype html><title>bad</title><img src="http://elsewhere.invalid/x.png"><script>console.error("oh")</script>'
# Every element with text of its own: its colour, and the first background behind it that is not transparent.
COLOURS = """[...document.querySelectorAll("body *")].filter(
  e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())
).map(e => {
  let b = e;
  while (b && /, 0\\)$/.test(getComputedStyle(b).backgroundColor)) b = b.parentElement;
  return [getComputedStyle(e).color, b ? getComputedStyle(b).backgroundColor : "rgb(255, 255, 255)", e.tagName];
})"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One browser for all tests."""
    made = Browser(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def page():
    """The page of a study with everything in it, an alarm of the usual length included."""
    swept = run_experiment(STUDY, parallel=1)
    told = document(swept, sampled(swept))
    return html(replace(told, alarms=("Exact theory lies outside the interval in 12 of 40 comparisons. " * 8,)))


def test_the_browser_sees_what_a_page_must_not_do(browser):
    browser.open(BAD)
    assert any("elsewhere.invalid" in url for url in browser.requests)
    assert any('"oh"' in complaint for complaint in browser.complaints)


def test_the_page_is_silent_and_asks_nothing_of_anybody(browser, page):
    for text in (page, html(every_part(ALL))):
        browser.open(text)
        assert browser.complaints == []
        assert browser.requests == []
        assert browser.ask("document.scripts.length") == 0
    assert browser.ask("location.href") == PAGE


def test_the_policy_of_the_page_forbids_what_would_be_injected(browser, page):
    harm = '<img src="http://elsewhere.invalid/x.png"><script>document.title = "49"</script>'
    browser.open(page.replace("</main>", f"{harm}</main>"))
    assert not any("elsewhere" in asked for asked in browser.proxy.asked)
    assert len(browser.complaints) == 2  # it says so
    assert browser.ask("document.title") == STUDY.scenario.name


def test_question_alarm_and_answer_are_on_the_first_screen(browser, page):
    browser.open(page, 1280, 800)
    for what in ("h1", ".question", ".alarm", "#answer p"):
        box = browser.ask(f"document.querySelector({what!r}).getBoundingClientRect().toJSON()")
        assert 0 <= box["top"] < box["bottom"] <= 800, what


@pytest.mark.parametrize("width", [1280, 360])
def test_no_screen_must_be_scrolled_sideways(browser, page, width):
    for text in (page, html(every_part(ALL))):
        browser.open(text, width, 800)
        assert browser.ask("document.documentElement.scrollWidth") <= width


def test_the_page_can_be_read_without_seeing_it(browser, page):
    browser.open(page)
    assert browser.ask("document.documentElement.lang") == "en"
    assert [browser.ask(f"document.querySelectorAll('{tag}').length") for tag in ("h1", "header", "main", "nav",
                                                                                  "footer")] == [1] * 5  # fmt: skip
    levels = browser.ask("[...document.querySelectorAll('h1,h2,h3')].map(e => +e.tagName[1])")
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    alts = browser.ask("[...document.images].map(e => e.alt)")
    assert len(alts) == 5
    assert all(len(alt) > 60 and any(c.isdigit() for c in alt) for alt in alts)
    assert browser.ask("[...document.querySelectorAll('table')].every(e => e.caption && e.caption.innerText.trim())")
    assert browser.ask("[...document.querySelectorAll('th')].every(e => ['col', 'row'].includes(e.scope))")
    assert browser.ask("[...document.links].every(e => document.getElementById(e.hash.slice(1)))")
    assert browser.ask("[...document.querySelectorAll('.many')].every(e => e.tabIndex === 0 && e.ariaLabel)")


def luminance(colour):
    """Relative luminance. Source: WCAG 2.2."""
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(", ")]
    red, green, blue = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_text_stands_out_from_what_is_behind_it(browser, page):
    browser.open(page)
    found = browser.ask(COLOURS)
    assert len(found) > 100
    for text, behind, tag in {tuple(each) for each in found}:
        light, dark = sorted((luminance(text), luminance(behind)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (tag, text, behind)


def test_whoever_tabs_sees_where_they_are(browser, page):
    browser.open(page)
    for key in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=key, key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert browser.ask("document.activeElement.className") == "skip"
    assert browser.ask("document.activeElement.getBoundingClientRect().left") >= 0
    assert browser.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_the_page_prints_whole(browser, page):
    browser.open(page, 688)  # A4 without its margins
    browser.call("Emulation.setEmulatedMedia", media="print")
    wide = browser.ask("[...document.querySelectorAll('.wide')].every(e => e.scrollWidth <= e.clientWidth + 1)")
    hidden = browser.ask("getComputedStyle(document.querySelector('nav')).display")
    browser.call("Emulation.setEmulatedMedia", media="")
    assert (wide, hidden) == (True, "none")
    printed = base64.b64decode(browser.call("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert 4 <= printed.count(b"/Type /Page\n") <= 14
