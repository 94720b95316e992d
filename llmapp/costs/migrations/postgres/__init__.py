"""Numbered SQL of the ledger in PostgreSQL."""
