"""The text of a mail: which of its parts are the body, and how that reads with its headers above it."""

from __future__ import annotations

import html
from collections.abc import Iterator
from email.message import Message

from llmapp_connectors.mail.headers import decode, header

_MAX_DEPTH = 20  # of parts within parts; deeper ones are left out
_BODIES = frozenset({"text/plain", "text/html"})
_SHOWN = ("From", "To", "Date", "Subject")

Piece = tuple[bool, str]  # whether it is HTML, and the text


def leaves(mail: Message, depth: int = 0) -> Iterator[Message]:
    """The parts that hold no others, in order; an attached mail is one."""
    if not _is_container(mail):
        yield mail
    elif depth < _MAX_DEPTH:
        for part in mail.get_payload():
            if isinstance(part, Message):
                yield from leaves(part, depth + 1)


def body(mail: Message) -> tuple[str, str]:
    """Media type and text of a mail, its headers first: plain text where there is some, else HTML."""
    pieces = _pieces(mail)
    lines = [f"{name}: {value}" for name in _SHOWN if (value := header(mail, name))]
    if not any(is_html for is_html, _ in pieces):
        return "text/plain", "\n\n".join(("\n".join(lines), *(text.strip("\r\n") for _, text in pieces))).strip()
    shown = "".join(text if is_html else f"<pre>{html.escape(text)}</pre>" for is_html, text in pieces)
    head = "<br>\n".join(html.escape(line) for line in lines)
    return "text/html", f'<!doctype html><meta charset="utf-8"><p>{head}</p>\n{shown}'


def _pieces(part: Message, depth: int = 0) -> list[Piece]:
    if _is_container(part):
        parts = [_pieces(each, depth + 1) for each in part.get_payload() if isinstance(each, Message) and depth < _MAX_DEPTH]
        if part.get_content_subtype() != "alternative":
            return [piece for pieces in parts for piece in pieces]
        parts = [pieces for pieces in parts if pieces]
        plain = [pieces for pieces in parts if not any(is_html for is_html, _ in pieces)]
        return (plain or parts or [[]])[0]
    if not _is_body(part) and part.get_content_maintype() != "multipart":  # one without a boundary is shown as it stands
        return []
    content = part.get_payload(decode=True)
    text = decode(content, part.get_content_charset()) if isinstance(content, bytes) else ""
    return [(part.get_content_type() == "text/html", text)] if text.strip() else []


def _is_body(part: Message) -> bool:
    return part.get_content_type() in _BODIES and part.get_content_disposition() != "attachment" and not part.get_filename()


def _is_container(part: Message) -> bool:
    return part.get_content_maintype() == "multipart" and part.is_multipart()
