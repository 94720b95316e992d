"""The request as it is sent, for any choice of items: which message each stands in, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from llmapp.frames import frame_question, frame_source
from llmapp.prompting.allocation import Item
from llmapp.prompting.counting import well_formed
from llmapp.prompting.evidence import Order, Part, Passage, in_order, passages_of
from llmapp.prompting.sections import SECTIONS
from llmapp.prompting.templates import PromptTemplate
from llmapp.types import Chunk, Message, Source

JOINT = "\n\n"
"""Between two sources."""


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class TalkItem(Item):
    """Messages that stand or fall together: an example, the summary, a turn."""

    name: str
    """As the report names it."""
    messages: tuple[Message, ...]
    place: int = 0
    """Among those of its section in the prompt: of an example that in its file, of a turn its number."""


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class SourceItem(Item):
    """A chunk."""

    part: Part

    @property
    def name(self) -> str:
        """As the report names it: the id of the chunk."""
        return self.part.chunk.id


@dataclass(frozen=True, slots=True)
class Request:
    """A choice of items as it is sent."""

    talk: Sequence[TalkItem]
    """Messages of their own: examples, summary, turns with the oldest first."""
    passages: Sequence[Passage]
    """The sources, put together and in order: the first has the number 1."""
    messages: tuple[Message, ...]
    """All of it."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources by their numbers."""
        passages = enumerate(self.passages, start=1)
        return tuple(source for number, passage in passages for source in passage.sources(number))


@dataclass(frozen=True, slots=True)
class Layout:
    """All that is fixed before items are chosen."""

    template: PromptTemplate
    system: Message
    """The rules: the same for every question."""
    values: Mapping[str, object]
    """Of slots of the template besides sources and question."""
    question: str
    mark: str
    """Of the frames in the last message. It depends on the question, so it stands nowhere else."""
    order: Order

    def request(self, kept: Sequence[Item]) -> Request:
        """The request with these items."""
        talk = _in_order([item for item in kept if isinstance(item, TalkItem)])
        passages = in_order(passages_of(item.part for item in kept if isinstance(item, SourceItem)), self.order)
        return Request(talk, passages, (*self.head(talk), self.user(passages)))

    def head(self, talk: Iterable[TalkItem]) -> tuple[Message, ...]:
        """All messages but the last."""
        return (self.system, *(message for item in talk for message in item.messages))

    def user(self, passages: Sequence[Passage], *, is_asked: bool = True) -> Message:
        """The last message: numbered sources, and the question behind them; without it where that is not yet asked."""
        framed = (framed_source(each, mark=self.mark, number=n) for n, each in enumerate(passages, start=1))
        question = frame_question(self.question, mark=self.mark) if is_asked else ""
        return Message(
            "user", self.template.render("user", **{**self.values, "sources": JOINT.join(framed), "question": question})
        )


def _in_order(items: Sequence[TalkItem]) -> list[TalkItem]:
    """Whatever was chosen first: two questions that get some of the same examples begin alike as long as they do."""
    places = {name: place for place, name in enumerate(SECTIONS)}
    return sorted(items, key=lambda item: (places[item.section], item.place))


def framed_source(passage: Passage, *, mark: str, number: int) -> str:
    """A source as the model reads it."""
    return framed(passage.first, passage.text, mark=mark, number=number)


def framed(chunk: Chunk, text: str, *, mark: str, number: int) -> str:
    """A text in the frame of a chunk: its title, and its page or heading."""
    place = chunk.heading if chunk.page is None else f"page {chunk.page}"
    return frame_source(
        well_formed(text), mark=mark, number=number, title=well_formed(chunk.title), place=well_formed(place)
    )
