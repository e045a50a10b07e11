-- The root of a key tree, or of several. What is dropped here must be gone from the
-- server's files within the rotation, so the server keeps no archive of its WAL.

-- +goose Up
CREATE TABLE vault_roots (
    id   BYTEA PRIMARY KEY,
    tree BYTEA NOT NULL,
    key  BYTEA NOT NULL
);
CREATE TABLE vault_root_home (
    owed_since TIMESTAMPTZ, -- when the first root was dropped that may still be in a file; NULL: none is
    dropped_at TIMESTAMPTZ, -- when the last root was dropped
    forgot_at  TIMESTAMPTZ, -- since when at least no root that was dropped before is in any file
    single     INTEGER PRIMARY KEY DEFAULT 1 CHECK (single = 1)
);
INSERT INTO vault_root_home DEFAULT VALUES;
