-- The keys by which receipts of erasures are signed. The youngest signs; of those before it
-- only the public half is kept, for good: by it receipts that they signed are checked.

-- +goose Up
CREATE TABLE vault_signing (
    id      TEXT        PRIMARY KEY, -- JWK thumbprint (RFC 7638)
    public  BYTEA       NOT NULL,
    seed    BYTEA,                   -- NULL: signs no more
    made_at TIMESTAMPTZ NOT NULL
);
