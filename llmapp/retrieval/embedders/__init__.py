"""Embedders behind `llmapp.protocols.Embedder`: ours, any sentence-transformers model, any LangChain class, any API.

`choice` reads the name in the settings. Whatever the model, a document is never cut in silence, every vector has length 1,
and an identity names all that a vector depends on. Knows nothing of chunks, of the catalog and of prices.
"""
