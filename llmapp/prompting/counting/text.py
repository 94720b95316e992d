"""Text as a provider can take it."""

from __future__ import annotations

import re


def well_formed(text: str) -> str:
    """The text with each lone surrogate replaced by U+FFFD, one for one: it can be sent, and offsets stay true."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)
    return text


def utf8_bytes(text: str) -> int:
    """Bytes of the well-formed text in UTF-8, which no byte-level encoding exceeds: every token is one byte at least."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))  # a surrogate takes 3, as U+FFFD does
