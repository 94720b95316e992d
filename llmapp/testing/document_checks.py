"""Checks of what a connector brings: documents, failures, and no secret."""

from __future__ import annotations

import re
from contextlib import suppress

from pydantic import BaseModel

from llmapp.connector import Document, Failure, Listed
from llmapp.errors import LLMAppError
from llmapp.ingestion.secrets import secrets_in
from llmapp.testing.leaks import leaked
from llmapp.testing.trial import Trial
from llmapp.testing.verdicts import is_json, is_unicode, require, told

_GRANT = re.compile(r"public|(?:user|group|tenant):\S(?:.*\S)?")


def shows_no_secret(trial: Trial) -> None:
    """A secret appears neither in the text of the model nor in anything that the host stores or shows."""
    shown: list[object] = [repr(trial.connector), str(trial.connector), trial.reading.error]
    with suppress(Exception):  # another check tells of it
        shown.append(trial.connector.model_dump(mode="json") if isinstance(trial.connector, BaseModel) else None)
    shown.extend((seen.change, seen.document, seen.error) for seen in trial.reading.seen)
    found = leaked(secrets_in(trial.connector), *shown)
    require(not found, f"the secret {', '.join(found)} is shown; leave it out of texts, addresses and errors")


def describes_every_document(trial: Trial) -> None:
    """A document has an id, a uri, and either text or content."""
    for document in trial.documents:
        texts = (document.id, document.uri, document.title, document.revision, document.text, document.media_type)
        require(is_unicode(*texts), f"{document.id!r}: write lone surrogates out")
        require(document.id, "a document has an empty id; take one that is unique and stable in the source")
        require(document.uri, f"{document.id}: give a uri, where a person finds it")
        is_one = (document.text is None) != (document.content is None)
        require(is_one, f"{document.id}: give text or content, one of the two")


def reads_what_it_lists(trial: Trial) -> None:
    """What is listed has a revision, and reads as the document of the same id."""
    for seen in trial.seen:
        if isinstance(listed := seen.change, Listed):
            is_named = isinstance(listed.revision, str) and listed.revision and is_unicode(listed.id, listed.revision)
            require(is_named, f"{listed.id!r}: list it with a revision, which is a text")
            require(isinstance(seen.document, Document) or seen.error, f"{listed.id}: its read gives no Document")
            is_same = seen.document is None or seen.document.id == listed.id
            require(is_same, f"{listed.id}: its read gives a document of another id")


def reads_content_as_bytes(trial: Trial) -> None:
    """`content` is a callable, so that an unchanged document costs nothing; what cannot be read is a `ConnectorError`."""
    for seen in trial.seen:
        name = getattr(seen.change, "id", None) or getattr(seen.document, "id", "")
        is_typed = seen.error is None or isinstance(seen.error, LLMAppError)
        require(is_typed, f"{name}: reading it raises {told(seen.error)}; raise a ConnectorError")
        if seen.error is None and seen.document is not None and seen.document.content is not None:
            require(isinstance(seen.content, bytes), f"{name}: content gives {type(seen.content).__name__}; give bytes")


def has_metadata_that_are_json(trial: Trial) -> None:
    """Filters use them, and the catalog stores them."""
    for document in trial.documents:
        require(is_json(dict(document.metadata)), f"{document.id}: metadata are JSON values; write others as text")


def has_well_formed_access_lists(trial: Trial) -> None:
    """A grant that nobody can hold hides a document for ever."""
    for document in trial.documents:
        require(isinstance(document.acl, tuple | None), f"{document.id}: acl is a tuple of grants, or None")
        for grant in document.acl or ():
            is_grant = isinstance(grant, str) and is_unicode(grant) and _GRANT.fullmatch(grant)
            require(is_grant, f"{document.id}: {grant!r} is not public, user:…, group:… or tenant:…")


def gives_failures_a_reason_of_one_line(trial: Trial) -> None:
    """A failure is what an operator will read."""
    for change in trial.changes:
        if isinstance(change, Failure):
            require(change.id, "a failure names no id")
            require(is_unicode(change.id, change.error, change.uri), f"{change.id!r}: write lone surrogates out")
            is_line = bool(change.error.strip()) and len(change.error.splitlines()) == 1
            require(is_line, f"{change.id}: give the reason in one line")
