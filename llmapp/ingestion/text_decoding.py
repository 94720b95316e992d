"""Bytes of a text file to text, verbatim, so that spans match what an editor shows.

Tries, in this order: the byte order mark, UTF-8, UTF-16 without a mark, a guess from the letters, Windows-1252.
Runs in the parser process, because guessing reads untrusted bytes for as long as they are.
"""

from __future__ import annotations

import codecs
import re

from llmapp.errors import ParseError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
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
    text = next(
        (found for encoding in _candidates(content, is_html=is_html) if (found := _try(content, encoding)) is not None), None
    )
    if text is None or "\0" in text or len(_CONTROL.findall(text)) > _MAX_CONTROL_SHARE * len(text):
        raise ParseError("this is not text in any known encoding", hint="save it as UTF-8")
    return text.replace("\r\n", "\n")


def _candidates(content: bytes, *, is_html: bool) -> list[str]:
    marked = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), None)
    if marked:
        return [marked]
    if b"\0" in content:
        return _wide(content)
    meta = _META_CHARSET.search(content[:2048]) if is_html else None
    declared = [meta[1].decode("ascii")] if meta else []
    return ["utf-8", *declared] if _try(content, "utf-8") is not None else [*declared, *_guess(content), "cp1252"]


def _wide(content: bytes) -> list[str]:
    """UTF-16 of mostly Latin letters has a NUL in every other byte."""
    even, odd = content[0::2].count(0), content[1::2].count(0)
    if max(even, odd) < len(content) / 6:
        return []
    return ["utf-16-be" if even > odd else "utf-16-le"]


def _guess(content: bytes) -> list[str]:
    # A guess needs no more than a part; the part ends at a line, lest it cut a letter in two.
    part = content if len(content) <= _GUESS_BYTES else content[: content.rfind(b"\n", 0, _GUESS_BYTES) + 1 or _GUESS_BYTES]
    import charset_normalizer

    best = charset_normalizer.from_bytes(part).best()
    return [best.encoding] if best else []


def _try(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None
