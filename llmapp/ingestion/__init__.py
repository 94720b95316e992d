"""Ingestion: parse, cut, embed, commit; knows the catalog and the ports, and no connector, search or model."""
