"""Checks of how a connector reads: to the end, again, from a cursor, and not to the end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import islice, zip_longest
from typing import TypeVar

from llmapp.connector import Change, Checkpoint, Listed, Upsert
from llmapp.testing.trial import Trial
from llmapp.testing.verdicts import is_json, require, told

_T = TypeVar("_T")
_MOST_CURSORS = 20
"""A source may have thousands of checkpoints, and each costs a read."""
_MOST_NAMES = 3


def can_be_read(trial: Trial) -> None:
    """A read from the start comes to its end, yields changes only, and brings a document."""
    error = trial.reading.error
    require(error is None, f"reading it from the start raises {told(error)}")
    for change in trial.changes:
        require(isinstance(change, Change), f"read yields {type(change).__name__}; yield changes of llmapp.connector")
    mentions = any(isinstance(change, Upsert | Listed) for change in trial.changes)
    require(mentions, "the source holds no document, and so nothing is proved; put one in")
    is_any_read = any(seen.document is not None and seen.error is None for seen in trial.seen)
    first = next((seen.error for seen in trial.seen if seen.error is not None), None)
    require(is_any_read, f"none of its documents can be read: {told(first)}")


def gives_each_document_one_id(trial: Trial) -> None:
    """Two mentions of an id in one read would be two answers to what the document is."""
    counts = Counter(_id(change) for change in trial.changes if not isinstance(change, Checkpoint))
    twice = [name for name, count in counts.items() if count > 1]
    require(not twice, f"{_some(twice)} comes twice in one read; take ids that are unique in the source")


def says_the_same_when_read_again(trial: Trial) -> None:
    """The same ids in the same order, and the same documents: what differs is taken in again in every run."""
    pairs = zip_longest(map(_outline, trial.changes), map(_outline, trial.outline()), fillvalue=("the end",))
    changed = next((one for one, other in pairs if one != other), None)
    require(changed is None, f"{changed and changed[0]} differs when read again; keep order, ids and metadata stable")


def has_cursors_that_are_json(trial: Trial) -> None:
    """The host stores them and hands them back."""
    for change in trial.changes:
        if isinstance(change, Checkpoint):
            require(is_json(change.cursor), "a cursor does not survive JSON; take texts, numbers, lists and objects")


def closes_when_it_is_abandoned(trial: Trial) -> None:
    """A run may stop at any change: Ctrl-C, a brake, a full disk."""
    for place in sorted({1, len(trial.changes) // 2 + 1}):
        changes = trial.connector.read(None)
        list(islice(changes, place))
        try:
            getattr(changes, "close", bool)()
        except Exception as error:
            raise AssertionError(
                f"abandoned after {place} changes, it raises {told(error)}; let GeneratorExit pass"
            ) from error


def ends_with_a_checkpoint(trial: Trial) -> None:
    """What comes after the last checkpoint is read again in every run."""
    require(_ends_well(trial.changes), "yield a Checkpoint at the end of read")


def goes_on_from_every_cursor(trial: Trial) -> None:
    """A read from a cursor brings all that did not stand above it, nothing unknown, and a checkpoint."""
    changes = trial.changes
    places = [place for place, change in enumerate(changes) if isinstance(change, Checkpoint)]
    for place in _spread(places):
        resumed = trial.outline(json.loads(json.dumps(getattr(changes[place], "cursor", None))))
        where = f"a read from checkpoint {places.index(place) + 1} of {len(places)}"
        lost = _ids(changes) - _ids(changes[:place]) - _ids(resumed)
        require(not lost, f"{where} never mentions {_some(lost)}; a cursor covers only what stood above it")
        unknown = _ids(resumed) - _ids(changes)
        require(not unknown, f"{where} mentions {_some(unknown)}, which a read from the start does not")
        require(_ends_well(resumed), f"{where} does not end with a Checkpoint; yield one, also when nothing is new")


def mentions_everything_when_it_is_a_snapshot(trial: Trial) -> None:
    """What a snapshot leaves out is deleted, so no cursor may shorten it."""
    if getattr(trial.connector, "snapshot", False):
        for cursor in _spread([change.cursor for change in trial.changes if isinstance(change, Checkpoint)]):
            left_out = _ids(trial.changes) - _ids(trial.outline(cursor))
            require(not left_out, f"a read from a cursor leaves out {_some(left_out)}; a snapshot takes no cursor")


def _ends_well(changes: Sequence[Change]) -> bool:
    return bool(changes) and isinstance(changes[-1], Checkpoint)


def _spread(items: Sequence[_T]) -> Sequence[_T]:
    """At most so many of them, the first and the last included."""
    if len(items) <= _MOST_CURSORS:
        return items
    return [items[place * (len(items) - 1) // (_MOST_CURSORS - 1)] for place in range(_MOST_CURSORS)]


def _some(names: Collection[str]) -> str:
    named = sorted(names)
    return ", ".join(named[:_MOST_NAMES]) + (", …" if len(named) > _MOST_NAMES else "")


def _ids(changes: Sequence[Change]) -> set[str]:
    return {_id(change) for change in changes if not isinstance(change, Checkpoint)}


def _id(change: Change) -> str:
    return change.document.id if isinstance(change, Upsert) else str(getattr(change, "id", ""))


def _outline(change: Change) -> tuple[object, ...]:
    """What must be the same in every read. The reason of a failure may name a time, and a cursor the moment."""
    match change:
        case Upsert(document):
            return document.id, document
        case Listed(document_id, revision):
            return document_id, revision
        case Checkpoint():
            return ("a checkpoint",)
        case _:
            return _id(change), type(change)
