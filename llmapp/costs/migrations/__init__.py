"""Numbered SQL of the ledger's file, applied in order by `llmapp.catalog.sqlite`."""
