CREATE TABLE changes (                       -- documents that a generation has written, removed or given another access list
    generation INTEGER NOT NULL,
    document   INTEGER NOT NULL,
    PRIMARY KEY (generation, document)
) STRICT, WITHOUT ROWID;
