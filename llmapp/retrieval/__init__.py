"""Retrieval: embedders, the vector index, full text, fusion. Knows the catalog and the ports; no model, prompt or connector."""
