"""What the host hears of a connector: its changes, its settings, how much it expects.

Whatever goes wrong in it becomes a typed error that tells no secret, or is no matter.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator

from llmapp.connector import Change, Connector, Cursor
from llmapp.errors import ConnectorError, LLMAppError
from llmapp.ingestion.preparing import storable


def total_of(connector: Connector) -> int | None:
    """How many documents a read from the start will mention; None when the connector does not say."""
    total = getattr(connector, "total", None)
    with contextlib.suppress(Exception):  # whatever is wrong shows in the reading
        if callable(total) and isinstance(count := total(), int):
            return count
    return None


def settings_of(connector: Connector) -> str:
    """What the connector was told, secrets masked: other settings may bring other documents."""
    dump = getattr(connector, "model_dump", None)
    try:
        return json.dumps(dump(), default=_settled, sort_keys=True) if callable(dump) else ""
    except Exception:  # noqa: BLE001 - a setting that cannot be written as JSON is no reason not to read
        return ""


def _settled(value: object) -> object:
    """A value that is no JSON, in a form that is the same in every process."""
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)


def changes_of(connector: Connector, cursor: Cursor, hide: Callable[[str], str]) -> Generator[Change, None, None]:
    """What the connector yields; an error of its own making becomes a `ConnectorError`, and none tells a secret."""
    try:
        yield from connector.read(cursor)
    except LLMAppError as error:
        error.message, error.hint = hide(error.message), hide(error.hint)
        error.args = (error.message,)
        raise
    except Exception as error:
        reason = hide(storable(" ".join(str(error).split())[:200]))
        raise ConnectorError(
            f"the connector failed: {type(error).__name__}: {reason}", hint="what was committed stays; run again"
        ) from error
