"""Hits as candidates for a prompt: what each takes with its frame, and a part of one that does not fit whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llmapp.prompting.allocation import Span
from llmapp.prompting.evidence import NEAR_CHARS, Part, shortened
from llmapp.prompting.layout import JOINT, SourceItem, framed
from llmapp.prompting.sections import SOURCES
from llmapp.protocols import TokenCounter


def source_items(parts: Sequence[Part], *, mark: str, counter: TokenCounter) -> list[SourceItem]:
    """One for each part, in their order: its words, and a frame with the largest number that it can get."""
    frames: dict[tuple[str, str, int | None], int] = {}
    items = []
    for part in parts:
        chunk = part.chunk
        place = (chunk.title, chunk.heading, chunk.page)
        if place not in frames:
            frames[place] = counter.count(framed(chunk, "", mark=mark, number=len(parts)) + JOINT)
        items.append(
            SourceItem(
                id=f"{SOURCES} {part.rank}",
                section=SOURCES,
                tokens=frames[place] + counter.count(chunk.text),
                score=part.score,
                text=chunk.text,
                span=Span(part.document, chunk.start_char, chunk.end_char),
                frame_tokens=frames[place],
                near_chars=NEAR_CHARS,
                part=part,
            )
        )
    return items


def cut_to(item: SourceItem, tokens: int, counter: TokenCounter) -> SourceItem | None:
    """A beginning of a source that has so many tokens at most, cut where a text may be; None where there is none."""
    chunk = item.part.chunk
    cut = shortened(chunk.text, size=counter.count, most=tokens - item.frame_tokens)
    if cut is None:
        return None
    beginning = replace(chunk, text=cut.text, end_char=chunk.start_char + len(cut.text))
    return replace(
        item,
        tokens=item.frame_tokens + counter.count(cut.shown),
        text=cut.text,
        span=Span(item.part.document, beginning.start_char, beginning.end_char),
        part=item.part._replace(chunk=beginning, is_open=cut.is_within),
    )
