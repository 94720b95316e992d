"""The page of a prompt as a browser shows it, in light and dark, wide and narrow, whatever the texts are."""

import html
import json
import re
import shutil
import subprocess

import pytest

from llmapp.prompting.assembly import Assembler
from llmapp.prompting.counting import BpeCounter
from llmapp.prompting.examples import Example, Examples
from llmapp.prompting.views.page import prompt_page
from llmapp.types import Chunk, Hit, Message

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")

HOSTILE = "</title></style><script>parent.broken = 1</script><img src=x onerror='parent.broken = 1'>"
TITLES = ("Handbook", "دليل المطالبات والتعويضات", "x" * 400, HOSTILE)
WIDTHS = (360, 1280)
DARK, LIGHT = 0, 1
"""Chromium's own numbers."""

LOOK = """
const seen = [...document.querySelectorAll("iframe")].map(frame => {
  const page = frame.contentDocument, root = page.documentElement;
  for (const each of page.querySelectorAll("details")) each.open = true;
  return {
    wide: root.scrollWidth, room: root.clientWidth, ink: frame.contentWindow.getComputedStyle(page.body).color,
    paper: frame.contentWindow.getComputedStyle(page.body).backgroundColor, heading: page.querySelector("h1").textContent,
    labels: [...page.querySelectorAll(".part span")].map(each => each.textContent),
    bars: [...page.querySelectorAll("rect")].filter(each => each.getBoundingClientRect().width > 0).length,
    loaded: frame.contentWindow.performance.getEntriesByType("resource").length,
    foreign: page.querySelectorAll("script, img, link, iframe, object, [onerror], [src], [href]").length,
  };
});
document.getElementById("seen").textContent = JSON.stringify({seen, broken: window.broken ?? 0});
"""


def prompt_of(count, budget_tokens):
    texts = [f"{title} {'word ' * 40}{number}" for number, title in zip(range(count), TITLES * count, strict=False)]
    hits = [
        Hit(Chunk(f"c{n}", "s", f"d{n}", "u", TITLES[n % 4], text, 0, len(text)), 1 / (n + 1), n + 1, "fused")
        for n, text in enumerate(texts)
    ]
    examples = Examples([Example(HOSTILE, HOSTILE), Example("ب" * 300, "a" * 300)])
    assembler = Assembler(BpeCounter(), budget_tokens=budget_tokens, reserve_output_tokens=100, examples=examples)
    prompt = assembler.assemble(HOSTILE, hits, history=[Message("user", HOSTILE), Message("assistant", "y" * 500)])
    return prompt, prompt_page(prompt, question=HOSTILE, labels={hit.chunk.id: hit.chunk.title for hit in hits})


PROMPTS = [prompt_of(5, 6_000), prompt_of(300, 6_000)]


def look(folder, scheme):
    """What a browser sees of every page in every width."""
    frames = "".join(
        f'<iframe style="width:{width}px;height:900px;border:0" srcdoc="{html.escape(page)}"></iframe>'
        for _, page in PROMPTS
        for width in WIDTHS
    )
    harness = folder / "harness.html"
    script = f"<script>onload = () => {{ {LOOK} }}</script>"
    harness.write_text(f"<!doctype html><meta charset=utf-8>{frames}<pre id=seen></pre>{script}", encoding="utf-8")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=20000",
        f"--user-data-dir={folder}/profile",
    ]
    command = [BROWSER, *flags, f"--blink-settings=preferredColorScheme={scheme}", "--dump-dom", harness.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True).stdout
    return json.loads(html.unescape(re.search(r'<pre id="seen">(.*?)</pre>', shown, re.DOTALL)[1]))


@pytest.fixture(scope="module", params=[LIGHT, DARK], ids=["light", "dark"])
def shown(request, tmp_path_factory):
    return request.param, look(tmp_path_factory.mktemp("browser"), request.param)


def test_nothing_is_wider_than_the_screen_whatever_the_titles_are(shown):
    for each, width in zip(shown[1]["seen"], WIDTHS * len(PROMPTS), strict=True):
        assert width - 20 <= each["room"] <= width  # what the bar for scrolling leaves
        assert each["wide"] <= each["room"]


def test_no_text_becomes_markup_nothing_runs_and_nothing_is_asked_for(shown):
    assert shown[1]["broken"] == 0
    for each in shown[1]["seen"]:
        assert each["heading"] == HOSTILE
        assert (each["foreign"], each["loaded"]) == (0, 0)


def test_every_part_is_shown_with_its_title_and_a_bar(shown):
    reports = [prompt.report for prompt, _ in PROMPTS for _ in WIDTHS]
    for each, report in zip(shown[1]["seen"], reports, strict=True):
        assert len(each["labels"]) == each["bars"] == len(report.decisions)
        assert set(TITLES) <= set(each["labels"])


def test_the_colours_are_those_that_the_reader_wants(shown):
    scheme, seen = shown

    def light_of(colour):
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    for each in seen["seen"]:
        paper, ink = light_of(each["paper"]), light_of(each["ink"])
        assert (paper > 600 and ink < 200) if scheme == LIGHT else (paper < 200 and ink > 600)
