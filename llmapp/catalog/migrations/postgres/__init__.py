"""Numbered SQL of the catalog for PostgreSQL. It begins where PostgreSQL came in; from there on each number stands in both folders."""
