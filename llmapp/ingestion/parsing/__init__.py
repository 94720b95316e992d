"""Parsing: bytes of any format to text, in processes of their own, within limits; knows no catalog and no embedder."""

from llmapp.ingestion.parsing.pool import ProcessParser

__all__ = ["ProcessParser"]
