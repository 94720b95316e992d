"""Numbered SQL files for SQLite, applied in order; the last number is the version of the database. `postgres/` has the same ones."""
