"""pgvector, a table of vectors in PostgreSQL. The only folder that imports psycopg and pgvector."""
