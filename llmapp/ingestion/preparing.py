"""One document on its way into the catalog: stamped, read, parsed, cut, not yet embedded.

Knows what makes a document count as changed, and keeps apart what must then be done again. Every failure leaves as a
`DocumentFailedError` that names its stage; only errors that concern the whole run (money, catalog, embedder) pass through.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal, TypeAlias

from llmapp.catalog.records import DocumentRecord, StoredDocument, StoredText
from llmapp.errors import (
    ConnectorError,
    IngestionError,
    InvalidDocumentError,
    LimitExceededError,
    LLMAppError,
    ParseError,
)
from llmapp.ingestion.access import is_grant
from llmapp.ingestion.embedding_text import REVISION, EmbeddingText, embedding_text
from llmapp.ingestion.parsing.media_types import has_headings, sniff
from llmapp.types import Chunk, Document, ParsedDocument

if TYPE_CHECKING:
    from llmapp.protocols import Chunker, Embedder, Parser

Stage = Literal["read", "parse", "chunk", "embed"]
"""Where a document can fail."""
Piece: TypeAlias = tuple[Chunk, EmbeddingText]
"""A chunk, and what is embedded for it."""
LARGE_CHARS = 4_000_000
"""A longer text is cut while it is embedded, so that its chunks are never all in memory."""
_TEXT_OF_SOURCE = "source"
"""The parser's name where the source brought text."""
_MAX_REASON_CHARS = 500
_MAX_NAME_BYTES = 2_000
"""Of an id or a grant, in UTF-8: an entry of an index of PostgreSQL holds 2,704."""


class DocumentFailedError(Exception):
    """One document cannot be taken in; the run sets it aside."""

    def __init__(self, stage: Stage, code: str, reason: str) -> None:
        """Keep where and why; the reason is brought to one line."""
        self.stage = stage
        self.code = code
        self.reason = storable(" ".join(reason.split())[:_MAX_REASON_CHARS])
        super().__init__(f"{stage}: {self.reason}")


def storable(text: str) -> str:
    """The text as every database and terminal takes it: lone surrogates and NUL written out, the end of a very long one as a hash."""
    data = text.encode("utf-8", "backslashreplace").replace(b"\0", b"\\x00")
    if len(data) > _MAX_NAME_BYTES:
        data = data[: _MAX_NAME_BYTES // 2] + f"…{hash_of(data)}".encode()
    return data.decode("utf-8", "ignore")


@contextmanager
def stage(name: Stage) -> Iterator[None]:
    """Turn what fails inside into a `DocumentFailedError` of this stage."""
    try:
        yield
    except (IngestionError, ConnectorError) as error:
        raise DocumentFailedError(name, error.code, error.message) from error
    except (LLMAppError, DocumentFailedError):
        raise
    except Exception as error:  # a parser or source may fail in any way, and the run goes on
        raise DocumentFailedError(name, "unexpected", f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a document looks like from outside."""

    revision: str | None
    """The source's revision together with `facts`; equal to the stored one means unchanged. None compares the content."""
    facts: str
    """Hash of everything that is indexed but the content: uri, title, media type, metadata."""
    acl: tuple[str, ...]
    """Sorted, each once."""
    own_acl: bool
    """Whether the access list is the document's own."""


@dataclass(slots=True)
class Job:
    """A document whose content was read, and differs from what is stored."""

    document: Document
    stamp: Stamp
    content: bytes
    content_hash: str
    is_new: bool

    @property
    def revision(self) -> str:
        """What a failure is about: the revision, or the content where there is none."""
        return self.stamp.revision or f"content:{self.content_hash}"

    def take_content(self) -> bytes:
        """The content, which is then let go of: it may be large."""
        content, self.content = self.content, b""
        return content


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document that lacks nothing but its vectors."""

    record: DocumentRecord
    """Without chunks when the document is large."""
    texts: tuple[EmbeddingText, ...]
    """What is to be embedded, aligned with the record's chunks."""
    is_new: bool
    content_bytes: int
    pieces: Iterable[Piece] | None = None
    """The chunks of a large document, made as they are asked for."""


class Preparer:
    """Takes documents up to the point where only vectors are missing. Safe to use from several threads."""

    def __init__(
        self, parser: Parser, chunker: Chunker, embedder: Embedder, *, max_bytes: int, max_chunks: int, setup: str = ""
    ) -> None:
        """Choose the parts.

        Args:
            parser: Turns bytes into text.
            chunker: Cuts texts.
            embedder: Its tokenizer counts, and its identity is part of every vector's key.
            max_bytes: Size of the largest content that is taken.
            max_chunks: Chunks of the longest document that is taken. Count.
            setup: Whatever else decides whether a document can be read.
        """
        self._parser = parser
        self._chunker = chunker
        self._embedder = embedder
        self._max_bytes = max_bytes
        self._max_chunks = max_chunks
        self._setup = setup

    @property
    def reading(self) -> str:
        """How documents are read; with another one, sources are read from their start and what failed is tried again."""
        return hash_of(self._parser.version, self._setup)

    @property
    def chunker_version(self) -> str:
        """Version of everything between a text and what is embedded of it."""
        return f"{self._chunker.version}+{REVISION}"

    def stamp(self, document: Document, acl: Iterable[str], *, listed: str | None = None) -> Stamp:
        """Hash all that is known before the content is read.

        Args:
            document: As the source brings it.
            acl: Its access list, or that of its source where it brings none.
            listed: The revision of its listing, which then counts; None takes the document's own.

        Raises:
            DocumentFailedError: A fact cannot be put into JSON, or is no text that a database takes, or a grant is of no known form.
        """
        with stage("read"), _facts():
            grants = tuple(sorted(set(acl)))
            if unknown := next((name for name in grants if not is_grant(name)), None):
                raise ValueError(f"the access list names {unknown!r}, which is none of public, user:, group:, tenant:")
            known = [document.uri, document.title, document.media_type, dict(document.metadata)]
            written = json.dumps(known, sort_keys=True, ensure_ascii=False, allow_nan=False)
            _check_names(document.id, *grants)
            texts = (document.id, document.revision, *grants, document.uri, document.title, document.media_type)
            if any("\0" in text for text in texts if text):
                raise ValueError("the id, the access list, the uri, the title or another fact holds a NUL character")
            f"{document.revision} {written}".encode()  # fails here rather than in the database
            facts = hash_of(written)
            revision = None if document.revision is None else f"{document.revision}@{facts}"
            return Stamp(listed or revision, facts, grants, document.acl is not None)

    def is_current(self, stored: StoredDocument | None, revision: str | None) -> bool:
        """Whether the stored document is this revision, read by the parser of today, and as open as its source wants it."""
        return (
            stored is not None
            and not stored.is_narrowed
            and revision is not None
            and stored.revision == revision
            and stored.parser in {_TEXT_OF_SOURCE, self._parser.version}
        )

    def read(self, document: Document, stamp: Stamp, stored: StoredDocument | None) -> Job | None:
        """Read the content; None when it is what is stored, read by the parser of today.

        Raises:
            DocumentFailedError: It cannot be read, or is too large.
        """
        with stage("read"):
            content = _content(document)
            if len(content) > self._max_bytes:
                raise LimitExceededError(f"{len(content):,} bytes, ingestion.max_bytes is {self._max_bytes:,}")
            content_hash = hash_of(stamp.facts, content)
        if stored and stored.content_hash == content_hash and stored.parser in {_TEXT_OF_SOURCE, self._parser.version}:
            return None
        return Job(document, stamp, content, content_hash, is_new=stored is None)

    def prepare(self, source: str, job: Job) -> Prepared:
        """Parse and cut a document.

        Raises:
            DocumentFailedError: It cannot be parsed or cut.
        """
        document, content_bytes = job.document, len(job.content)
        with stage("parse"):
            media_type, parsed = self._parse(job)
        title = " ".join((document.title or parsed.title or _name(document)).split())
        text = StoredText(
            source, document.id, document.uri, title, parsed.text, parsed.page_starts, media_type, parsed.parser
        )
        record = DocumentRecord(
            source=source,
            document_id=document.id,
            uri=document.uri,
            title=title,
            text=parsed.text,
            page_starts=parsed.page_starts,
            media_type=media_type,
            metadata=document.metadata,
            acl=job.stamp.acl,
            revision=job.stamp.revision,
            content_hash=job.content_hash,
            parser=parsed.parser,
            own_acl=job.stamp.own_acl,
            chunker=self.chunker_version,
        )
        if len(parsed.text) > LARGE_CHARS:
            return Prepared(record, (), job.is_new, content_bytes, pieces=self.pieces(text))
        pieces = list(self.pieces(text))
        keys = tuple(embedded.key for _, embedded in pieces)
        record = replace(record, chunks=tuple(chunk for chunk, _ in pieces), embedding_keys=keys)
        return Prepared(record, tuple(embedded for _, embedded in pieces), job.is_new, content_bytes)

    def pieces(self, text: StoredText) -> Iterator[Piece]:
        """Cut a text, piece by piece.

        Raises:
            DocumentFailedError: It cannot be cut, or gives too many chunks.
        """
        with stage("chunk"):
            parsed = ParsedDocument(text.text, page_starts=text.page_starts, has_headings=has_headings(text.media_type))
            for number, span in enumerate(self._chunker.chunk(parsed)):
                if number >= self._max_chunks:
                    raise LimitExceededError(f"more chunks than ingestion.max_chunks allows, {self._max_chunks:,}")
                words = text.text[span.start_char : span.end_char]
                embedded = embedding_text(words, title=text.title, heading=span.heading, embedder=self._embedder)
                # The key hashes the text with its header and the embedder: under another title the same span is another vector.
                place = (text.source, text.document_id, str(span.start_char), str(span.end_char))
                chunk = Chunk(
                    id=hash_of(*place, embedded.key, self._chunker.version),
                    source=text.source,
                    document_id=text.document_id,
                    uri=text.uri,
                    title=text.title,
                    text=words,
                    start_char=span.start_char,
                    end_char=span.end_char,
                    page=bisect_right(text.page_starts, span.start_char) if text.page_starts else None,
                    heading=span.heading,
                )
                yield chunk, embedded

    def _parse(self, job: Job) -> tuple[str | None, ParsedDocument]:
        document = job.document
        name = PurePosixPath(document.uri).name or document.id
        if document.content is not None:
            media_type = sniff(job.content, name=name, declared=document.media_type)
            return media_type, self._parser.parse(job.take_content(), media_type=media_type, name=name)
        text = job.take_content().decode().replace("\r\n", "\n")
        if text.isspace() or not text or "\0" in text:
            raise ParseError(f"{name}: it holds NUL characters" if "\0" in text else f"{name}: it holds no text")
        return document.media_type, ParsedDocument(text, parser=_TEXT_OF_SOURCE)


@contextmanager
def _facts() -> Iterator[None]:
    """Whatever is wrong with what a source says of a document stays wrong until it says something else."""
    try:
        yield
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidDocumentError(str(error)) from error


def _check_names(*names: str) -> None:
    for name in names:
        if (size := len(name.encode())) > _MAX_NAME_BYTES:
            raise ValueError(f"an id or grant has {size:,} bytes, at most {_MAX_NAME_BYTES:,} can be stored: {name[:40]}…")


def hash_of(*parts: str | bytes) -> str:
    """A hash over the parts and where they end. 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()


def _content(document: Document) -> bytes:
    if (document.text is None) == (document.content is None):
        raise ConnectorError("a document has either text or content", hint="set exactly one of the two")
    return document.content() if document.content is not None else (document.text or "").encode()


def _name(document: Document) -> str:
    """The last part of the uri, without its suffix."""
    path = document.uri.partition("?")[0].partition("#")[0]
    return PurePosixPath(path).stem or document.id
