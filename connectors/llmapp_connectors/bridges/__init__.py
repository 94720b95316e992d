"""Bridges: what other projects read, as connectors."""
