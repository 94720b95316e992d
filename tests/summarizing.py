"""Documents cut into chunks, and a chat model that reads the frames of its request and answers as it is told."""

import asyncio
import hashlib
import itertools

import numpy as np
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field, PrivateAttr, SkipValidation

from llmapp.app.summaries.summarizer import Assemblers
from llmapp.catalog.records import DocumentRecord
from llmapp.frames import read_sources
from llmapp.prompting.assembly import Assembler
from llmapp.prompting.templates import load_template
from llmapp.types import PUBLIC, Chunk, Message

VECTOR = np.array([1.0, 0.0], dtype=np.float32)


def record(name, text, *, chunk_chars=80, overlap_chars=0, acl=(PUBLIC,), source="s", metadata=None, pages=False):
    """A document, cut every so many characters; its title is its name in capitals."""
    starts = range(0, max(1, len(text) - overlap_chars), chunk_chars - overlap_chars)
    spans = [(start, min(len(text), start + chunk_chars)) for start in starts]
    chunks = [
        Chunk(
            f"{source}/{name}/{start}", source, name, f"u/{name}", name.upper(), text[start:end], start, end,
            1 + start // 1_000 if pages else None,
        )
        for start, end in spans
        if text[start:end].strip()
    ]  # fmt: skip
    digest = hashlib.sha256(f"{text}{acl}{chunk_chars}".encode()).hexdigest()
    return DocumentRecord(
        source=source, document_id=name, uri=f"u/{name}", title=name.upper(), text=text, page_starts=(), media_type=None,
        metadata=metadata or {}, acl=tuple(acl), revision=None, content_hash=digest, parser="none", chunks=tuple(chunks),
        embedding_keys=tuple("k" for _ in chunks),
    )  # fmt: skip


def note_each(number, sources):
    """A note on each source: its first words, cited."""
    return "\n".join(f"- {' '.join(source.text.split()[:6])} [{source.number}]" for source in sources)


def note_together(number, sources):
    """A note on every four sources: the first words of the first, which all are said to share."""
    fours = [sources[at : at + 4] for at in range(0, len(sources), 4)]
    return "\n".join(
        f"- {' '.join(four[0].text.removeprefix('- ').split()[:6])} {''.join(f'[{each.number}]' for each in four)}"
        for four in fours
    )


class ReadingModel(BaseChatModel):
    """Calls a function of the number of its call and the sources that it reads; counts tokens as bytes."""

    write: SkipValidation = Field(default=note_each)
    pause_s: float = 0.0
    requests: list = Field(default_factory=list)
    limits: list = Field(default_factory=list)
    _numbers: itertools.count = PrivateAttr(default_factory=itertools.count)
    running: int = 0
    most_running: int = 0
    cancelled: int = 0

    @property
    def _llm_type(self):
        return "reading"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        raise NotImplementedError

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        number = next(self._numbers)
        self.requests.append(messages)
        self.limits.append(kwargs.get("max_tokens"))
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            await asyncio.sleep(self.pause_s / (1 + number % 3))
            text = self.write(number, read_sources(messages[-1].text))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        read, written = sum(len(message.text.encode()) for message in messages), len(text.encode())
        usage = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text, usage_metadata=usage))])

    def prompts(self):
        """The requests as our messages."""
        roles = {"system": "system", "human": "user"}
        return [[Message(roles[each.type], each.text) for each in messages] for messages in self.requests]


def assemblers(counter, material, *, budget_tokens, notes_tokens):
    def made(name, words):
        return Assembler(
            counter,
            budget_tokens=budget_tokens,
            reserve_output_tokens=notes_tokens,
            order="document",
            template=load_template(name),
            values={"material": material, "most_words": words},
        )

    return Assemblers(made("summary_whole", 100), made("summary_part", 50))
