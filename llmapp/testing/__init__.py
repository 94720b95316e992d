"""Public kits for those who build on llmapp: fakes of the ports, and contracts that an implementation must pass."""
