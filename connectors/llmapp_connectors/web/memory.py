"""What a crawler remembers of a site between runs, as the cursor that the host keeps."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any, NamedTuple, cast

from llmapp.connector import Cursor, CursorRejectedError


class Entry(NamedTuple):
    """One address as it last answered."""

    etag: str
    modified: str
    """Its validators; empty when the server gave none."""
    digest: str
    """Hash of its body."""
    document_id: str
    """Where it led to, normalised; empty when there is no document."""
    links: tuple[str, ...]
    """Those of the page that are followed."""


def packed(pages: Mapping[str, Entry]) -> Cursor:
    """The cursor. Every address stands in it once: pages of a site share most of their links."""
    links = chain.from_iterable(entry.links for entry in pages.values())
    numbers = {url: number for number, url in enumerate(dict.fromkeys(chain(pages, links)))}
    return {
        "urls": list(numbers),
        "pages": [[*entry[:4], [numbers[link] for link in entry.links]] for entry in pages.values()],
    }


def unpacked(cursor: Cursor) -> dict[str, Entry]:
    """What `packed` made a cursor of; None is an empty memory.

    Raises:
        CursorRejectedError: It made it not.
    """
    if cursor is None:
        return {}
    try:
        state = cast("Any", cursor)
        urls, pages = state["urls"], state["pages"]
        return {
            url: Entry(str(etag), str(modified), str(digest), str(name), tuple(urls[number] for number in links))
            for url, (etag, modified, digest, name, links) in zip(urls, pages, strict=False)
        }
    except (KeyError, TypeError, ValueError, IndexError):
        raise CursorRejectedError("this cursor is none of the connector web", hint="it is read from the start") from None
