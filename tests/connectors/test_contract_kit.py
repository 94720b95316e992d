import json
import subprocess
import sys
from itertools import count
from typing import ClassVar

import pytest
from pydantic import BaseModel, SecretBytes, SecretStr, model_serializer

from llmapp.connector import Checkpoint, ConnectorError, Delete, Document, Failure, Listed, Upsert
from llmapp.ingestion.secrets import secrets_in, without
from llmapp.testing.checks import CHECKS, run_checks
from llmapp.testing.contracts import ConnectorContract
from llmapp.testing.leaks import leaked
from llmapp.testing.trial import Trial

NOTE = Upsert(Document(id="a", uri="a.txt", text="words"))
ALL = {check.name for check in CHECKS}


class Login(BaseModel, frozen=True):
    password: SecretStr = SecretStr("pass'w\nord")


class Good(BaseModel, frozen=True):
    token: SecretStr = SecretStr("s3cret")
    key: SecretBytes = SecretBytes(b"by\xfftes")
    login: Login = Login()
    more: dict[str, list[SecretStr]] = {"keys": [SecretStr("nested")]}

    def read(self, cursor):
        yield NOTE
        yield Listed("b", "1", lambda: Document(id="b", uri="b.txt", content=lambda: b"bytes", acl=("group:a b", "public")))
        yield Listed("c", "1", gone)
        yield Failure("d", "it is locked")
        yield Delete("e")
        yield Checkpoint({"page": 1})


def gone():
    raise ConnectorError("it has just gone")


def bringing(name, **fields):
    """A connector of one document."""

    def read(self, cursor):
        yield Upsert(Document(**{"id": "a", "uri": "a.txt", "text": "words"} | fields))
        yield Checkpoint(None)

    return type(name, (Good,), {"read": read, "__module__": __name__}, frozen=True)()


def saying(name, *changes):
    """A connector of these changes."""
    return type(name, (Good,), {"read": lambda self, cursor: iter(changes), "__module__": __name__}, frozen=True)()


class Plain:
    def read(self, cursor):
        yield NOTE
        yield Checkpoint(None)


class Thawed(Good, frozen=False):
    pass


class Unwritable(Good, frozen=True, arbitrary_types_allowed=True):
    thing: object = object()


class SnapshotSetting(Good, frozen=True):
    snapshot: bool = True


class SnapshotNumber(Good, frozen=True):
    snapshot: ClassVar[int] = 1


class TotalSetting(Good, frozen=True):
    total: int = 3


class TotalBelowZero(Good, frozen=True):
    def total(self):
        return -1


class Failing(Good, frozen=True):
    def read(self, cursor):
        yield NOTE
        raise ConnectorError(f"401 for {self.token.get_secret_value()}", hint="renew it")


class Blabbing(Good, frozen=True):
    def read(self, cursor):
        yield NOTE
        yield Failure("b", f"401 for {self.token.get_secret_value()}")
        yield Checkpoint(None)


class BlabbingInMetadata(Good, frozen=True):
    def read(self, cursor):
        secret = self.more["keys"][0].get_secret_value()
        yield Upsert(Document(id="a", uri="a.txt", text="words", metadata={"by": [{"me": f"-{secret}-"}]}))
        yield Checkpoint(None)


class BlabbingInCursor(Good, frozen=True):
    def read(self, cursor):
        yield NOTE
        yield Checkpoint({"next": ["/page?password=pass%27w%0Aord"]})


class BlabbingInContent(Good, frozen=True):
    def read(self, cursor):
        yield Upsert(Document(id="a", uri="a.txt", content=self._fail))
        yield Checkpoint(None)

    def _fail(self):
        raise ConnectorError("no", hint=f"ask for {self.token.get_secret_value()}")


class BlabbingInRepr(Good, frozen=True):
    def __repr__(self):
        return f"Good({self.login.password.get_secret_value()!r})"


class BlabbingInSettings(Good, frozen=True):
    @model_serializer
    def _write(self):
        return {"token": self.token.get_secret_value()}


class Restless(Good, frozen=True):
    numbers: ClassVar = count()

    def read(self, cursor):
        yield Upsert(Document(id="a", uri="a.txt", text="words", metadata={"read": next(self.numbers)}))
        yield Checkpoint(None)


class Clinging(Good, frozen=True):
    def read(self, cursor):
        try:
            yield NOTE
        finally:
            yield Checkpoint(None)


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


class Inventing(Good, frozen=True):
    def read(self, cursor):
        yield NOTE if cursor is None else Delete("never seen")
        yield Checkpoint(1)


class ShortSnapshot(Good, frozen=True):
    """Says that it mentions everything, and goes on from a cursor all the same."""

    snapshot: ClassVar[bool] = True

    def read(self, cursor):
        if cursor is None:
            yield NOTE
        yield Checkpoint(1)


BROKEN = [
    (Plain(), "is_a_frozen_model_with_a_read_method"),
    (Thawed(), "is_a_frozen_model_with_a_read_method"),
    (Login(), "is_a_frozen_model_with_a_read_method"),
    (Unwritable(), "has_settings_that_survive_json"),
    (SnapshotSetting(), "says_whether_it_mentions_everything"),
    (SnapshotNumber(), "says_whether_it_mentions_everything"),
    (TotalSetting(), "counts_its_documents_or_does_not"),
    (TotalBelowZero(), "counts_its_documents_or_does_not"),
    (Failing(), "can_be_read"),
    (saying("Empty", Checkpoint(None)), "can_be_read"),
    (saying("Odd", NOTE, NOTE.document, Checkpoint(None)), "can_be_read"),
    (saying("Unreadable", Listed("c", "1", gone), Checkpoint(None)), "can_be_read"),
    (Failing(), "shows_no_secret"),
    (Blabbing(), "shows_no_secret"),
    (BlabbingInMetadata(), "shows_no_secret"),
    (BlabbingInCursor(), "shows_no_secret"),
    (BlabbingInContent(), "shows_no_secret"),
    (BlabbingInRepr(), "shows_no_secret"),
    (BlabbingInSettings(), "shows_no_secret"),
    (bringing("Nameless", id=""), "describes_every_document"),
    (bringing("Nowhere", uri=""), "describes_every_document"),
    (bringing("Hollow", text=None), "describes_every_document"),
    (bringing("Doubled", content=bytes), "describes_every_document"),
    (bringing("Mangled", title="caf\udce9"), "describes_every_document"),
    (saying("Unrevised", Listed("a", "", lambda: NOTE.document)), "reads_what_it_lists"),
    (saying("Swapped", Listed("b", "1", lambda: NOTE.document)), "reads_what_it_lists"),
    (saying("Unread", Listed("b", "1", lambda: None)), "reads_what_it_lists"),
    (bringing("Textual", text=None, content=lambda: "words"), "reads_content_as_bytes"),
    (saying("Raising", Listed("b", "1", lambda: 1 / 0)), "reads_content_as_bytes"),
    (bringing("Unjson", metadata={"when": {1, 2}}), "has_metadata_that_are_json"),
    (bringing("Renamed", metadata={1: "a"}), "has_metadata_that_are_json"),
    (bringing("NotANumber", metadata={"a": float("nan")}), "has_metadata_that_are_json"),
    (bringing("Everybody", acl=("everyone",)), "has_well_formed_access_lists"),
    (bringing("NobodyNamed", acl=("user:",)), "has_well_formed_access_lists"),
    (bringing("Padded", acl=("group: staff",)), "has_well_formed_access_lists"),
    (bringing("OneGrant", acl="public"), "has_well_formed_access_lists"),
    (saying("Silent", NOTE, Failure("b", " ")), "gives_failures_a_reason_of_one_line"),
    (saying("Long", NOTE, Failure("b", "a\nb")), "gives_failures_a_reason_of_one_line"),
    (saying("Unnamed", NOTE, Failure("", "no")), "gives_failures_a_reason_of_one_line"),
    (saying("Surrogate", NOTE, Failure("b", "cannot open \udcff")), "gives_failures_a_reason_of_one_line"),
    (saying("Twice", NOTE, Delete("a")), "gives_each_document_one_id"),
    (Restless(), "says_the_same_when_read_again"),
    (saying("Tuples", NOTE, Checkpoint((1, 2))), "has_cursors_that_are_json"),
    (saying("Numbers", NOTE, Checkpoint({1: "a"})), "has_cursors_that_are_json"),
    (Clinging(), "closes_when_it_is_abandoned"),
    (saying("Endless", Checkpoint(1), NOTE), "ends_with_a_checkpoint"),
    (Losing(), "goes_on_from_every_cursor"),
    (Mute(), "goes_on_from_every_cursor"),
    (Inventing(), "goes_on_from_every_cursor"),
    (ShortSnapshot(), "mentions_everything_when_it_is_a_snapshot"),
]


class TestAGoodConnectorKeepsTheContract(ConnectorContract):
    @pytest.fixture
    def connector(self):
        return Good()


class TestASnapshotThatFollowsFromASetting(ConnectorContract):
    @pytest.fixture
    def connector(self):
        class Either(Good, frozen=True):
            is_whole: bool = True

            @property
            def snapshot(self):
                return self.is_whole

            def total(self):
                return None

        return Either()


@pytest.mark.parametrize(
    ("connector", "name"), BROKEN, ids=lambda value: value if isinstance(value, str) else type(value).__name__
)
def test_a_broken_promise_is_found_and_says_what_to_do(connector, name):
    (check,) = (check for check in CHECKS if check.name == name)
    with pytest.raises(AssertionError, match=r"[;:,] | is |declare|give|yield|names"):
        check.run(Trial(connector))


def test_for_every_check_there_is_a_connector_that_fails_it():
    assert {name for _, name in BROKEN} == ALL


def test_the_checks_need_no_pytest():
    script = "import sys, llmapp.testing.checks; print('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_checks_hold_where_assertions_are_switched_off():
    script = "from llmapp.testing.checks import run_checks; print({result.outcome for result in run_checks(object())})"
    done = subprocess.run([sys.executable, "-O", "-c", script], capture_output=True, text=True, check=True)
    assert "failed" in done.stdout


def test_a_good_connector_passes_every_check():
    results = list(run_checks(Good()))
    assert [result.outcome for result in results] == ["passed"] * len(CHECKS)
    assert {result.name for result in results} == ALL


def test_a_source_that_cannot_be_read_is_told_once_without_its_secrets():
    results = {result.name: result for result in run_checks(Failing())}
    assert results["can_be_read"].outcome == "failed"
    assert "401 for ***: renew it" in results["can_be_read"].message
    assert results["describes_every_document"].outcome == "skipped"
    assert "s3cret" not in repr(results)


def test_a_source_that_cannot_be_read_is_asked_once():
    asked = []

    class Down(Good, frozen=True):
        def read(self, cursor):
            asked.append(cursor)
            raise ConnectorError("down")
            yield

    assert {result.outcome for result in run_checks(Down())} == {"passed", "failed", "skipped"}
    assert len(asked) == 1


def test_a_large_source_is_sampled_and_what_needs_all_of_it_is_skipped():
    given = []

    class Huge(Good, frozen=True):
        def read(self, cursor):
            for number in count():
                given.append(number)
                yield Upsert(Document(id=str(number), uri="a.txt", text="words"))
                yield Checkpoint(number)

    results = {result.name: result for result in run_checks(Huge(), limit=5)}
    skipped = {name for name, result in results.items() if result.outcome == "skipped"}
    assert skipped == {check.name for check in CHECKS if check.needs_whole_source}
    assert "more than 5" in results["ends_with_a_checkpoint"].message
    assert {result.outcome for name, result in results.items() if name not in skipped} == {"passed"}
    assert max(given) == 5


def test_a_source_of_just_as_many_documents_as_the_limit_is_checked_whole():
    assert {result.outcome for result in run_checks(Good(), limit=5)} == {"passed"}


def test_what_is_listed_is_not_read_when_it_is_only_outlined():
    reads = []
    listed = Listed("a", "1", lambda: reads.append("a") or NOTE.document)
    trial = Trial(saying("Listing", listed, Checkpoint(None)))
    assert trial.outline() == [listed, Checkpoint(None)]
    assert reads == []
    assert trial.documents == [NOTE.document]
    assert reads == ["a"]


def test_secrets_are_found_however_deep():
    assert secrets_in(Good()) == {
        "token": "s3cret",
        "key": "by\\xfftes",
        "login.password": "pass'w\nord",
        "more.keys.0": "nested",
    }


@pytest.mark.parametrize(
    "write", [str, repr, json.dumps, lambda text: "pass%27w%0Aord"], ids=["as it is", "repr", "json", "url"]
)
def test_a_secret_is_found_and_struck_out_however_it_is_written(write):
    secrets = {"password": "pass'w\nord"}
    text = f"a {write(secrets['password'])} b"
    assert leaked(secrets, {"x": [text]}) == ["password"]
    assert leaked(secrets, without(secrets, text)) == []
    assert without(secrets, "a b") == "a b"
