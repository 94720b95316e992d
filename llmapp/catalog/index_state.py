"""What the catalog knows of its vector index: by which name a store that it shares with other catalogs knows it."""

from __future__ import annotations

import secrets

from llmapp.catalog.database import Database

_IDENTITY_BYTES = 8


class IndexState:
    """The part of the catalog that the vector index is kept by."""

    def __init__(self, database: Database) -> None:
        """Use the catalog's database."""
        self._db = database

    def identity(self) -> str:
        """A random name of this catalog, made once: 16 hexadecimal digits. A copy of the catalog has the same."""
        if not (found := self._meta("identity")):
            with self._db.transaction() as connection:
                # Another process may have been faster; its name stands.
                connection.execute(
                    "INSERT INTO meta (key, value) VALUES ('identity', :name) ON CONFLICT (key) DO NOTHING",
                    {"name": secrets.token_hex(_IDENTITY_BYTES)},
                )
            found = self._meta("identity")
        return found

    def _meta(self, key: str) -> str:
        """A value of the table `meta`; empty when it has none."""
        found = self._db.read("SELECT value FROM meta WHERE key = :key", {"key": key})
        return str(found[0][0]) if found else ""
