DROP TRIGGER chunks_inserted;
DROP TRIGGER chunks_deleted;
DROP TABLE chunks_fts;

CREATE TABLE segments (                      -- some chunks whose words were written together; never changed, only merged
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    analysis TEXT NOT NULL,                  -- what made terms of their words; those of another than meta's `words` are not searched
    size     INTEGER NOT NULL,               -- chunks, live or gone
    last_row INTEGER NOT NULL,
    rows     BLOB NOT NULL,                  -- int64, little endian: row numbers of the chunks, ascending
    lengths  BLOB NOT NULL                   -- uint32, little endian: their weighted lengths in halves of a word
) STRICT;

CREATE TABLE postings (
    segment   INTEGER NOT NULL REFERENCES segments (id) ON DELETE CASCADE,
    term      TEXT NOT NULL,
    positions BLOB NOT NULL,                 -- uint32, little endian: places in the segment's rows, ascending
    freqs     BLOB NOT NULL,                 -- uint16, little endian: weighted occurrences in halves
    PRIMARY KEY (segment, term)              -- by segment first: a commit writes at one place, and a merge removes one range
) STRICT, WITHOUT ROWID;

CREATE TABLE numbered (                      -- staged chunks have the row number that they will have when they are live
    source      TEXT NOT NULL,
    document_id TEXT NOT NULL,
    version     TEXT NOT NULL,
    start_char  INTEGER NOT NULL,
    end_char    INTEGER NOT NULL,
    row         INTEGER NOT NULL UNIQUE,
    chunk_id    TEXT NOT NULL,
    embedding   INTEGER NOT NULL REFERENCES embeddings (id),
    title       TEXT NOT NULL,
    heading     TEXT NOT NULL,
    text        TEXT NOT NULL,
    page        INTEGER,
    PRIMARY KEY (source, document_id, version, start_char)
) STRICT, WITHOUT ROWID;
INSERT INTO numbered
SELECT source, document_id, version, start_char, end_char,
       (SELECT coalesce(max(id), 0) FROM chunks) + row_number() OVER (ORDER BY source, document_id, version, start_char),
       chunk_id, embedding, title, heading, text, page
FROM staged_chunks;
-- The last row number that a chunk was given, staged or live. None is given again, so postings need not be told of a delete.
INSERT INTO meta SELECT 'last_row', CAST(last AS TEXT)
FROM (SELECT max(row) AS last FROM (SELECT max(id) AS row FROM chunks UNION ALL SELECT max(row) FROM numbered)) WHERE last IS NOT NULL;
DROP TABLE staged_chunks;
ALTER TABLE numbered RENAME TO staged_chunks;
CREATE INDEX staged_chunks_by_embedding ON staged_chunks (embedding);
