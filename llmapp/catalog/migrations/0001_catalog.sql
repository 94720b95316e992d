CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE documents (
    id           INTEGER PRIMARY KEY,
    source       TEXT NOT NULL,
    document_id  TEXT NOT NULL,
    uri          TEXT NOT NULL,
    title        TEXT NOT NULL,
    text         TEXT NOT NULL,
    page_starts  TEXT NOT NULL,              -- JSON list of character offsets
    media_type   TEXT,
    metadata     TEXT NOT NULL,              -- JSON object
    revision     TEXT,
    content_hash TEXT NOT NULL,
    parser       TEXT NOT NULL,
    committed_at TEXT NOT NULL,
    UNIQUE (source, document_id)
) STRICT;

CREATE TABLE grants (
    document INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    name     TEXT NOT NULL,
    PRIMARY KEY (name, document)
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_by_document ON grants (document);

CREATE TABLE embeddings (
    id     INTEGER PRIMARY KEY,
    key    TEXT NOT NULL UNIQUE,             -- hash of embedder and embedded text
    vector BLOB NOT NULL                     -- float32, little endian
) STRICT;

CREATE TABLE chunks (
    id         INTEGER PRIMARY KEY,
    chunk_id   TEXT NOT NULL UNIQUE,
    document   INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    embedding  INTEGER NOT NULL REFERENCES embeddings (id),
    title      TEXT NOT NULL,
    heading    TEXT NOT NULL,
    text       TEXT NOT NULL,
    start_char INTEGER NOT NULL,
    end_char   INTEGER NOT NULL,
    page       INTEGER
) STRICT;
CREATE INDEX chunks_by_document ON chunks (document);
CREATE INDEX chunks_by_embedding ON chunks (embedding);

CREATE VIRTUAL TABLE chunks_fts USING fts5 (
    title, heading, text, content = 'chunks', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE TRIGGER chunks_inserted AFTER INSERT ON chunks BEGIN
    INSERT INTO chunks_fts (rowid, title, heading, text) VALUES (new.id, new.title, new.heading, new.text);
END;
CREATE TRIGGER chunks_deleted AFTER DELETE ON chunks BEGIN
    INSERT INTO chunks_fts (chunks_fts, rowid, title, heading, text)
    VALUES ('delete', old.id, old.title, old.heading, old.text);
END;

CREATE TABLE pending (                       -- what the vector index has not applied yet, oldest first
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    chunk_id TEXT NOT NULL UNIQUE,
    action   TEXT NOT NULL CHECK (action IN ('upsert', 'delete'))
) STRICT;

CREATE TABLE cursors (
    source     TEXT PRIMARY KEY,
    cursor     TEXT NOT NULL,                -- JSON
    stored_at  TEXT NOT NULL
) STRICT;

CREATE TABLE quarantine (
    source      TEXT NOT NULL,
    document_id TEXT NOT NULL,
    uri         TEXT NOT NULL,
    stage       TEXT NOT NULL,
    code        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    revision    TEXT,
    attempts    INTEGER NOT NULL,
    last_at     TEXT NOT NULL,
    PRIMARY KEY (source, document_id)
) STRICT;

CREATE TABLE runs (
    id         INTEGER PRIMARY KEY,
    source     TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at   TEXT,
    status     TEXT NOT NULL,                -- running, completed, completed_with_failures, failed
    counts     TEXT NOT NULL                 -- JSON object
) STRICT;
