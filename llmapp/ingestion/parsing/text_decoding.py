"""Bytes of a text file to text, verbatim, so that spans match what an editor shows.

Tries, in this order: the byte order mark, UTF-8, UTF-16 without a mark, the charset that a page of HTML names, a guess from
the letters, Windows-1252. Each is tried once, and what is found is decoded without a copy of the bytes: texts may be
large. UTF-8 is safe to decode anywhere; guessing is for the parser process.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from llmapp.errors import ParseError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_CONTROLS = [chr(code) for code in (*range(0x09), *range(0x0E, 0x1B), *range(0x1C, 0x20), 0x7F)]
_MAX_CONTROL_SHARE = 0.02
_GUESS_BYTES = 1 << 18


def decode(content: bytes, *, is_html: bool = False) -> str:
    r"""Decode a text.

    Args:
        content: Bytes of the file.
        is_html: Whether a charset that a meta element names is believed.

    Returns:
        The text without byte order mark, line ends as ``\n``.

    Raises:
        ParseError: It is not text.
    """
    mark, marked = next(((mark, encoding) for mark, encoding in _MARKS if content.startswith(mark)), (b"", ""))
    body = memoryview(content)[len(mark) :]
    encodings = [marked] if marked else _candidates(content, is_html=is_html)
    return _checked(next((text for encoding in encodings if (text := _try(body, encoding)) is not None), None))


def decode_utf8(content: bytes) -> str | None:
    """Decode a text that needs no guess; None when only `decode` can tell what it is.

    Raises:
        ParseError: It is valid UTF-8, and still no text.
    """
    if b"\0" in content:
        return None
    text = _try(memoryview(content)[len(codecs.BOM_UTF8) if content.startswith(codecs.BOM_UTF8) else 0 :], "utf-8")
    return None if text is None else _checked(text)


def _checked(text: str | None) -> str:
    # Counted letter by letter: a list of all findings would be larger than the text.
    if text is None or "\0" in text or sum(map(text.count, _CONTROLS)) > _MAX_CONTROL_SHARE * len(text):
        raise ParseError("this is not text in any known encoding", hint="save it as UTF-8")
    return text.replace("\r\n", "\n")


def _candidates(content: bytes, *, is_html: bool) -> Iterator[str]:
    if b"\0" in content:
        yield from _wide(content[:_GUESS_BYTES])
        return
    yield "utf-8"
    if is_html and (meta := _META_CHARSET.search(content[:2048])):
        yield meta[1].decode("ascii")
    yield from _guess(content)
    yield "cp1252"


def _wide(part: bytes) -> Iterator[str]:
    """UTF-16 of mostly Latin letters has a NUL in every other byte."""
    even, odd = part[0::2].count(0), part[1::2].count(0)
    if max(even, odd) >= len(part) / 6:
        yield "utf-16-be" if even > odd else "utf-16-le"


def _guess(content: bytes) -> Iterator[str]:
    # A guess needs no more than a part; the part ends at a line, lest it cut a letter in two.
    part = content if len(content) <= _GUESS_BYTES else content[: content.rfind(b"\n", 0, _GUESS_BYTES) + 1 or _GUESS_BYTES]
    import charset_normalizer

    if best := charset_normalizer.from_bytes(part).best():
        yield best.encoding


def _try(content: memoryview, encoding: str) -> str | None:
    try:
        return str(content, encoding)
    except (UnicodeError, LookupError):
        return None
