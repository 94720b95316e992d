"""Which paths of a tree are read. Knows names, not what is behind them."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

_SETTINGS = "llmapp.toml"  # may hold the secrets of connectors


def is_wanted(path: str, glob: str) -> bool:
    """Whether a visible path matches; hidden files and folders and every ``llmapp.toml`` never do.

    Args:
        path: Posix path below the root.
        glob: ``**`` stands for any number of folders, ``*`` and ``?`` stay within a name.
    """
    parts = path.split("/")
    if parts[-1].casefold() == _SETTINGS or any(part.startswith(".") for part in parts):
        return False
    return _matches(parts, PurePosixPath(glob).parts)


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or (bool(parts) and _matches(parts[1:], pattern))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])
