"""One document on its way into the catalog: read, hashed, parsed, cut, not yet embedded.

Knows what makes a document count as changed. Every failure leaves as a `DocumentFailedError` that names its stage; only errors that
concern the whole run (money, catalog, embedder) pass through.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from llmapp.catalog.records import DocumentRecord, StoredDocument
from llmapp.errors import ConnectorError, IngestionError, LLMAppError, ParseError
from llmapp.ingestion.embedding_text import REVISION, EmbeddingText, embedding_text
from llmapp.ingestion.media_types import has_headings, sniff
from llmapp.types import Chunk, ChunkSpan, Document, ParsedDocument

if TYPE_CHECKING:
    from llmapp.protocols import Chunker, Embedder, Parser

Stage = Literal["read", "parse", "chunk", "embed"]
"""Where a document can fail."""
_MAX_REASON_CHARS = 500
_DEFAULT_ACL = "default-"
_OWN_ACL = "own-"


class DocumentFailedError(Exception):
    """One document cannot be taken in; the ingestor sets it aside."""

    def __init__(self, stage: Stage, code: str, reason: str) -> None:
        """Keep where and why; the reason is brought to one line."""
        self.stage = stage
        self.code = code
        self.reason = storable(" ".join(reason.split())[:_MAX_REASON_CHARS])
        super().__init__(f"{stage}: {self.reason}")


def storable(text: str) -> str:
    """The text with lone surrogates written out: no database and no terminal takes them."""
    return text.encode("utf-8", "backslashreplace").decode()


@contextmanager
def stage(name: Stage) -> Iterator[None]:
    """Turn what fails inside into a `DocumentFailedError` of this stage."""
    try:
        yield
    except (IngestionError, ConnectorError) as error:
        raise DocumentFailedError(name, error.code, error.message) from error
    except LLMAppError:
        raise
    except Exception as error:  # a parser or source may fail in any way, and the run goes on
        raise DocumentFailedError(name, "unexpected", f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document that lacks nothing but its vectors."""

    record: DocumentRecord
    texts: tuple[EmbeddingText, ...]
    """What is to be embedded, aligned with the record's chunks."""
    is_new: bool


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a document looks like from outside, and how it would be taken in today."""

    revision: str | None
    """The source's revision together with `facts`; equal to the stored one means unchanged. None compares the content."""
    acl: str
    """Mark of the access list; it begins the content hash, so another list is seen also where the content cannot be read."""
    facts: str
    """Hash of everything but the content: uri, title, metadata, access list, and the versions of all parts."""

    def is_current(self, stored: StoredDocument | None) -> bool:
        """Whether the stored document is this one, by revision alone."""
        return stored is not None and self.revision is not None and stored.revision == self.revision

    def opens_differently(self, stored: StoredDocument | None) -> bool:
        """Whether the stored document has another access list."""
        return stored is not None and not stored.content_hash.startswith(f"{self.acl}:")


def follows_another_default(stored: StoredDocument, default_acl: tuple[str, ...]) -> bool:
    """Whether a stored document has the access list of its source as it was under another setting."""
    current = _acl_mark(default_acl, is_default=True)
    return stored.content_hash.startswith(_DEFAULT_ACL) and not stored.content_hash.startswith(f"{current}:")


class Preparer:
    """Takes documents up to the point where only vectors are missing."""

    def __init__(self, parser: Parser, chunker: Chunker, embedder: Embedder) -> None:
        """Choose the parts; their versions are part of every content hash."""
        self._parser = parser
        self._chunker = chunker
        self._embedder = embedder
        self.version = _hash(parser.version, chunker.version, embedder.identity, str(REVISION))

    def stamp(self, document: Document, acl: tuple[str, ...]) -> Stamp:
        """Hash all that is known before the content is read.

        Raises:
            DocumentFailedError: A fact cannot be put into JSON, or is not valid Unicode.
        """
        with stage("read"):
            mark = _acl_mark(acl, is_default=document.acl is None)
            known = [
                document.uri,
                document.title,
                document.media_type,
                sorted(set(acl)),
                mark,
                dict(document.metadata),
                self.version,
            ]
            written = json.dumps(known, sort_keys=True, ensure_ascii=False)
            f"{document.id} {document.revision} {written}".encode()  # fails here rather than in the database
            facts = _hash(written)
            revision = None if document.revision is None else f"{document.revision}@{facts}"
            return Stamp(revision, mark, facts)

    def prepare(
        self, source: str, document: Document, acl: tuple[str, ...], stamp: Stamp, stored: StoredDocument | None
    ) -> Prepared | None:
        """Read, parse and cut a document.

        Returns:
            None when its content hash is the stored one.

        Raises:
            DocumentFailedError: It cannot be taken in.
        """
        with stage("read"):
            content = _content(document)
            content_hash = f"{stamp.acl}:{_hash(stamp.facts, content)}"
        if stored and stored.content_hash == content_hash:
            return None
        with stage("parse"):
            media_type, parsed = self._parse(document, content)
        with stage("chunk"):
            title = " ".join((document.title or parsed.title or _name(document)).split())
            spans = self._chunker.chunk(parsed)
            texts = tuple(
                embedding_text(
                    parsed.text[span.start_char : span.end_char], title=title, heading=span.heading, embedder=self._embedder
                )
                for span in spans
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
                acl=tuple(sorted(set(acl))),
                revision=stamp.revision,
                content_hash=content_hash,
                parser=parsed.parser,
                chunks=tuple(
                    self._chunk(source, document, parsed, span, title=title, key=text.key)
                    for span, text in zip(spans, texts, strict=True)
                ),
                embedding_keys=tuple(text.key for text in texts),
            )
        return Prepared(record, texts, is_new=stored is None)

    def _parse(self, document: Document, content: bytes) -> tuple[str | None, ParsedDocument]:
        name = PurePosixPath(document.uri).name or document.id
        if document.content is not None:
            media_type = sniff(content, name=name, declared=document.media_type)
            return media_type, self._parser.parse(content, media_type=media_type, name=name)
        text = content.decode().replace("\r\n", "\n")
        if not text.strip() or "\0" in text:
            raise ParseError(f"{name}: it holds no text" if not text.strip() else f"{name}: it holds NUL characters")
        return document.media_type, ParsedDocument(text, parser="source", has_headings=has_headings(document.media_type))

    def _chunk(
        self, source: str, document: Document, parsed: ParsedDocument, span: ChunkSpan, *, title: str, key: str
    ) -> Chunk:
        # The key hashes the text with its header and the embedder: under another title the same span is another vector.
        place = (source, document.id, str(span.start_char), str(span.end_char))
        return Chunk(
            id=_hash(*place, key, self._chunker.version),
            source=source,
            document_id=document.id,
            uri=document.uri,
            title=title,
            text=parsed.text[span.start_char : span.end_char],
            start_char=span.start_char,
            end_char=span.end_char,
            page=bisect_right(parsed.page_starts, span.start_char) if parsed.page_starts else None,
            heading=span.heading,
        )


def _content(document: Document) -> bytes:
    if (document.text is None) == (document.content is None):
        raise ConnectorError("a document has either text or content", hint="set exactly one of the two")
    return document.content() if document.content is not None else (document.text or "").encode()


def _name(document: Document) -> str:
    """The last part of the uri, without its suffix."""
    path = document.uri.partition("?")[0].partition("#")[0]
    return PurePosixPath(path).stem or document.id


def _acl_mark(acl: tuple[str, ...], *, is_default: bool) -> str:
    return (_DEFAULT_ACL if is_default else _OWN_ACL) + _hash(*sorted(set(acl)))


def _hash(*parts: str | bytes) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()
