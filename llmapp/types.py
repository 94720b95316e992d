"""The values that travel between the rooms: frozen, without behaviour beyond their own consistency.

Characters are Python code points, offsets are half open ``[start, end)``, money is USD unless a name says nano-USD,
times are seconds. None means unknown, never zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import JsonValue

from llmapp.errors import InvalidRequestError

PUBLIC = "public"
"""The grant that every principal holds."""

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. Nothing is read without one."""

    user: str
    """Stable id of the user, e.g. ``local`` on a desktop."""
    groups: tuple[str, ...] = ()
    """Groups that the user belongs to, by name."""
    tenant: str | None = None
    """The organisation that the user belongs to, by name; None where there is only one."""

    def __post_init__(self) -> None:
        """Refuse a text for `groups`: its letters would be taken for names of groups.

        Raises:
            InvalidRequestError: `groups` is a text.
        """
        groups: object = self.groups  # whose annotation a caller need not have heeded
        if isinstance(groups, str):
            raise InvalidRequestError("the groups of a principal are a text", hint='name each by itself: groups=("hr",)')

    @property
    def grants(self) -> frozenset[str]:
        """The access-list entries that let this principal read: ``public``, ``user:…``, ``group:…``, ``tenant:…``."""
        tenants = () if self.tenant is None else (f"tenant:{self.tenant}",)
        return frozenset({PUBLIC, f"user:{self.user}", *(f"group:{name}" for name in self.groups), *tenants})


EVERYBODY = Principal("")
"""Reads what everybody may: no access list names a user without a name."""

LOCAL_USER = Principal("local")
"""The principal of the command line and of a server without authentication; it sees what is public."""


@dataclass(frozen=True, slots=True)
class Document:
    """One item as its source knows it: with text, or with content that is still to be parsed."""

    id: str
    """Unique and stable within its source."""
    uri: str
    """Where a person finds it."""
    text: str | None = None
    """The text, when the source has it ready; else `content` is parsed."""
    content: Callable[[], bytes] | None = field(default=None, compare=False)
    """Reads the raw bytes; called only when the revision has changed. Not both `text` and `content`."""
    media_type: str | None = None
    """Media type as declared by the source; None lets the host sniff it."""
    title: str | None = None
    """None takes the parser's title, else the last part of the uri."""
    revision: str | None = None
    """Opaque to the host: equal to the stored one means unchanged. None compares the content."""
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    """Facts about the document that filters may use."""
    acl: tuple[str, ...] | None = None
    """Grants that may read it (``public``, ``user:…``, ``group:…``, ``tenant:…``); None takes the rules of the source, () is nobody."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A span of one document: ``document.text[start_char:end_char] == text``."""

    id: str
    """Hash of source, document, span, text, chunker and embedder: the same input gives the same id."""
    source: str
    document_id: str
    uri: str
    title: str
    text: str
    start_char: int
    end_char: int
    page: int | None = None
    """Page on which the chunk starts, from 1; None where the document has no pages."""
    heading: str = ""
    """Headings above it, outermost first, joined by `` › ``."""

    @property
    def key(self) -> str:
        """The document's name across sources: ``source:document_id``."""
        return f"{self.source}:{self.document_id}"


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that a retriever found."""

    chunk: Chunk
    score: float
    """Higher is better; comparable only within one retriever."""
    rank: int
    """From 1."""
    retriever: str
    """``dense``, ``lexical``, ``fused`` or ``reranked``."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has found, and how it went."""

    hits: tuple[Hit, ...]
    """Best first, ranks from 1."""
    notes: tuple[str, ...] = ()
    """What did not work and was left out, a sentence each; empty when all is well."""
    timings_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds of each stage of the ranking, by its name."""
    cost_usd: float = 0.0
    """What embedder, reranker and chat model took for it, as `llmapp.App.find` counts it; on the way to an answer 0, for the
    answer's cost holds it."""


@dataclass(frozen=True, slots=True)
class Relevance:
    """How well passages fit a question, as a model judges them."""

    scores: tuple[float, ...]
    """One for each passage, in their order; higher is better, comparable only within one question and one model."""
    billed_tokens: int | None = None
    """Tokens that the provider bills; None when it does not say, or runs here."""
    billed_searches: int | None = None
    """Searches that the provider bills; None when it does not say, or bills tokens."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a chat model asks for."""

    id: str
    """Names the call within its conversation; the message with its result bears the same."""
    name: str
    arguments: str
    """JSON, as the model wrote it."""


@dataclass(frozen=True, slots=True)
class Tool:
    """What a chat model may call."""

    name: str
    description: str
    parameters: Mapping[str, JsonValue]
    """JSON Schema of the arguments."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a request to a chat model."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    """Of the assistant: what it asks for; each is answered by a message of the role ``tool``."""
    tool_call_id: str | None = None
    """Of a tool: the call whose result this is."""


@dataclass(frozen=True, slots=True)
class Source:
    """A numbered source as it stands in a prompt. A passage with a gap in it is several of one number, one for each stretch."""

    number: int
    """From 1, in the order of the prompt."""
    chunk: Chunk
    """The words that stand there, those of its span in the document; of several chunks put together the id is the first one's."""
    parts: tuple[Chunk, ...] = ()
    """The chunks that it was put together from, in order of the document; empty where it is one."""


Outcome = Literal["kept", "trimmed", "merged", "dropped"]
"""``trimmed`` stands in part, ``merged`` within another item that it overlaps or follows."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the assembler did with one candidate."""

    item: str
    """Chunk id, or the name of a pinned part."""
    section: str
    outcome: Outcome
    tokens: int
    """Tokens of the part alone, rendered. Counts do not add up exactly; `PromptReport.used_tokens` is the proof."""
    reason: str
    """Why: ``pinned``, ``fits``, ``over budget``, ``duplicate text``, …; the whole list stands in `llmapp.prompting.REASONS`."""
    score: float | None = None
    marginal_tokens: int | None = None
    """What it was reckoned to add when it was chosen: of an overlapping chunk the new text alone; None where it was not chosen."""
    placed_tokens: int | None = None
    """What it adds to the finished request, in the order of the prompt: those of all parts add up to `PromptReport.used_tokens`.
    None unless the report was asked to measure it."""


@dataclass(frozen=True, slots=True)
class SectionShare:
    """What a section of the prompt asked for, and what it got. Tokens."""

    name: str
    tier: int
    asked_tokens: int
    """All its candidates, each alone."""
    min_tokens: int
    max_tokens: int
    """Its cap in this prompt, after tiers and weights."""
    got_tokens: int


@dataclass(frozen=True, slots=True)
class PromptReport:
    """How the token budget was spent."""

    budget_tokens: int
    """Tokens that the request may have: the context window less the reserve for the answer, or less."""
    used_tokens: int
    """Tokens of the whole rendered request, recounted."""
    reserved_output_tokens: int
    """Tokens kept free for the answer."""
    is_exact: bool
    """Whether the counter is the model's own."""
    counter: str
    """Name of the counter."""
    decisions: tuple[Decision, ...]
    """One for each part, in the order of the prompt, the dropped last."""
    sections: tuple[SectionShare, ...] = ()
    """In the order of the prompt."""
    template: str = ""
    """Name and version of the template."""
    static_prefix_tokens: int = 0
    """Tokens from the beginning that are the same for every question, so that a provider may have them cached."""
    reusable_prefix_tokens: int = 0
    """Tokens from the beginning that the next question of the conversation finds unchanged, unless it passes the high watermark:
    those before the sources, `static_prefix_tokens` among them."""

    @property
    def kept(self) -> int:
        """Number of sources in the prompt, those in part or within another among them."""
        return sum(d.outcome != "dropped" and d.section == "sources" for d in self.decisions)

    @property
    def dropped(self) -> int:
        """Number of sources left out."""
        return sum(d.outcome == "dropped" and d.section == "sources" for d in self.decisions)


@dataclass(frozen=True, slots=True)
class Prompt:
    """The ordered messages as they are sent, the sources they hold, and the report."""

    messages: tuple[Message, ...]
    sources: tuple[Source, ...]
    report: PromptReport
    notes: tuple[str, ...] = ()
    """What a reader of the answer should know of what was left out of the conversation, a sentence each; empty when nothing was."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, or of several added up."""

    input_tokens: int = 0
    """All input, cached tokens included."""
    output_tokens: int = 0
    """All output, reasoning included."""
    cache_read_tokens: int = 0
    """Part of the input that the provider had cached."""
    cache_write_tokens: int = 0
    """Part of the input that the provider has newly cached."""

    def __add__(self, other: Usage) -> Usage:
        """The sum, field by field."""
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
        )


@dataclass(frozen=True, slots=True)
class Citation:
    """A pointer from an answer to a span of a document that was in the prompt."""

    number: int
    """The number that the answer's text uses, e.g. 1 for ``[1]``."""
    uri: str
    title: str
    page: int | None
    start_char: int
    end_char: int
    quote: str
    """The words of the document: ``document.text[start_char:end_char]``."""
    heading: str = ""
    chunk_id: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question gets."""

    text: str
    citations: tuple[Citation, ...]
    model: str
    usage: Usage
    cost_usd: float
    """What the answer has cost: the call, and what its search and its ranking have asked of embedders, rerankers and the model."""
    report: PromptReport
    timings_s: Mapping[str, float]
    """Seconds by stage: ``retrieve``, ``assemble``, ``complete``, ``total``; and within ``retrieve`` those of its own stages."""
    finish_reason: FinishReason | None = None
    """Why the model stopped: at its end, at the output limit, or by the provider's filter; None when it did not say."""
    queries: tuple[str, ...] = ()
    """What was searched for, where it was not just the question as it was asked: how it was understood, then other wordings."""
    notes: tuple[str, ...] = ()
    """What did not work on the way and was left out, a sentence each; empty when all is well."""
    question: str = ""
    """As it was asked; half a character, which no JSON can hold, is U+FFFD."""
    follows_up: bool = False
    """Whether earlier turns were given with it, without which it may not be understood."""


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """The text of a document and what is known about its parts."""

    text: str
    title: str | None = None
    page_starts: tuple[int, ...] = ()
    """Offset of the first character of each page; empty where there are no pages."""
    parser: str = ""
    """Name and version of the parser; part of the content hash."""
    has_headings: bool = True
    """Whether lines may be Markdown headings; False for plain text, where ``# `` may begin a comment."""


@dataclass(frozen=True, slots=True)
class ChunkSpan:
    """A span that the chunker chose, before it becomes a `Chunk`."""

    start_char: int
    end_char: int
    heading: str = ""
