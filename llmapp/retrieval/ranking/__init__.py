"""Stages that put what was found in order: a reranker, diversity, expansion. `stage` says what a stage is."""
