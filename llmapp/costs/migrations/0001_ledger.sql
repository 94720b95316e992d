-- Money is integer nano-USD, times are seconds since 1970 (UTC).

-- One row per attempt at a call. held -> sent -> posted | presumed; held -> voided; sent -> voided (refused by the provider);
-- presumed -> posted when the truth arrives late.
CREATE TABLE hold (
    id                 TEXT    PRIMARY KEY,
    kind               TEXT    NOT NULL CHECK (kind IN ('chat', 'embed')),
    model              TEXT    NOT NULL,
    state              TEXT    NOT NULL CHECK (state IN ('held', 'sent', 'posted', 'presumed', 'voided')),
    held_nano_usd      INTEGER NOT NULL CHECK (held_nano_usd >= 0),
    posted_nano_usd    INTEGER CHECK (posted_nano_usd >= 0),
    overage_nano_usd   INTEGER NOT NULL DEFAULT 0 CHECK (overage_nano_usd >= 0),
    input_tokens       INTEGER,
    output_tokens      INTEGER,
    cache_read_tokens  INTEGER,
    cache_write_tokens INTEGER,
    price              TEXT    NOT NULL,
    day                TEXT    NOT NULL,
    created_at         REAL    NOT NULL,
    expires_at         REAL    NOT NULL,
    ended_at           REAL,
    CHECK ((state IN ('held', 'sent')) = (ended_at IS NULL)),
    CHECK ((state IN ('posted', 'presumed')) = (posted_nano_usd IS NOT NULL))
) STRICT;

CREATE INDEX hold_open ON hold (expires_at) WHERE state IN ('held', 'sent');
CREATE INDEX hold_day ON hold (day);

-- Balances by scope and window: day:2026-11-22, total. The limit is a setting, not a fact, so it is not kept here.
CREATE TABLE budget (
    id              TEXT    PRIMARY KEY,
    held_nano_usd   INTEGER NOT NULL DEFAULT 0 CHECK (held_nano_usd >= 0),
    posted_nano_usd INTEGER NOT NULL DEFAULT 0 CHECK (posted_nano_usd >= 0)
) STRICT;

-- Every change of a balance, and why; its sums are the balances.
CREATE TABLE journal (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    at              REAL    NOT NULL,
    hold_id         TEXT    NOT NULL REFERENCES hold (id),
    budget_id       TEXT    NOT NULL REFERENCES budget (id),
    event           TEXT    NOT NULL,
    held_nano_usd   INTEGER NOT NULL,
    posted_nano_usd INTEGER NOT NULL
) STRICT;

CREATE INDEX journal_hold ON journal (hold_id);

CREATE TRIGGER journal_is_not_changed BEFORE UPDATE ON journal
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;

CREATE TRIGGER journal_is_not_shortened BEFORE DELETE ON journal
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only');
END;
