"""The connectors that come with llmapp, one a module; they know `llmapp.connector` and nothing of the host."""
