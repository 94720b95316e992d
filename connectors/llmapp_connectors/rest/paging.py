"""The lists of the `rest` connector, page after page.

A listing that ends before its end would look like a small one, and what it lacks would be deleted. So every doubt is an
error: an answer without its list, a promised page that is not named, a page that comes again, too many pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from llmapp.connector import ConnectorError
from llmapp_connectors.rest.api import Api
from llmapp_connectors.rest.expressions import is_true, search
from llmapp_connectors.rest.settings import Paging, Request

Step = str | int
"""What leads to the next page: an address, a token or a number."""

_LINK = re.compile(r"<([^<>]*)>((?:\s*;\s*[\w*-]+\s*=\s*(?:\"[^\"]*\"|[^\s;,\"]+))*)")
_IS_NEXT = re.compile(r";\s*rel\s*=\s*(?:\"(?:[^\"]*\s)?next[\s\"]|next\s*(?:;|$))", re.IGNORECASE)


def pages(api: Api, request: Request, path: str, params: Mapping[str, Step]) -> Iterator[list[JsonValue]]:
    """The items of a list, page by page.

    Args:
        api: Where it is asked.
        request: The list.
        path: Its path, filled in.
        params: Its parameters, filled in.

    Raises:
        ConnectorError: The list cannot be read to its end.
    """
    url, asked, paging = api.base_url + path, dict(params), request.paging
    if paging.kind == "page":
        asked[paging.param] = paging.first
    seen: set[Step] = set()
    received, before = 0, None
    for number in range(paging.first + 1, paging.first + 1 + paging.max_pages):
        answer, headers = api.ask(url, asked, request.body)
        items = search(request.items, answer)
        if not isinstance(items, list):
            raise ConnectorError(f"{path} answered no list at {request.items!r}", hint="check `items` of the source")
        received += len(items)
        yield items
        step = _next(paging, answer, headers, page=number, count=len(items), received=received)
        if step is None:
            return
        if step in seen or (items and items == before):
            raise ConnectorError(f"{path} leads to the same page again", hint="check `paging` of the source")
        seen.add(step)
        before = items
        if paging.kind in {"link", "next"}:
            url, asked = api.within(url, str(step)), {}
        else:
            asked[paging.param] = step
    raise ConnectorError(f"{path} has more than {paging.max_pages:,} pages", hint="raise max_pages, or ask for less")


def _next(paging: Paging, answer: JsonValue, headers: Mapping[str, str], **counts: int) -> Step | None:
    """What leads to the next page; None after the last one."""
    if paging.kind in {"page", "offset"}:
        return _counted(paging, answer, **counts)
    if paging.kind == "link":
        links = _LINK.findall(headers.get("link", ""))
        found: JsonValue = next((url for url, attributes in links if _IS_NEXT.search(attributes)), None)
    else:
        found = search(paging.at, answer) if paging.at else None
    if isinstance(found, str | int) and not isinstance(found, bool) and found != "":
        return found
    if paging.more and is_true(search(paging.more, answer)):
        raise _broken_promise()
    return None


def _counted(paging: Paging, answer: JsonValue, *, page: int, count: int, received: int) -> Step | None:
    """The number that leads to page `page`, after one of `count` items; None after the last one."""
    total = search(paging.at, answer) if paging.at else None
    is_last = received >= total if isinstance(total, int) else not (count or paging.at)
    if is_last:
        return None
    if not count or (paging.at and not isinstance(total, int)):
        raise _broken_promise()
    return page if paging.kind == "page" else received


def _broken_promise() -> ConnectorError:
    return ConnectorError("the API promised more and did not lead to it", hint="check `paging` of the source")
