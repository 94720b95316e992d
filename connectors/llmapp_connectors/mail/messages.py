"""A mail as documents: its text first, then what is attached to it.

Knows the shape of mail and not where it lies. Mail from outside is broken in every way: what makes no sense is shown as it
stands, and a mail of which nothing can be made is a `Failure`.
"""

from __future__ import annotations

import email
import hashlib
import mimetypes
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from email.parser import BytesHeaderParser
from functools import partial
from itertools import count, islice
from typing import cast
from urllib.parse import quote

from pydantic import JsonValue

from llmapp.connector import Document, Failure, Upsert
from llmapp_connectors.mail.headers import Facts, decoded, facts, header, message_ids
from llmapp_connectors.mail.text import body, leaves

_MAX_ATTACHED = 200
_MAX_NESTED = 5
_MAX_HEAD_BYTES = 100_000
_LEFT_OUT = frozenset({"application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"})
_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")
_MARKS = re.compile(rb"^(?:X-)?(?:Status|Keywords|UID|IMAP|IMAPbase|Mozilla-\w+):.*\n", re.IGNORECASE | re.MULTILINE)


def changes(raw: bytes, mail_id: str, uri: str) -> list[Upsert | Failure]:
    """What a mail brings: itself under `mail_id`, then what is attached, under ``mail_id/1``, ``mail_id/2`` and so on.

    Attached mails are documents of their own, and so is what is attached to them. Images that belong to the text,
    signatures and empty parts are left out. Never raises: a mail that cannot be read is one failure.
    """
    try:
        ids = (f"{mail_id}/{number}" for number in count(1))
        documents = _documents(email.message_from_bytes(raw), _Place(mail_id, uri, fingerprint(raw)), ids)
        return [Upsert(document) for document in islice(documents, 1 + _MAX_ATTACHED)]
    except Exception as error:  # noqa: BLE001 - the parser of the standard library raises what it likes on broken mail
        return [Failure(mail_id, f"the mail cannot be read: {type(error).__name__}", uri=uri)]


def fingerprint(raw: bytes) -> str:
    """A hash of a mail without the headers in which mail programs keep their marks."""
    end = match.start() + 1 if (match := _END_OF_HEADERS.search(raw)) else len(raw)
    return hashlib.blake2b(_MARKS.sub(b"", raw[:end]) + raw[end:], digest_size=16).hexdigest()


def message_id(raw: bytes) -> str:
    """The Message-ID without its brackets; empty where there is none."""
    return next(iter(message_ids(BytesHeaderParser().parsebytes(raw[:_MAX_HEAD_BYTES]), "Message-ID")), "")


@dataclass(frozen=True)
class _Place:
    """Where a mail stands: by itself, or in another one."""

    id: str
    uri: str
    revision: str
    depth: int = 0
    parent: Mapping[str, JsonValue] = field(default_factory=dict)


def _documents(mail: Message, place: _Place, ids: Iterator[str]) -> Iterator[Document]:
    known = facts(mail) | dict(place.parent)
    yield _text(mail, place, known)
    own: Facts = {"parent": place.id}
    for part in leaves(mail):
        name = _filename(part)
        uri = f"{place.uri}#{quote(name)}"
        if _is_mail(part):
            if place.depth < _MAX_NESTED:
                inner = cast("list[Message]", part.get_payload())[0]
                yield from _documents(inner, _Place(next(ids), uri, place.revision, place.depth + 1, own), ids)
        elif _is_attached(part) and isinstance(content := part.get_payload(decode=True), bytes) and content.strip():
            document = Document(id=next(ids), uri=uri, content=partial(bytes, content), title=name, metadata=known | own)
            yield replace(document, media_type=_media_type(part), revision=place.revision)


def _text(mail: Message, place: _Place, known: Facts) -> Document:
    media_type, text = body(mail)
    title = header(mail, "Subject") or "(no subject)"
    document = Document(id=place.id, uri=place.uri, title=title, media_type=media_type, metadata=known)
    if media_type == "text/html":
        return replace(document, content=text.encode, revision=place.revision)
    return replace(document, text=text or title, revision=place.revision)


def _media_type(part: Message) -> str | None:
    declared = part.get_content_type()
    return None if declared == "application/octet-stream" else declared  # says nothing: content and name decide


def _filename(part: Message) -> str:
    if _is_mail(part):
        return "mail.eml"
    name = decoded(part.get_filename() or "").replace("\\", "/").rpartition("/")[2]
    return name or f"attachment{mimetypes.guess_extension(part.get_content_type()) or ''}"


def _is_mail(part: Message) -> bool:
    return part.get_content_type() == "message/rfc822" and part.is_multipart()


def _is_attached(part: Message) -> bool:
    kind, is_named = part.get_content_maintype(), bool(part.get_filename() or part.get_content_disposition() == "attachment")
    if kind == "image":
        return part.get_content_disposition() == "attachment" and "Content-ID" not in part
    if kind in {"application", "audio", "video"}:
        return part.get_content_type() not in _LEFT_OUT
    return kind == "text" and is_named
