"""HTTP: OpenAI-compatible and own routes, typed errors, limits. Knows the application only as `App`, none of its parts."""
