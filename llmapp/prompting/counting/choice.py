"""Which counter a model has, by its name."""

from __future__ import annotations

import re
from pathlib import Path

from llmapp.prompting.counting.estimate import CLAUDE_FACTOR, EstimateCounter
from llmapp.prompting.counting.gguf import GgufCounter
from llmapp.prompting.counting.huggingface import HuggingFaceCounter
from llmapp.prompting.counting.openai import CL100K, O200K, BpeCounter
from llmapp.protocols import TokenCounter

_OPENAI = re.compile(r"(?:(?:azure_)?openai:)?(?:ft:)?(?P<name>[^:]+)(?::|$)")
# Source: tiktoken 0.14, model.py; a test compares the two.
_ENCODINGS = (
    (re.compile(r"gpt-4o|gpt-4\.[15]|chatgpt-4o|gpt-5|o[134](-|$)"), O200K),
    (re.compile(r"gpt-(4|3\.5|35)(-|$)|text-embedding-(3-|ada-002$)|(davinci|babbage)-002$"), CL100K),
)


def counter_for(model: str) -> TokenCounter:
    """The counter for a chat model, by the string that chooses the model.

    Args:
        model: E.g. ``extractive``, ``openai:gpt-4o``, ``gpt-4.1-mini``, ``ollama:llama3.2``.

    Returns:
        An exact counter for OpenAI's models and for ``extractive`` (which has no tokens of its own: o200k_base by
        convention); an estimate from above for all others.
    """
    if model == "extractive":
        return BpeCounter(O200K)
    if "claude" in model.lower():
        return EstimateCounter(CLAUDE_FACTOR)
    if (openai := _OPENAI.match(model)) is None:
        return EstimateCounter()
    encodings = (encoding for pattern, encoding in _ENCODINGS if pattern.match(openai["name"]))
    encoding = next(encodings, None)
    return BpeCounter(encoding) if encoding else EstimateCounter()


def counter_of(path: Path) -> TokenCounter:
    """The counter for a model whose files are at hand; they are read at the first count.

    Args:
        path: A ``tokenizer.json``, the folder that it is in, or a GGUF file.
    """
    return GgufCounter(path) if path.suffix.lower() == ".gguf" else HuggingFaceCounter(path)
