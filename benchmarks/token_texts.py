"""Texts of every kind that a token count is tried on: prose of many scripts, code, data, ids, signs."""

from __future__ import annotations

import argparse
import base64
import inspect
import json
import random
import re
import uuid
from pathlib import Path

from evaluation_data import data_folder

LANGUAGES = {
    "French": "fr",
    "Polish": "pl",
    "Turkish": "tr",
    "Vietnamese": "vi",
    "Russian": "ru",
    "Greek": "el",
    "Hebrew": "he",
    "Arabic": "ar",
    "Persian": "fa",
    "Hindi": "hi",
    "Bengali": "bn",
    "Tamil": "ta",
    "Telugu": "te",
    "Thai": "th",
    "Georgian": "ka",
    "Armenian": "hy",
    "Khmer": "km",
    "Japanese": "ja",
    "Korean": "ko",
    "Chinese, traditional": "zh_Hant",
}
"""Folders of translations by language."""
CHARS = 30_000
"""Most characters of one kind."""


def texts(translations: Path | None) -> dict[str, str]:
    """Texts by kind; those of `LANGUAGES` where there is a folder ``*/LANGUAGE/LC_MESSAGES/*.po``, such as Django's."""
    found = {
        "English": (data_folder("chunking") / "state_of_the_union.md").read_text(encoding="utf-8"),
        "English, medicine": (data_folder("chunking") / "pubmed.md").read_text(encoding="utf-8"),
        "German": _paragraphs("beir-de"),
        "Chinese": _paragraphs("beir-zh"),
        "Python": inspect.getsource(argparse),
        **_data(),
        **_signs(),
    }
    for language, folder in LANGUAGES.items() if translations else ():
        found[language] = "\n".join(_translated(file) for file in sorted(translations.rglob(f"{folder}/LC_MESSAGES/*.po")))
    return {kind: text[:CHARS] for kind, text in found.items()}


def _paragraphs(corpus: str) -> str:
    lines = (data_folder("xquad") / corpus / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    return "\n".join(json.loads(line)["text"] for line in lines)


def _translated(file: Path) -> str:
    """The long messages of a catalog; a short one is a word of a form."""
    catalog = file.read_text(encoding="utf-8")
    parts = re.findall(r'^msgstr(?:\[\d\])? ((?:".*"\n)+)', catalog, re.MULTILINE)
    messages = ("".join(re.findall(r'"(.*)"', part)) for part in parts)
    return "\n".join(re.sub(r"%(\(\w+\))?[sd]|\{\w+\}|<[^>]+>|\\n", "", each) for each in messages if len(each) > 30)


def _data() -> dict[str, str]:
    rows = [json.loads(line) for line in (data_folder("xquad") / "beir-en" / "queries.jsonl").read_text().splitlines()[:200]]
    chance = random.Random(1)  # noqa: S311 - nothing secret
    numbers = [[chance.randrange(10 ** chance.randrange(1, 9)) for _ in range(8)] for _ in range(400)]
    return {
        "JSON in a line": json.dumps(rows),
        "JSON, indented": json.dumps(rows, indent=4),
        "CSV of numbers": "\n".join(",".join(map(str, row)) for row in numbers),
        "table, padded": "\n".join("|".join(f"{value:>12,.2f}" for value in row) for row in numbers),
        "UUIDs": "\n".join(str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(500)),
        "hexadecimal": chance.randbytes(10_000).hex(),
        "base64": base64.b64encode(chance.randbytes(15_000)).decode(),
        "log lines": "\n".join(
            f"2026-11-{n % 28 + 1:02} 12:{n % 60:02}:07.{n:03} WARN [worker-{n % 7}] GET /api/v2/items?id={n * 7919} 503 {n}ms"
            for n in range(300)
        ),
    }


def _signs() -> dict[str, str]:
    chance = random.Random(2)  # noqa: S311 - as above
    faces = [chr(code) for code in range(0x1F600, 0x1F650)]
    return {
        "emoji": "".join(chance.choices(faces, k=2000)),
        "emoji, joined": "\U0001f468\u200d\U0001f469\u200d\U0001f467\ufe0f " * 300,
        "combining marks": "".join(chance.choice("aeiou") + chr(chance.randrange(0x300, 0x340)) for _ in range(3000)),
        "mathematics": "".join(chance.choices("∀∃∑∫√≤≥≠∈∉⊂∩→⇒λμσπθ αβγ", k=3000)),
        "one letter": "x" * 20_000,
        "spaces": (" " * 37 + "\n") * 300,
        "random letters": "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=10_000)),
    }
