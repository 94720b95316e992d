"""Who may read the documents of a source that brings no access lists: a list for all, or a side file with a list for each pattern.

Knows patterns and grants. Fails closed: a document that no line speaks of has the source's list, and that is empty unless set.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from pathlib import Path

from llmapp.errors import ConfigError

_GRANT = re.compile(r"public|(?:user|group|tenant):\S.*")
_FORMS = "a grant is public, user:NAME, group:NAME or tenant:NAME"


@dataclass(frozen=True, slots=True)
class AccessRules:
    """The access lists of a source."""

    default: tuple[str, ...] = ()
    """Grants of every document that no pattern speaks of; empty is nobody."""
    by_pattern: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Grants by a pattern of document ids; the first that matches counts. ``*`` stands for anything, slashes too."""

    def acl_of(self, document_id: str) -> tuple[str, ...]:
        """The access list of a document that brings none."""
        found = (acl for pattern, acl in self.by_pattern.items() if _compiled(pattern).fullmatch(document_id))
        return next(found, self.default)

    def parts(self) -> list[str]:
        """All that the rules say, for a hash."""
        lines = (f"{pattern}={sorted(acl)}" for pattern, acl in self.by_pattern.items())
        return [str(sorted(self.default)), *lines]


def is_grant(name: str) -> bool:
    """Whether a name is of a form that a principal may hold."""
    return bool(_GRANT.fullmatch(name))


def read_rules(default: tuple[str, ...], side_file: Path | None) -> AccessRules:
    """Read the access lists of a source.

    Args:
        default: The list of the source.
        side_file: TOML with a line ``"pattern" = ["group:hr"]`` for each pattern; None where there is none.

    Raises:
        ConfigError: The file cannot be read, or a grant is of no known form.
    """
    by_pattern = {} if side_file is None else _read(side_file)
    if wrong := next((name for acl in (default, *by_pattern.values()) for name in acl if not is_grant(name)), None):
        raise ConfigError(f"the access list names {wrong!r}", hint=_FORMS)
    return AccessRules(default, by_pattern)


def _read(side_file: Path) -> dict[str, tuple[str, ...]]:
    try:
        lines = tomllib.loads(side_file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"{side_file.name} cannot be read: {reason}", hint="acl_file of the source names a TOML file"
        ) from error
    if wrong := next((key for key, acl in lines.items() if not _is_list_of_names(acl)), None):
        raise ConfigError(f"{side_file.name}: {wrong!r} has no list of grants", hint='write "hr/*" = ["group:hr"]')
    return {pattern: tuple(acl) for pattern, acl in lines.items()}


def _is_list_of_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))
