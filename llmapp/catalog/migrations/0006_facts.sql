CREATE TABLE facts (                         -- what filters ask of documents; filled by `llmapp.catalog.facts`
    field    TEXT NOT NULL,
    value    BLOB NOT NULL,                  -- key of a value, see `llmapp.filters.keys`: keys sort as their values do
    document INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    PRIMARY KEY (field, value, document)
) STRICT, WITHOUT ROWID;
CREATE INDEX facts_by_document ON facts (document);
