"""Errors on the command line: one line with a hint, and an exit code for each family.

The codes are part of the interface: scripts test them. 1 is anything unforeseen, 2 is wrong usage (from the argument
parser), 130 is Ctrl-C.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

import typer

from llmapp.errors import (
    BudgetExceededError,
    CatalogError,
    ConfigError,
    ConnectorError,
    CostError,
    EvaluationError,
    FilterError,
    IngestionError,
    LLMAppError,
    LockedError,
    ModelError,
    PromptError,
    RequestError,
    RetrievalError,
    UnknownModelError,
)

EXIT_CODES: dict[type[LLMAppError], int] = {
    ConfigError: 3,
    ConnectorError: 4,
    IngestionError: 5,
    CatalogError: 6,
    LockedError: 7,
    RetrievalError: 8,
    PromptError: 9,
    ModelError: 10,
    UnknownModelError: 11,
    CostError: 12,
    BudgetExceededError: 13,
    RequestError: 14,
    EvaluationError: 15,
}


show_tracebacks: ContextVar[bool] = ContextVar("show_tracebacks", default=False)
"""Set by ``--debug``: an unforeseen error is raised instead of being told in a line."""


INTERRUPTED = 130
"""Exit code of Ctrl-C, as in shells."""


def exit_code(error: LLMAppError) -> int:
    """The exit code of an error: that of its class, or of the nearest class above it."""
    return next((EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES), 1)


@contextmanager
def reported(*, as_json: bool) -> Iterator[None]:
    """Turn an error of the block into a line (or, with ``--json``, an object) and its exit code.

    Args:
        as_json: Whether to print the error's shape to standard output instead of a line to standard error.
    """
    try:
        yield
    except typer.Exit:
        raise
    except LLMAppError as error:
        print_error(error, as_json=as_json)
        raise typer.Exit(exit_code(error)) from error
    except KeyboardInterrupt:
        print_error(LLMAppError("stopped", hint="what was committed is kept; run it again to go on"), as_json=as_json)
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise typer.Exit(0) from None
    except Exception as error:
        if show_tracebacks.get():
            raise
        print_error(_unforeseen(error), as_json=as_json)
        raise typer.Exit(1) from error


@contextmanager
def stopping_gently() -> Iterator[None]:
    """Say at the first Ctrl-C that the batch at hand is brought to its end; the second does not wait for it."""

    def first(number: int, frame: FrameType | None) -> None:
        sys.stderr.write("\nstopping after this batch; Ctrl-C again stops at once\n")
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
        signal.default_int_handler(number, frame)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def print_error(error: LLMAppError, *, as_json: bool, where: str = "") -> None:
    """Print an error: a line with its hint to standard error, or its shape to standard output."""
    if as_json:
        from llmapp.app.shapes import error_shape

        sys.stdout.write(json.dumps(error_shape(error), ensure_ascii=False) + "\n")
    else:
        hint = f"{_pointed(error)}\n  {error.hint}" if error.hint else ""
        place = f"{where}: " if where and not error.message.startswith(where) else ""
        sys.stderr.write(f"error: {place}{error.message}{hint}\n")


def _pointed(error: LLMAppError) -> str:
    """The line of a filter with a mark below the place at which it goes wrong."""
    if not isinstance(error, FilterError) or error.position is None:
        return ""
    start = error.text.rfind("\n", 0, error.position) + 1
    line = error.text[start:].partition("\n")[0]
    return f"\n  {line}\n  {' ' * (error.position - start)}^"


def _unforeseen(error: Exception) -> LLMAppError:
    first_line = (str(error).splitlines() or [""])[0]
    return LLMAppError(f"{type(error).__name__}: {first_line}", hint="this is a bug in llmapp; please report it")
