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


KIT = ConnectorContract()


def test_a_good_connector_passes_every_test():
    names = [name for name in dir(KIT) if name.startswith("test_")]
    assert len(names) == 9
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
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseModel) else "",
)
def test_a_broken_promise_is_found(connector, name):
    with pytest.raises(AssertionError):
        getattr(KIT, name)(connector)
