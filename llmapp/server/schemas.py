"""The bodies of requests and, for the documentation at /docs, of responses.

Our own routes take exactly what is written here. The OpenAI routes ignore what they do not know, because clients send
many parameters that mean nothing to an application which chooses its own model and prompt.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from llmapp.types import Outcome


class _Exact(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


Where: TypeAlias = Annotated[
    str | dict[str, JsonValue] | None,
    Field(default=None, description="Only from documents that satisfy this filter: its text, or its JSON form."),
]


class AskRequest(_Exact):
    """A question."""

    question: Annotated[str, Field(description="The question; its longest length is the setting prompt.max_question_chars.")]
    where: Where


class SummarizeRequest(_Exact):
    """A task for a summary."""

    task: Annotated[str, Field(description="What the summary is to say; as long as a question.")]
    where: Where
    words: Annotated[int | None, Field(default=None, ge=1, le=100_000, description="Most words; else a page.")]


class SearchRequest(_Exact):
    """A query."""

    query: Annotated[str, Field(description="What to look for.")]
    top_k: Annotated[int | None, Field(default=None, ge=1, le=1000, description="Hits to return; else retrieval.top_k.")]
    where: Where


class ContentPart(BaseModel):
    """A part of a message; only text is read."""

    type: str
    text: str | None = None


class ChatMessage(BaseModel):
    """A turn of a conversation; system and developer turns are ignored, the application has its own instructions."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[ContentPart] | None = None


class StreamOptions(BaseModel):
    """How to stream."""

    include_usage: bool | None = False


class ResponseFormat(BaseModel):
    """The form of the answer; only text is offered."""

    type: str = "text"


class Options(_Exact):
    """What OpenAI has no name for; clients send it as `extra_body`."""

    where: Where


class ChatRequest(BaseModel):
    """A request of OpenAI's chat completions.

    The last message is the question, the user's and assistant's messages before it are the history. ``max_tokens`` and
    its namesakes, ``temperature``, ``top_p``, ``seed``, ``stop``, ``user``, penalties, ``logprobs`` and everything else
    that is not listed are accepted and ignored: the output limit is the setting model_options.max_output_tokens.
    """

    model: Annotated[str, Field(description="`llmapp`, or the name of the configured model.")]
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: Annotated[int | None, Field(default=1, description="Answers to give; only 1.")]
    tools: Annotated[list[JsonValue] | None, Field(default=None, description="Not offered.")]
    functions: Annotated[list[JsonValue] | None, Field(default=None, description="Not offered.")]
    response_format: Annotated[ResponseFormat | None, Field(default=None, description="Only `text`.")]
    llmapp: Annotated[Options | None, Field(default=None, description="What OpenAI has no name for.")]


class CitationBody(_Exact):
    """A pointer to the words of a document."""

    number: int
    uri: str
    title: str
    page: int | None
    start_char: int
    end_char: int
    quote: str


class UsageBody(_Exact):
    """Tokens."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int


class SectionBody(_Exact):
    """What a section of the prompt asked for, and what it got. Tokens."""

    name: str
    tier: int
    asked_tokens: int
    min_tokens: int
    max_tokens: int
    got_tokens: int


class DecisionBody(_Exact):
    """What became of a part of the prompt, or of a candidate for it."""

    item: str
    section: str
    outcome: Outcome
    tokens: int
    reason: str
    score: float | None
    marginal_tokens: int | None
    placed_tokens: int | None


class PromptBody(_Exact):
    """How the token budget was spent; kept and dropped count sources."""

    budget_tokens: int
    used_tokens: int
    reserved_output_tokens: int
    static_prefix_tokens: int
    reusable_prefix_tokens: int
    is_exact: bool
    counter: str
    template: str
    kept: int
    dropped: int
    sections: list[SectionBody]
    decisions: list[DecisionBody]


class AnswerBody(_Exact):
    """An answer with its citations, cost and prompt report."""

    question: Annotated[str, Field(description="As it was asked.")]
    follows_up: Annotated[
        bool, Field(description="Whether earlier turns came with it, without which it may say too little.")
    ]
    answer: str
    citations: list[CitationBody]
    model: str
    usage: UsageBody
    cost_usd: float
    prompt: PromptBody
    queries: Annotated[list[str], Field(description="What was searched for, where it was not just the question.")]
    notes: Annotated[list[str], Field(description="What did not work on the way and was left out.")]
    timings_s: dict[str, float]


class SummaryPartBody(_Exact):
    """One request of a summary, in short."""

    round: Annotated[int, Field(description="From 1 for requests for notes; 0 for the summary itself.")]
    template: str
    budget_tokens: int
    used_tokens: int
    sources: int
    output_tokens: int


class SummaryBody(_Exact):
    """A summary with its citations, its cost and its requests in short."""

    summary: str
    citations: list[CitationBody]
    model: str
    documents: int
    rounds: int
    usage: UsageBody
    cost_usd: float
    requests: list[SummaryPartBody]
    notes: Annotated[list[str], Field(description="What was left out, cut, or could not be told.")]
    timings_s: dict[str, float]


class HitBody(_Exact):
    """A chunk that was found."""

    rank: int
    score: float
    uri: str
    document_id: str
    chunk_id: str
    start_char: int
    end_char: int
    page: int | None
    text: str


class HitsBody(_Exact):
    """Hits, best first."""

    hits: list[HitBody]
    notes: Annotated[list[str], Field(description="What did not work and was left out.")]
    cost_usd: Annotated[float, Field(description="What embedder and reranker took for it.")]


class FieldBody(_Exact):
    """A field that filters may name."""

    name: str
    documents: Annotated[
        dict[str, int], Field(description="Documents by kind of value: text, number, boolean, time, object.")
    ]


class FieldsBody(_Exact):
    """Fields, by name."""

    fields: list[FieldBody]


class ErrorDetail(BaseModel):
    """What went wrong; below /v1 with OpenAI's `type` and `param`."""

    code: str
    message: str
    hint: str
    retryable: bool


class ErrorBody(_Exact):
    """An error."""

    error: ErrorDetail


class ReadyBody(_Exact):
    """Whether the server can answer."""

    ready: bool
    degraded: Annotated[
        str | None, Field(description="Why vector index or embedder do not serve; exact search, or words alone, do.")
    ]
    pending: Annotated[int | None, Field(description="Chunks that the vector index has not taken yet.")]
