"""llmapp's own packing: the allocator with a text of its own, and the assembler with messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from packing_inputs import JOINT, SYSTEM, Pack

from llmapp.prompting import Assembler, Chunk, Hit, Item, Section, allocate, parse_template, shortened
from llmapp.protocols import TokenCounter
from llmapp.types import Message

TEMPLATE = parse_template(
    f'+++\nname = "compared"\nversion = "1"\ndescription = "As the others have it"\n+++\n\n=== system ===\n{SYSTEM}\n\n'
    "=== user ===\n{{ sources }}\n\n{{ question }}\n"
)


def allocator_text(pack: Pack, counter: TokenCounter) -> str:
    ends = [_item("system", 0, SYSTEM, counter, pinned=True), _item("question", 0, pack.question, counter, pinned=True)]
    items = [_item("sources", number, text, counter) for number, text in enumerate(pack.sources)]
    allocation = allocate(
        [ends[0], *items, ends[1]],
        sections=[Section("system", tier=1), Section("question", tier=1), Section("sources", shrink="sentences")],
        budget_tokens=pack.budget_tokens,
        count_request=lambda kept: counter.count(_joined(kept)),
        shorten=partial(_cut, counter),
    )
    return _joined(allocation.kept)


def _item(section: str, number: int, text: str, counter: TokenCounter, *, pinned: bool = False) -> Item:
    tokens = counter.count(text + JOINT)
    return Item(f"{section} {number}", section, tokens, score=-number, text=text, pinned=pinned)


def _joined(kept: Sequence[Item]) -> str:
    place = {"system": 0, "sources": 1, "question": 2}
    return JOINT.join(item.text or "" for item in sorted(kept, key=lambda item: (place[item.section], -(item.score or 0))))


def _cut(counter: TokenCounter, item: Item, tokens: int) -> Item | None:
    cut = shortened(item.text or "", size=lambda text: counter.count(text + JOINT), most=tokens)
    return None if cut is None else replace(item, text=cut.shown, tokens=counter.count(cut.shown + JOINT))


def assembler_request(pack: Pack, counter: TokenCounter) -> Sequence[Message]:
    assembler = Assembler(
        counter, budget_tokens=pack.budget_tokens, reserve_output_tokens=1, template=TEMPLATE, history_share=1.0
    )
    return assembler.assemble(pack.question, _hits(pack), history=pack.history).messages


def _hits(pack: Pack) -> list[Hit]:
    chunks = [Chunk(f"c{n}", "s", f"d{n}", f"u{n}", "", text, 0, len(text)) for n, text in enumerate(pack.sources)]
    return [Hit(chunk, 1 / rank, rank, "fused") for rank, chunk in enumerate(chunks, 1)]
