from itertools import count
from typing import ClassVar

import pytest
from pydantic import BaseModel, SecretStr

from llmapp.connector import Checkpoint, Document, Failure, Upsert
from llmapp.testing.contracts import ConnectorContract

NOTE = Upsert(Document(id="a", uri="a.txt", text="words"))


class Good(BaseModel, frozen=True):
    token: SecretStr = SecretStr("s3cret")

    def read(self, cursor):
        yield NOTE
        yield Checkpoint({"page": 1})


class Thawed(Good, frozen=False):
    pass


class SnapshotSetting(Good, frozen=True):
    snapshot: bool = True


class Blabbing(Good, frozen=True):
    def read(self, cursor):
        yield NOTE
        yield Failure("b", f"401 for {self.token.get_secret_value()}")


class Endless(Good, frozen=True):
    def read(self, cursor):
        yield Checkpoint(1)
        yield NOTE


class Restless(Good, frozen=True):
    numbers: ClassVar = count()

    def read(self, cursor):
        yield Upsert(Document(id=str(next(self.numbers)), uri="a.txt", text="words"))


class Hollow(Good, frozen=True):
    def read(self, cursor):
        yield Upsert(Document(id="a", uri="a.txt"))


class Silent(Good, frozen=True):
    def read(self, cursor):
        yield Failure("a", " ")


class Forgetful(Good, frozen=True):
    def read(self, cursor):
        yield Checkpoint({1: "a"})


class Losing(Good, frozen=True):
    """Checkpoints after the first page, goes on after the last."""

    def read(self, cursor):
        if cursor is None:
            yield NOTE
            yield Checkpoint(1)
            yield Upsert(Document(id="b", uri="b.txt", text="words"))
        yield Checkpoint(2)


class Mute(Good, frozen=True):
    """Has nothing to say after its last cursor, not even where it stands."""

    def read(self, cursor):
        if cursor is None:
            yield NOTE
            yield Checkpoint(1)


class Open(Good, frozen=True):
    """Goes on without a checkpoint at the end."""

    def read(self, cursor):
        yield NOTE
        if cursor is None:
            yield Checkpoint(1)


class ShortSnapshot(Good, frozen=True):
    """Says that it mentions everything, and goes on from a cursor all the same."""

    snapshot: ClassVar[bool] = True

    def read(self, cursor):
        if cursor is None:
            yield NOTE
        yield Checkpoint(1)


class Mangled(Good, frozen=True):
    def read(self, cursor):
        yield Failure("a", "cannot open \udcff")


KIT = ConnectorContract()


def test_a_good_connector_passes_every_test():
    names = [name for name in dir(KIT) if name.startswith("test_")]
    assert len(names) == 10
    for name in names:
        getattr(KIT, name)(Good())


@pytest.mark.parametrize(
    ("connector", "name"),
    [
        (Thawed(), "test_is_a_frozen_model_with_a_read_method"),
        (SnapshotSetting(), "test_says_by_a_class_variable_whether_it_mentions_everything"),
        (Blabbing(), "test_shows_no_secret"),
        (Endless(), "test_ends_with_a_checkpoint"),
        (Restless(), "test_gives_each_document_one_stable_id"),
        (Hollow(), "test_describes_every_document"),
        (Silent(), "test_gives_failures_a_reason_of_one_line"),
        (Forgetful(), "test_goes_on_from_every_cursor"),
        (Losing(), "test_goes_on_from_every_cursor"),
        (Mute(), "test_goes_on_from_every_cursor"),
        (Open(), "test_goes_on_from_every_cursor"),
        (ShortSnapshot(), "test_mentions_everything_in_every_read_when_it_is_a_snapshot"),
        (Mangled(), "test_gives_failures_a_reason_of_one_line"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseModel) else "",
)
def test_a_broken_promise_is_found(connector, name):
    with pytest.raises(AssertionError):
        getattr(KIT, name)(connector)
