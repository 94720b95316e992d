"""The contract of `llmapp.connector`, as checks that need no test framework.

A check looks at a `Trial` and raises `AssertionError`, which says what to do. `run_checks` is for a live source; in a
test, `llmapp.testing.contracts.ConnectorContract` runs the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from llmapp.connector import Connector
from llmapp.ingestion.secrets import secrets_in, without
from llmapp.testing import document_checks, reading_checks, settings_checks
from llmapp.testing.trial import Trial
from llmapp.testing.verdicts import told


@dataclass(frozen=True, slots=True)
class Check:
    """One promise of the contract."""

    run: Callable[[Trial], None]
    """Raises `AssertionError` when the promise is broken."""
    needs_whole_source: bool = False
    """Whether a part of the source proves nothing."""

    @property
    def name(self) -> str:
        """What is promised, in words joined by underscores."""
        return self.run.__name__


CHECKS = (
    Check(settings_checks.is_a_frozen_model_with_a_read_method),
    Check(settings_checks.has_settings_that_survive_json),
    Check(settings_checks.says_whether_it_mentions_everything),
    Check(settings_checks.counts_its_documents_or_does_not),
    Check(reading_checks.can_be_read),
    Check(document_checks.shows_no_secret),
    Check(document_checks.describes_every_document),
    Check(document_checks.reads_what_it_lists),
    Check(document_checks.reads_content_as_bytes),
    Check(document_checks.has_metadata_that_are_json),
    Check(document_checks.has_well_formed_access_lists),
    Check(document_checks.gives_failures_a_reason_of_one_line),
    Check(reading_checks.gives_each_document_one_id),
    Check(reading_checks.says_the_same_when_read_again),
    Check(reading_checks.has_cursors_that_are_json),
    Check(reading_checks.closes_when_it_is_abandoned),
    Check(reading_checks.ends_with_a_checkpoint, needs_whole_source=True),
    Check(reading_checks.goes_on_from_every_cursor, needs_whole_source=True),
    Check(reading_checks.mentions_everything_when_it_is_a_snapshot, needs_whole_source=True),
)
"""All checks, in the order in which they are run: what costs nothing, what one read shows, what takes more reads."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What came of a check."""

    name: str
    outcome: Literal["passed", "failed", "skipped"]
    message: str = ""
    """Why it failed or was skipped, without secrets; empty when it passed."""


def run_checks(connector: Connector, *, limit: int | None = None) -> Iterator[CheckResult]:
    """Check a connector against its source, which should stay as it is meanwhile.

    Args:
        connector: The connector, ready to read.
        limit: Documents to look at, at most; None is all. What only the whole source proves is skipped if it holds more.

    Yields:
        A result for each of `CHECKS`, in their order.
    """
    trial = Trial(connector, limit=limit)
    secrets = secrets_in(connector)
    for check in CHECKS:
        outcome, message = _outcome(check, trial)
        yield CheckResult(check.name, outcome, without(secrets, message))


def _outcome(check: Check, trial: Trial) -> tuple[Literal["passed", "failed", "skipped"], str]:
    if check.needs_whole_source and trial.reading.is_cut_short:
        return "skipped", f"needs the whole source, which holds more than {trial.limit} documents"
    try:
        check.run(trial)
    except AssertionError as error:
        return "failed", str(error)
    except Exception as error:  # noqa: BLE001 - a connector may raise anything
        return ("skipped", "it cannot be read") if error is trial.reading.error else ("failed", told(error))
    return "passed", ""
