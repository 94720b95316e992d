"""The table `meta`: single values of the catalog by name."""

from __future__ import annotations

from llmapp.catalog.database import Connection


def put(connection: Connection, key: str, value: str) -> None:
    """Write a value in the place of the former one."""
    connection.execute(
        "INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        {"key": key, "value": value},
    )
