"""The headers of a mail, decoded.

Knows charsets and encoded words, and how both are broken: what cannot be decoded is shown as it stands. Headers are read
raw, because the parser for structured headers fails on what spammers send.
"""

from __future__ import annotations

import codecs
import re
from datetime import UTC
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime

from pydantic import JsonValue

_MAX_HEADER_CHARS = 10_000
# Not ASCII either, which is what senders of anything declare; and codecs of Python that are none of mail.
_NO_CHARSETS = frozenset({"ascii", "idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"})
_ID = re.compile(r"<([^<>\s]+)>")

Facts = dict[str, JsonValue]


def header(mail: Message, name: str) -> str:
    """A header in one line, decoded; empty where there is none."""
    return decoded(raw_header(mail, name))


def decoded(text: str) -> str:
    """What was sent as encoded words, in one line of printable letters."""
    try:
        pieces = decode_header(text) if "=?" in text else [(text, None)]
    except (HeaderParseError, ValueError):
        pieces = [(text, None)]
    shown = "".join(piece if isinstance(piece, str) else _word(piece, charset) for piece, charset in pieces)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in shown or text).split())


def raw_header(mail: Message, name: str) -> str:
    """The first header of that name in one line, as it was sent."""
    for key, value in mail.raw_items():
        if key.lower() == name.lower():
            text = str(value)[:_MAX_HEADER_CHARS].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            return " ".join(text.split())
    return ""


def facts(mail: Message) -> Facts:
    """Who wrote to whom, when, and in which thread; what is not known is left out."""
    own, answered, earlier = (message_ids(mail, name) for name in ("Message-ID", "In-Reply-To", "References"))
    above = [*earlier, *answered]
    found: Facts = {
        "from": next(iter(_addresses(mail, "From")), ""),
        "to": list(_addresses(mail, "To")),
        "date": _date(mail),
        "message_id": next(iter(own), ""),
        "in_reply_to": next(iter(answered), ""),
        "thread": next(iter([*above, *own]), ""),
    }
    return {name: value for name, value in found.items() if value}


def _addresses(mail: Message, name: str) -> list[str]:
    return [address.lower() for _, address in getaddresses([raw_header(mail, name)]) if "@" in address]


def message_ids(mail: Message, name: str) -> list[str]:
    """The ids in a header, without their brackets."""
    return _ID.findall(raw_header(mail, name))


def _date(mail: Message) -> str:
    """In ISO 8601 and UTC, so that dates compare as text; empty where there is none that can be read."""
    try:
        date = parsedate_to_datetime(raw_header(mail, "Date"))
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""


def decode(content: bytes, charset: str | None) -> str:
    """Text of a body; without a charset that makes sense it is UTF-8, else Latin-1."""
    text = _in_charset(content, charset)
    if text is None:
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
    return text.encode("utf-8", "replace").decode().replace("\r\n", "\n")  # UTF-7 can bring lone surrogates


def _in_charset(content: bytes, charset: str | None) -> str | None:
    try:
        name = codecs.lookup(charset or "ascii").name
        return None if name in _NO_CHARSETS else content.decode(name, "replace")
    except (LookupError, ValueError):
        return None


def _word(piece: bytes, charset: str | None) -> str:
    # What stands between encoded words comes in Python's own escapes.
    text = piece.decode("raw-unicode-escape", "replace") if charset is None else decode(piece, charset)
    return text.encode("utf-8", "replace").decode()
