"""What an error was raised from."""

from __future__ import annotations

from collections.abc import Iterator


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, outermost first; each link once.

    Only ``raise ... from`` counts. What merely was being handled at the time (``__context__``) may be unrelated: in a
    fallback it is the failure of another call.
    """
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__
