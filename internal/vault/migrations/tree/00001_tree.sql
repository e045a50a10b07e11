-- The key tree, the ledger, and what processes know of each other. Nothing here opens
-- without the root, which lies in vault_roots, here or on another server.

-- +goose Up
CREATE TABLE vault_head (
    tree         BYTEA   NOT NULL,             -- random, 16 bytes: whose roots are whose
    root         BYTEA   NOT NULL DEFAULT '',  -- id of the root that seals the node ''; empty: not planted yet
    pepper       BYTEA   NOT NULL,
    installation TEXT    NOT NULL DEFAULT '',
    single       INTEGER PRIMARY KEY DEFAULT 1 CHECK (single = 1) -- so that there is one row at most
);

-- A node holds the keys of those below it: of up to 16 nodes, or of up to 24 videos.
-- Kept under the 2,000 bytes from which PostgreSQL moves a value to a table of its own.
CREATE TABLE vault_nodes (
    prefix TEXT COLLATE "C" PRIMARY KEY, -- the first hex digits of the hashes below it
    sealed BYTEA NOT NULL
) WITH (fillfactor = 60);
ALTER TABLE vault_nodes ALTER COLUMN sealed SET STORAGE EXTERNAL; -- noise doesn't compress

CREATE TABLE vault_ledger (
    hash              BYTEA       PRIMARY KEY, -- SHA-256 of the video's id, as everywhere below
    reason            TEXT        NOT NULL,
    hidden_at         TIMESTAMPTZ NOT NULL,
    key_destroyed_at  TIMESTAMPTZ, -- NULL: only intended
    root_forgotten_at TIMESTAMPTZ,
    token             BYTEA       NOT NULL
);
CREATE INDEX vault_ledger_pending ON vault_ledger (hash) WHERE key_destroyed_at IS NULL;

CREATE TABLE vault_tentative (
    hash BYTEA PRIMARY KEY,
    id   TEXT  NOT NULL
);

-- What ends loans: destructions, and looks whether a key can be discarded. Every process
-- says in its row up to which number it has heard of them. Kept for a minute.
CREATE TABLE vault_losses (
    number BIGINT      PRIMARY KEY,
    hash   BYTEA       NOT NULL,
    at     TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX vault_losses_hash ON vault_losses (hash);
CREATE TABLE vault_loss_count (
    number BIGINT  NOT NULL, -- the last one; taken under the row's lock, so that they are seen in order
    single INTEGER PRIMARY KEY DEFAULT 1 CHECK (single = 1)
);
INSERT INTO vault_loss_count (number) VALUES (0);

CREATE TABLE vault_processes (
    id      BYTEA       PRIMARY KEY,
    seen    BIGINT      NOT NULL, -- the last loss that it has heard of
    held    BYTEA[]     NOT NULL, -- of the lost keys, those that are still lent
    beat_at TIMESTAMPTZ NOT NULL
);

-- Keys that are not lent because somebody looks whether they can be discarded.
CREATE TABLE vault_exclusions (
    hash   BYTEA       PRIMARY KEY,
    holder BYTEA       NOT NULL,
    until  TIMESTAMPTZ NOT NULL
);
