"""Prompts within a token budget: counts, chooses, renders, reports; knows no catalog, no search, no model and no price."""
