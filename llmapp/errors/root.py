"""The root of the tree."""

from __future__ import annotations

from typing import ClassVar


class LLMAppError(Exception):
    """Root of the tree.

    Attributes:
        code: Stable slug for machines, e.g. ``budget_exceeded``.
        retryable: Whether the same call may succeed later, unchanged.
        hint: What to do next, one sentence; empty when there is nothing to add.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __init_subclass__(cls, *, code: str | None = None, retryable: bool | None = None) -> None:
        """Take `code` and `retryable` from the head of the class; what is not named is that of the class above."""
        super().__init_subclass__()
        cls.code = cls.code if code is None else code
        cls.retryable = cls.retryable if retryable is None else retryable

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Keep the message and the hint.

        Args:
            message: What went wrong, one line.
            hint: What to do next, one sentence.
        """
        super().__init__(message)
        self.message = message
        self.hint = hint
