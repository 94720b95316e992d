-- Who pays. A budget is what the holds of an account come to that were reserved within a window: a sum that is kept, and can
-- be made anew from them at any time, also for a limit that is set later.

ALTER TABLE hold ADD COLUMN accounts TEXT NOT NULL DEFAULT '["application"]';   -- JSON list, sorted
ALTER TABLE hold ADD COLUMN idempotency_key TEXT;
ALTER TABLE hold ADD COLUMN fingerprint TEXT;
CREATE UNIQUE INDEX hold_once ON hold (idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE hold_account (
    account    TEXT NOT NULL,
    created_at REAL NOT NULL,
    hold_id    TEXT NOT NULL REFERENCES hold (id),
    PRIMARY KEY (account, created_at, hold_id)
) STRICT, WITHOUT ROWID;
INSERT INTO hold_account SELECT 'application', created_at, id FROM hold;

-- The journal tells of holds, once for every change; the budgets follow from it.
ALTER TABLE journal RENAME TO old_journal;
DROP INDEX journal_hold;
DROP TRIGGER journal_is_not_changed;
DROP TRIGGER journal_is_not_shortened;
CREATE TABLE journal (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    at              REAL    NOT NULL,
    hold_id         TEXT    NOT NULL REFERENCES hold (id),
    event           TEXT    NOT NULL,
    held_nano_usd   INTEGER NOT NULL,
    posted_nano_usd INTEGER NOT NULL
) STRICT;
INSERT INTO journal (seq, at, hold_id, event, held_nano_usd, posted_nano_usd)
    SELECT seq, at, hold_id, event, held_nano_usd, posted_nano_usd FROM old_journal WHERE budget_id = 'total';
DROP TABLE old_journal;
DROP TABLE budget;
CREATE INDEX journal_hold ON journal (hold_id);
CREATE TRIGGER journal_is_not_changed BEFORE UPDATE ON journal
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;
CREATE TRIGGER journal_is_not_shortened BEFORE DELETE ON journal
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;

CREATE TABLE budget (
    account         TEXT    NOT NULL,
    starts_at       INTEGER NOT NULL,
    ends_at         INTEGER NOT NULL,
    held_nano_usd   INTEGER NOT NULL CHECK (held_nano_usd >= 0),
    posted_nano_usd INTEGER NOT NULL CHECK (posted_nano_usd >= 0),
    PRIMARY KEY (account, ends_at, starts_at)
) STRICT, WITHOUT ROWID;

-- Limits that an operator has set at run time, beside those of the settings.
CREATE TABLE budget_limit (
    scope    TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    per      TEXT    NOT NULL,
    timezone TEXT    NOT NULL,
    nano_usd INTEGER NOT NULL CHECK (nano_usd >= 0),
    set_at   REAL    NOT NULL,
    PRIMARY KEY (scope, name, per)
) STRICT, WITHOUT ROWID;
