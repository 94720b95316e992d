"""Words: a text as the terms that full-text search counts. Pure; knows languages, not what is searched."""
