"""What an implementation must pass: conformance tests to inherit from.

A connector's author writes

    class TestNotes(ConnectorContract):
        @pytest.fixture
        def connector(self, tmp_path):
            (tmp_path / "a.txt").write_text("hello")
            return Notes(folder=tmp_path)

and gets every test below. The source behind the fixture holds at least one document and stays as it is during a test.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError

from llmapp.connector import Change, Checkpoint, Connector, Cursor, Delete, Failure, Upsert


class ConnectorContract:
    """The contract of `llmapp.connector`, as tests."""

    @pytest.fixture
    def connector(self) -> Connector:
        """The connector under test; to be overridden."""
        raise NotImplementedError("override the fixture `connector`")

    def test_is_a_frozen_model_with_a_read_method(self, connector: Connector) -> None:
        """Its fields are its configuration, and nothing changes them."""
        assert isinstance(connector, BaseModel)
        assert isinstance(connector, Connector)
        assert connector.model_config.get("frozen"), "declare class Name(BaseModel, frozen=True)"
        for name in list(type(connector).model_fields)[:1]:
            with pytest.raises(ValidationError):
                setattr(connector, name, getattr(connector, name))

    def test_says_by_a_class_variable_whether_it_mentions_everything(self, connector: Connector) -> None:
        """`snapshot` is a property of the class, not a setting."""
        assert isinstance(getattr(type(connector), "snapshot", False), bool)
        assert isinstance(connector, BaseModel)
        assert "snapshot" not in type(connector).model_fields, "declare snapshot: ClassVar[bool] = True"

    def test_shows_no_secret(self, connector: Connector) -> None:
        """A secret appears neither in the text of the model nor in a failure."""
        shown = f"{connector!r} {connector} {[change for change in _read(connector) if isinstance(change, Failure)]!r}"
        for name in getattr(type(connector), "model_fields", {}):
            value = getattr(connector, name)
            if isinstance(value, SecretStr | SecretBytes) and value:
                secret = value.get_secret_value()
                assert (secret if isinstance(secret, str) else secret.decode()) not in shown, name

    def test_ends_with_a_checkpoint(self, connector: Connector) -> None:
        """What comes after the last checkpoint would be read again in every run."""
        changes = _read(connector)
        assert any(isinstance(change, Upsert) for change in changes), "the source of the fixture holds no document"
        assert isinstance(changes[-1], Checkpoint)

    def test_gives_each_document_one_stable_id(self, connector: Connector) -> None:
        """Two reads of the same source say the same, in the same order."""
        first, second = _outline(_read(connector)), _outline(_read(connector))
        assert first == second
        assert len({name for name, _ in first}) == len(first), "an id comes twice in one read"

    def test_describes_every_document(self, connector: Connector) -> None:
        """A document has an id, a uri, and either text or content."""
        for change in _read(connector):
            if isinstance(change, Upsert):
                document = change.document
                assert document.id.encode(), "an id is not empty and is valid Unicode"
                assert document.uri.encode(), document.id
                assert _is_unicode(document.title, document.revision, *(document.acl or ())), document.id
                assert (document.text is None) != (document.content is None), f"{document.id}: text or content, not both"
                json.dumps(dict(document.metadata))

    def test_reads_content_only_when_asked_and_as_bytes(self, connector: Connector) -> None:
        """`content` is a callable, so that an unchanged document costs nothing."""
        for change in _read(connector):
            if isinstance(change, Upsert) and change.document.content is not None:
                assert isinstance(change.document.content(), bytes), change.document.id

    def test_gives_failures_a_reason_of_one_line(self, connector: Connector) -> None:
        """A failure is what an operator will read."""
        for change in _read(connector):
            if isinstance(change, Failure):
                assert change.id
                assert change.error.strip()
                assert "\n" not in change.error
                assert _is_unicode(change.id, change.error, change.uri), "write lone surrogates out"

    def test_goes_on_from_every_cursor(self, connector: Connector) -> None:
        """A cursor survives JSON, and a read from it brings all that did not stand above it, nothing unknown, and a checkpoint."""
        changes = _read(connector)
        known = _ids(changes)
        for place, change in enumerate(changes):
            if isinstance(change, Checkpoint):
                cursor = json.loads(json.dumps(change.cursor))
                assert cursor == change.cursor, "a cursor is a JSON value"
                resumed = _read(connector, cursor)
                lost = known - _ids(changes[:place]) - _ids(resumed)
                assert not lost, f"a run that stops at {cursor!r} and goes on never hears of {sorted(lost)}"
                assert _ids(resumed) <= known
                assert resumed, f"a read from {cursor!r} yields nothing, not even a checkpoint"
                assert isinstance(resumed[-1], Checkpoint), f"a read from {cursor!r} does not end with a checkpoint"

    def test_mentions_everything_in_every_read_when_it_is_a_snapshot(self, connector: Connector) -> None:
        """What a snapshot leaves out is deleted, so no cursor may shorten it."""
        changes = _read(connector)
        for change in changes:
            if getattr(connector, "snapshot", False) and isinstance(change, Checkpoint):
                left_out = _ids(changes) - _ids(_read(connector, change.cursor))
                assert not left_out, f"a read from {change.cursor!r} leaves out {sorted(left_out)}"


def _read(connector: Connector, cursor: Cursor = None) -> list[Change]:
    return list(connector.read(cursor))


def _ids(changes: Sequence[Change]) -> set[str]:
    return {name for name, _ in _outline(changes)}


def _is_unicode(*texts: str | None) -> bool:
    return all(text is None or text == text.encode(errors="replace").decode() for text in texts)


def _outline(changes: Sequence[Change]) -> list[tuple[str, str]]:
    """Id and kind of everything but checkpoints."""
    kinds: list[tuple[str, str]] = []
    for change in changes:
        match change:
            case Upsert(document):
                kinds.append((document.id, f"upsert {document.revision}"))
            case Delete(document_id) | Failure(document_id):
                kinds.append((document_id, type(change).__name__))
            case Checkpoint():
                pass
    return kinds
