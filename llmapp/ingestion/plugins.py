"""Connectors that are installed, by the entry points of the group ``llmapp.connectors``.

Finding one imports nothing, and loading one imports no other. Whatever is wrong with a package, from its metadata to code
that ends the program when it is imported, is an error of its own connectors only. Knows nothing of settings.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib import metadata

from pydantic import BaseModel

from llmapp.errors import ConfigError, MissingDependencyError, UnknownPluginError

GROUP = "llmapp.connectors"
"""The entry point group; a value names a class, e.g. ``llmapp_connectors.files:Files``."""
_OWN = "llmapp"
_VALUE = re.compile(r"[\w.]+:[\w.]+\s*(\[.*\])?")
_LONGEST_REASON_CHARS = 200


@dataclass(frozen=True, slots=True)
class Plugin:
    """A connector that a package brings; nothing of it is imported yet."""

    name: str
    package: str
    """Name of the distribution."""
    point: metadata.EntryPoint

    def load(self) -> type[BaseModel]:
        """Import it.

        Raises:
            MissingDependencyError: A connector of llmapp needs a package that is not installed.
            ConfigError: It cannot be imported, or is no pydantic model.
        """
        if not _VALUE.fullmatch(self.point.value.strip()):
            raise self._broken(f"its entry point {self.point.value[:_LONGEST_REASON_CHARS]!r} names no class")
        try:
            model = self.point.load()
        except ModuleNotFoundError as error:
            if self.package == _OWN and error.name:
                raise MissingDependencyError(error.name, extra=self.name) from error
            raise self._broken(_told(error)) from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a module may do anything when it is imported, and end the program too
            raise self._broken(_told(error)) from error
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise self._broken("it is not a pydantic model")
        return model

    def _broken(self, reason: str) -> ConfigError:
        return ConfigError(
            f"connector {self.name} of {self.package} cannot be loaded: {reason}",
            hint=f"install {self.package} again, with what it needs, or tell its authors",
        )


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A package whose metadata are broken, so that nobody knows what it brings."""

    package: str
    reason: str


def installed() -> Iterator[Plugin | Unreadable]:
    """All connectors of all packages, in the order of the search path; a package hides its copies further down."""
    seen: set[str] = set()
    for distribution in metadata.distributions():
        try:
            points = {point.name: point for point in distribution.entry_points if point.group == GROUP}
        except Exception as error:  # noqa: BLE001 - a file on disk may hold anything
            yield Unreadable(_name(distribution), _told(error))
            continue
        if points and (package := _name(distribution)) not in seen:  # most packages have none, and a name takes time
            seen.add(package)
            yield from (Plugin(point.name, package, point) for point in points.values())


def find_plugin(name: str) -> Plugin:
    """The connector of that name; one of llmapp's own comes before all others.

    Raises:
        UnknownPluginError: There is none. The message names the packages that could not be looked into.
        ConfigError: Two packages bring one of that name.
    """
    found = list(installed())
    plugins = [one for one in found if isinstance(one, Plugin)]
    same = [plugin for plugin in plugins if plugin.name == name]
    own = [plugin for plugin in same if plugin.package == _OWN]
    if len(same) > 1 and not own:
        packages = " and ".join(sorted(plugin.package for plugin in same))
        raise ConfigError(f"connector {name} is brought by {packages}", hint="uninstall all but one of them")
    if not same:
        broken = [
            f"; the metadata of {one.package} cannot be read: {one.reason}" for one in found if isinstance(one, Unreadable)
        ]
        known = sorted({plugin.name for plugin in plugins})
        raise UnknownPluginError(
            f"no connector {name!r} is installed{''.join(broken)}", hint=nearest(name, known, "there are")
        )
    return (own or same)[0]


def nearest(word: str, known: Collection[str], introduction: str) -> str:
    """A hint: the nearest of the names, if one is near, and all of them."""
    near = difflib.get_close_matches(word, known, n=1)
    listed = f"{introduction}: {', '.join(known) or 'none'}"
    return f"did you mean {near[0]!r}? {listed}" if near else listed


def _name(distribution: metadata.Distribution) -> str:
    """As packages are compared: without regard to case and to the kind of dash."""
    try:
        name = distribution.metadata["Name"]
    except Exception:  # noqa: BLE001 - a file on disk may hold anything
        name = None
    # A package that does not say its name has the one that its installer gave to the folder.
    folder = str(getattr(distribution, "_path", "a package without a name"))
    return re.sub(r"[-_.]+", "-", name).lower() if name else folder


def _told(error: BaseException) -> str:
    line = " ".join(str(error).split())[:_LONGEST_REASON_CHARS]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
