-- Apart, because a row is read to its end for a column behind the text, and a sync reads the facts of every document. In parts,
-- because a text is held several times on its way into a row.
CREATE TABLE texts (
    document INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    part     INTEGER NOT NULL,
    text     TEXT NOT NULL,
    PRIMARY KEY (document, part)
) STRICT;
INSERT INTO texts SELECT id, 0, text FROM documents;
ALTER TABLE documents DROP COLUMN text;

ALTER TABLE documents ADD COLUMN own_acl INTEGER NOT NULL DEFAULT 0;   -- whether the access list is the document's own
UPDATE documents SET own_acl = content_hash LIKE 'own-%';
ALTER TABLE documents ADD COLUMN chunker TEXT NOT NULL DEFAULT '';
ALTER TABLE documents ADD COLUMN is_narrowed INTEGER NOT NULL DEFAULT 0;   -- its grants are fewer than its source said last

CREATE TABLE freed (                         -- vectors that a chunk has let go; dropped at the end of a run if nothing uses them
    embedding INTEGER PRIMARY KEY
) STRICT;

ALTER TABLE quarantine ADD COLUMN retry TEXT NOT NULL DEFAULT 'host';  -- host, source or never
ALTER TABLE quarantine ADD COLUMN next_try_at TEXT NOT NULL DEFAULT '';
ALTER TABLE quarantine ADD COLUMN is_dropped INTEGER NOT NULL DEFAULT 0;

ALTER TABLE runs ADD COLUMN seconds TEXT NOT NULL DEFAULT '{}';        -- JSON object, by stage
ALTER TABLE runs ADD COLUMN embedder TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN cost_nano_usd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN error TEXT NOT NULL DEFAULT '';

CREATE TABLE staged_documents (              -- documents whose next chunks are complete and not yet live
    source      TEXT NOT NULL,
    document_id TEXT NOT NULL,
    version     TEXT NOT NULL,               -- hash of the text, the chunker and the embedder they were made with
    PRIMARY KEY (source, document_id)
) STRICT;

CREATE TABLE staged_chunks (
    source      TEXT NOT NULL,
    document_id TEXT NOT NULL,
    version     TEXT NOT NULL,
    start_char  INTEGER NOT NULL,
    end_char    INTEGER NOT NULL,
    chunk_id    TEXT NOT NULL,
    embedding   INTEGER NOT NULL REFERENCES embeddings (id),
    title       TEXT NOT NULL,
    heading     TEXT NOT NULL,
    text        TEXT NOT NULL,
    page        INTEGER,
    PRIMARY KEY (source, document_id, version, start_char)
) STRICT, WITHOUT ROWID;
CREATE INDEX staged_chunks_by_embedding ON staged_chunks (embedding);

CREATE TABLE purged (                        -- documents that are not taken in again; the name is a hash, for an id may tell something
    name      TEXT PRIMARY KEY,
    purged_at TEXT NOT NULL
) STRICT;
