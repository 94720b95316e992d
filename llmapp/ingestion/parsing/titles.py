"""The title of a document: its first heading, or what its metadata says when a person wrote that.

Sees hostile texts whole, so every search here is linear in them.
"""

from __future__ import annotations

import html
import re

_FIRST_HEADING = re.compile(r"^#{1,6} +(\S.*)", re.MULTILINE)
_NO_TITLE = re.compile(
    r"\.(?:docx?|pdf|tex|indd|pptx?|xlsx?|dvi|rtf|od[tp]|ps)$|^microsoft word\b|^\(?(?:untitled|anonymous|document)\d*\)?$",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]{3,}")
_MAX_TITLE_CHARS = 300
_MAX_MARKED_CHARS = 4 * _MAX_TITLE_CHARS  # a title with its markup; the search for the end of a link is quadratic


def heading_title(text: str) -> str | None:
    """The first Markdown heading without its markup; None where there is none."""
    found = _FIRST_HEADING.search(text)
    if not found:
        return None
    title = found[1].rstrip(" #")[:_MAX_MARKED_CHARS]
    return re.sub(r"[*_`\\]|!?\[|\]\([^)]*\)", "", title).strip()[:_MAX_TITLE_CHARS] or None


def metadata_title(said: object) -> str | None:
    """What the metadata gives as title when a person could have written it: words, and not the name of a file."""
    title = " ".join(html.unescape(str(said or "")).split())
    return title[:_MAX_TITLE_CHARS] if _WORD.search(title) and not _NO_TITLE.search(title) else None
