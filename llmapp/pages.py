"""HTML and SVG as a tree, so that no text of a document can become markup: the standard library's serialiser escapes it."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, tostring

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""What HTML does not take, or UTF-8 cannot write."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5b6876; --line: #d9dfe6; --paper: #fff; --card: #f6f8fa;
  --one: #2f6fb5; --good: #2b8a5b; --bad: #c2493d; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ef; --soft: #97a3b0; --line: #37414d; --paper: #14181d; --card: #1c2229;
  --one: #6ea8e6; --good: #5fbf90; --bad: #e58378; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 64rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
p { margin: .3rem 0; color: var(--soft); } .warn { color: var(--bad); }
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: 1rem; margin-top: 1.4rem; }
figure { margin: 0; padding: .9rem 1rem .6rem; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
figcaption { font-weight: 600; margin-bottom: .4rem; } svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; } .bar { fill: var(--one); } .axis { stroke: var(--line); }
.curve { fill: none; stroke: var(--one); stroke-width: 2; } .whisker { stroke: var(--one); stroke-width: 2; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; } th { color: var(--soft); font-weight: 500; } .number { text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap; } td svg { width: 9rem; }
.good { color: var(--good); } .bad { color: var(--bad); } .soft { color: var(--soft); }
article { border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; margin: .8rem 0; }
article h3 { margin: 0 0 .3rem; font-size: 1rem; overflow-wrap: anywhere; } ol { margin: .4rem 0 0; padding-left: 1.4rem; }
li { margin: .25rem 0; overflow-wrap: anywhere; }
"""


def el(tag: str, *children: Element | str, **attributes: str | float) -> Element:
    """An element with its children, texts among them; ``class_`` is written ``class``, ``_`` in names is ``-``."""
    element = Element(tag, {name.rstrip("_").replace("_", "-"): _written(value) for name, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            element.append(child)
        elif len(element):
            element[-1].tail = (element[-1].tail or "") + _clean(child)
        else:
            element.text = (element.text or "") + _clean(child)
    return element


def page(title: str, *sections: Element, style: str = "") -> str:
    """A whole document; `style` is CSS of its own, behind that of all pages."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", http_equiv="Content-Security-Policy", content="default-src 'none'; style-src 'unsafe-inline'"),
        el("title", title),
        el("style", _STYLE + style),
    )
    document = el("html", head, el("body", el("main", *sections)), lang="en")
    return "<!doctype html>\n" + tostring(document, encoding="unicode", method="html") + "\n"


def table(head: list[str], rows: list[list[Element | str]], *, numbers: frozenset[int] = frozenset()) -> Element:
    """A table; columns whose position is in `numbers` are set to the right."""
    kinds = [{"class_": "number"} if column in numbers else {} for column in range(len(head))]
    top = el("tr", *(el("th", name, **kind) for name, kind in zip(head, kinds, strict=True)))
    body = [el("tr", *(el("td", cell, **kind) for cell, kind in zip(row, kinds, strict=True))) for row in rows]
    return el("table", el("thead", top), el("tbody", *body))


def _written(value: str | float) -> str:
    return _clean(value) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
