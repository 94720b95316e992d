"""The stores behind the port `llmapp.protocols.VectorIndex`, a module or a folder each."""
