"""The sources of an application: by the settings, or by a path that somebody names.

Knows which folder belongs to which source, so that no document is taken in twice, and makes connectors; reads none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

from llmapp.config import Settings, SourceSettings, with_secrets
from llmapp.errors import ConfigError, SourceNotFoundError
from llmapp.ingestion.secrets import secrets_in
from llmapp.types import LOCAL_USER

if TYPE_CHECKING:
    from pydantic import JsonValue

    from llmapp.connector import Connector
    from llmapp.ingestion.access import AccessRules

_SECRET_NAME = re.compile(
    r"authorization|cookie|password|passwd|secret|token|api.?key|access.?key|credential", re.IGNORECASE
)
_FREE_TABLES = {"headers", "params", "options", "arguments"}
"""Tables of connectors that take any name."""
_NO_SECRETS = ("_url", "_path", "_id", "_param", "_header", "_name", "-name", "_field")


@dataclass(frozen=True, slots=True)
class DocumentSource:
    """A source of the application. Its connector is made when it is read, so that a broken one stands in no other's way."""

    name: str
    make: Callable[[], Connector]
    acl: tuple[str, ...]
    """Who may read documents that bring no access list, and that no pattern of `acl_file` speaks of."""
    acl_file: Path | None = None
    """Access lists by patterns of document ids."""
    root: Path | None = None
    """The file or folder that is read; None where the source is no file system."""

    @property
    def connector(self) -> Connector:
        """A new connector.

        Raises:
            ConfigError: It is not installed, or its settings are wrong.
        """
        return self.make()

    @property
    def access(self) -> AccessRules:
        """The access lists.

        Raises:
            ConfigError: The file cannot be read, or a grant is of no known form.
        """
        from llmapp.ingestion.access import read_rules

        return read_rules(self.acl, self.acl_file)


class SourceBook:
    """Finds sources."""

    def __init__(self, settings: Settings, *, earlier: Callable[[], Sequence[str]] = tuple) -> None:
        """Know the settings.

        Args:
            settings: Of the application.
            earlier: Names of the sources that were ever synced; those of paths are the paths.
        """
        self._settings = settings
        self._earlier = earlier

    def all(self) -> list[DocumentSource]:
        """The sources of the settings.

        Raises:
            ConfigError: There is none, or one's settings are wrong.
        """
        if not self._settings.sources:
            raise ConfigError("nothing to ingest", hint="name a PATH, or add [[sources]] to llmapp.toml")
        roots = [(given, root) for given in self._settings.sources if (root := self._root(given))]
        for (outer, around), (inner, root) in permutations(roots, 2):
            if root.is_relative_to(around) and (set(inner.acl), inner.acl_file) != (set(outer.acl), outer.acl_file):
                raise ConfigError(
                    f"source {inner.name} lies inside {outer.name} and has another access list",
                    hint="keep the folders apart, or give both the same acl",
                )
        return [self._source(given) for given in self._settings.sources]

    def _source(self, given: SourceSettings) -> DocumentSource:
        make = partial(self.connector, given.connector, given.settings)
        acl_file = None if given.acl_file is None else self._settings.root / given.acl_file
        return DocumentSource(given.name, make, given.acl, acl_file, self._root(given))

    def _root(self, given: SourceSettings) -> Path | None:
        """The file or folder that a source of files reads; None for other connectors."""
        path = given.settings.get("path")
        return (self._settings.root / path).resolve() if given.connector == "files" and isinstance(path, str) else None

    def connector(self, name: str, given: Mapping[str, JsonValue]) -> Connector:
        """A connector by the name of its entry point, with settings as they stand in llmapp.toml.

        Raises:
            ConfigError: It is not installed, a setting is wrong, or a secret is not set or stands in the file.
        """
        from llmapp.ingestion.registry import load_connector

        settings = with_secrets(given)
        path = settings.get("path")
        if isinstance(path, str):
            settings["path"] = str(self._settings.root / path)
        if name == "files":
            settings.setdefault("relative_to", str(self._settings.root))
        for table in _FREE_TABLES & settings.keys():
            _check_plain(name, settings[table])
        connector = load_connector(name, settings)
        _check_secrets(name, connector, set(secrets_in(settings).values()))
        return connector

    def of(self, paths: Sequence[Path | str]) -> list[DocumentSource]:
        """The sources that hold these files or folders; a path that no source holds becomes one of its own.

        Raises:
            SourceNotFoundError: A path is not there.
            ConfigError: A path holds a source of the settings, whose access list would be lost.
        """
        found: dict[str, DocumentSource] = {}
        for given in paths:
            try:
                path = Path(given).resolve(strict=True)
            except (OSError, RuntimeError) as error:
                raise SourceNotFoundError(f"{str(given)[:200]} is not there", hint="check the path") from error
            source = self._source_around(path)
            found[source.name] = source
        return [source for source in found.values() if not any(_holds(other, source) for other in found.values())]

    def superseded_by(self, source: DocumentSource) -> list[str]:
        """Names of paths that were taken in on their own before, and that this source now holds."""
        if source.root is None:
            return []
        return [name for name in self._earlier() if name != source.name and Path(name).is_relative_to(source.root)]

    def _source_around(self, path: Path) -> DocumentSource:
        """The source of the settings, or the path of an earlier run, that holds `path`; else a new one."""
        for given in self._settings.sources:
            root = self._root(given)
            if root is not None and path.is_relative_to(root):
                return self._source(given)
            if root is not None and root.is_relative_to(path):
                raise ConfigError(
                    f"{path} holds the source {given.name}, which has an access list of its own",
                    hint="ingest without a path, or name a folder beside it",
                )
        around = (Path(name) for name in self._earlier() if path.is_relative_to(name))
        root_path = min(around, key=lambda folder: len(folder.parts), default=path)
        make = partial(self.connector, "files", {"path": str(root_path)})
        return DocumentSource(str(root_path), make, (f"user:{LOCAL_USER.user}",), root=root_path)


def _check_secrets(name: str, connector: Connector, from_environment: set[str]) -> None:
    """See that no secret stands in the file, which is shared and kept."""
    if set(secrets_in(connector).values()) - from_environment:
        raise ConfigError(
            f"a secret of connector {name} stands in llmapp.toml", hint='write it as { env = "NAME" } and set that variable'
        )


def _check_plain(name: str, settings: object) -> None:
    """See that no table of settings holds what by its name is a secret."""
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            if isinstance(value, str) and _SECRET_NAME.search(str(key)) and not str(key).lower().endswith(_NO_SECRETS):
                raise ConfigError(
                    f"{key} of connector {name} looks like a secret that stands in llmapp.toml",
                    hint='write it as { env = "NAME" } where the connector takes secrets, and set that variable',
                )
            _check_plain(name, value)


def _holds(outer: DocumentSource, inner: DocumentSource) -> bool:
    """Whether the folder of one source lies inside that of another."""
    return bool(outer.root and inner.root and outer.root != inner.root and inner.root.is_relative_to(outer.root))
