"""The ports: what each room offers the others. Read this after `llmapp.types`.

A port is what a caller needs and nothing more. Concrete parts are chosen in `llmapp.bootstrap` alone. All are
synchronous; the question path runs them in threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llmapp.filters.tree import Filter
    from llmapp.types import ChunkSpan, Found, Hit, Message, ParsedDocument, Principal, Relevance, Tool

    FloatArray: TypeAlias = NDArray[np.float32]


class Parser(Protocol):
    """Turns raw bytes into text."""

    @property
    def version(self) -> str:
        """Name and version; a new one makes documents be parsed again."""

    def parse(self, content: bytes, *, media_type: str, name: str) -> ParsedDocument:
        """Extract the text.

        Args:
            content: Raw bytes of the document.
            media_type: Its media type, e.g. ``application/pdf``.
            name: File name or last part of the uri, for messages and for a fallback title.

        Raises:
            UnsupportedMediaTypeError: No parser reads this media type.
            ParseError: The content is broken, encrypted, or holds no text.
            ParserCrashedError: The parser died, hung or took too much memory.
        """

    def close(self) -> None:
        """End the worker processes."""


class Tokenizer(Protocol):
    """Where the tokens of a text begin and end."""

    @property
    def identity(self) -> str:
        """Name and revision; a new one makes documents be cut again."""

    @property
    def special_tokens(self) -> int:
        """Tokens that every input has besides its text, e.g. 2 for ``[CLS]`` and ``[SEP]``."""

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Character spans of the tokens of `text` in order, special tokens left out."""

    def count(self, text: str) -> int:
        """Tokens of `text`, special tokens left out."""


class Chunker(Protocol):
    """Cuts a text into spans."""

    @property
    def version(self) -> str:
        """Name, version and settings; a new one makes documents be cut again."""

    def chunk(self, document: ParsedDocument) -> Iterator[ChunkSpan]:
        """Spans in order of the text, none of them blank, together covering all that is not white space."""


class Embedder(Protocol):
    """Turns texts into unit vectors."""

    @property
    def identity(self) -> str:
        """Name and revision; vectors of two identities are never compared."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    @property
    def max_tokens(self) -> int:
        """Tokens of one input, special tokens included."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the model."""

    def embed_documents(self, texts: Sequence[str]) -> FloatArray:
        """Embed texts to be searched.

        Returns:
            Shape (len(texts), dim), float32, each row of length 1, in the order of `texts`.

        Raises:
            EmbedderError: The model failed.
        """

    def embed_query(self, text: str) -> FloatArray:
        """Embed a question. Shape (dim,), float32, length 1; a longer text is cut at `max_tokens`.

        Raises:
            EmbedderError: The model failed.
        """


class VectorIndex(Protocol):
    """Nearest neighbours by id: a projection of the catalog that may be thrown away."""

    @property
    def name(self) -> str:
        """Name of the store, e.g. ``chroma``; of a class that settings name, ``package.module:Class``."""

    @property
    def is_shared(self) -> bool:
        """Whether several processes may read it at the same time; else only the holder of the index lock opens it."""

    def upsert(self, ids: Sequence[str], vectors: FloatArray) -> None:
        """Put vectors; applying the same twice changes nothing.

        Args:
            ids: Each once, however many.
            vectors: Unit vectors of `ids`. Shape (len(ids), dim).

        Raises:
            DimensionMismatchError: The store holds vectors of another length; it is as it was.
            IndexUnavailableError: The store cannot be written.
        """

    def delete(self, ids: Sequence[str]) -> None:
        """Remove ids; unknown ones are ignored.

        Raises:
            IndexUnavailableError: The store cannot be written.
        """

    def query(self, vector: FloatArray, *, top_k: int) -> list[tuple[str, float]]:
        """The `top_k` nearest ids with their cosine similarity, best first; all of them when there are fewer.

        Args:
            vector: Unit vector. Shape (dim,).
            top_k: From 1.

        Raises:
            DimensionMismatchError: The store holds vectors of another length.
            IndexUnavailableError: The store cannot be read, or was never written.
        """

    def ids(self) -> set[str]:
        """All ids in the store.

        Raises:
            IndexUnavailableError: The store cannot be read, or was never written.
        """

    def vectors(self, ids: Sequence[str]) -> dict[str, FloatArray]:
        """The stored vectors of those `ids` that are there, each of shape (dim,), float32.

        Raises:
            IndexUnavailableError: The store cannot be read, or was never written.
        """

    def mend(self) -> None:
        """Make a store writable whose last write was cut short, whatever it holds then: the caller compares all of it.

        Raises:
            IndexUnavailableError: The store cannot be mended.
        """

    def settle(self) -> None:
        """Much was put and all of it is in: make now what makes searching fast. A search is right without it.

        Raises:
            IndexUnavailableError: The store cannot be written.
        """

    def fault(self) -> str | None:
        """Why the store cannot serve, found without opening it; None when nothing speaks against it."""

    def clear(self) -> None:
        """Throw everything away, a broken store included.

        Raises:
            IndexUnavailableError: The store cannot be emptied.
        """

    def close(self) -> None:
        """Release files and connections; the next use opens them again."""


class Retriever(Protocol):
    """Finds chunks for a question."""

    def retrieve(self, query: str, *, principal: Principal, top_k: int, where: Filter | None = None) -> list[Hit]:
        """At most `top_k` hits that `principal` may read, best first, ranks from 1.

        Args:
            query: A question, or some words.
            principal: Who asks.
            top_k: Most hits to return.
            where: What the documents of the hits must satisfy; None is nothing.

        Raises:
            RetrievalError: The search cannot be made.
        """


class Searcher(Protocol):
    """Finds chunks for a question that may be put in several wordings, and says how it went."""

    def search(
        self,
        query: str,
        *,
        wordings: Sequence[str] = (),
        principal: Principal,
        top_k: int,
        where: Filter | None = None,
    ) -> Found:
        """At most `top_k` hits that `principal` may read and whose documents satisfy `where`.

        Args:
            query: The question; what is found is judged by it.
            wordings: The same question in other words; they are searched for as well.
            principal: Who asks.
            top_k: Most hits.
            where: What a document must satisfy; None is every document.

        Raises:
            RetrievalError: The search cannot be made.
            CostError: A paid part of it could pass a budget, or has no price.
        """


class Reranker(Protocol):
    """Puts hits in a better order. It never adds one."""

    @property
    def name(self) -> str:
        """How messages name it, e.g. ``cross-encoder:NAME``."""

    def rerank(self, query: str, hits: Sequence[Hit], *, top_k: int) -> list[Hit]:
        """At most `top_k` of `hits`, each at most once, best first, with scores of its own.

        Raises:
            RerankerError: It failed.
            ModelError: The model behind it failed.
            CostError: The call could pass a budget, or has no price.
        """


class RelevanceScorer(Protocol):
    """Judges how well passages fit a question, each by itself."""

    @property
    def name(self) -> str:
        """How messages name it, e.g. ``api:MODEL``."""

    def score(self, query: str, passages: Sequence[str]) -> Relevance:
        """A score for each of `passages`, in their order.

        Raises:
            RerankerError: It failed.
        """


class Complete(Protocol):
    """Asks the guarded chat model something on the way to an answer."""

    def __call__(self, messages: Sequence[Message]) -> str:
        """What it writes, whole. One attempt.

        Raises:
            ModelError: The model cannot be called.
            CostError: The call could pass a budget, or has no price.
        """


class TokenCounter(Protocol):
    """Counts tokens as a chat model counts them."""

    @property
    def name(self) -> str:
        """Name of the counter, e.g. ``bpe-openai:o200k_base``."""

    @property
    def is_exact(self) -> bool:
        """Whether the count of a request without tools is the model's own; else it is an estimate, from above where it can be."""

    @property
    def is_exact_with_tools(self) -> bool:
        """Whether it is so too where there are tools, or messages with tool calls."""

    def count(self, text: str) -> int:
        """Tokens of a text. Sums of parts are not the count of the whole."""

    def count_request(self, messages: Sequence[Message], *, tools: Sequence[Tool] = ()) -> int:
        """Tokens of a whole request: every message in its frame, the tools, and the start of the answer.

        Args:
            messages: In their order; none at all count as the frame alone.
            tools: What the model may call; with their descriptions and schemas.
        """

    def upper_bound(self, text: str) -> int:
        """A number that `count` of the text is never above, without tokenising where that can be known."""


class Progress(Protocol):
    """Watches long work."""

    def start(self, total: int | None) -> None:
        """Work begins; `total` items, None when unknown."""

    def advance(self, label: str) -> None:
        """One more item is done; `label` names it."""

    def close(self) -> None:
        """Work has ended."""
