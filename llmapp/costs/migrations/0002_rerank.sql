-- A third kind of call. SQLite changes no CHECK, and a table that others refer to is not copied: so the column is replaced.
ALTER TABLE hold ADD COLUMN new_kind TEXT NOT NULL DEFAULT 'chat' CHECK (new_kind IN ('chat', 'embed', 'rerank'));
UPDATE hold SET new_kind = kind;
ALTER TABLE hold DROP COLUMN kind;
ALTER TABLE hold RENAME COLUMN new_kind TO kind;
