"""The truth: documents, chunks, full text, embeddings, access lists, cursors, runs, quarantine. Knows no model and no index."""
