-- What lets a life go on, be hidden and be fenced without its workflow.

-- +goose Up

-- With these, what a workflow was started with can be told from the row alone.
ALTER TABLE videos ADD COLUMN publish_delay BIGINT; -- nanoseconds; NULL: as the settings have it
ALTER TABLE videos ADD COLUMN import BOOLEAN NOT NULL DEFAULT FALSE;
-- What a person asked for and no workflow has taken up yet.
ALTER TABLE videos ADD COLUMN cancel_asked_at TIMESTAMP;
ALTER TABLE videos ADD COLUMN cancel_keeps BOOLEAN NOT NULL DEFAULT FALSE; -- the cancel keeps a draft
ALTER TABLE videos ADD COLUMN trouble BOOLEAN NOT NULL DEFAULT FALSE; -- its work fails, or nobody can do it
ALTER TABLE videos ADD COLUMN stray BOOLEAN NOT NULL DEFAULT FALSE; -- its workflow was terminated
ALTER TABLE videos ADD COLUMN decided_by TEXT NOT NULL DEFAULT ''; -- the reviewer who has approved or rejected it, opaque
-- What a reviewer wrote to the author, under the key of the video.
CREATE TABLE notes (
    video  TEXT NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    author TEXT NOT NULL, -- opaque
    sealed BYTEA NOT NULL,
    PRIMARY KEY (video, author)
);
ALTER TABLE videos ADD COLUMN was_draft BOOLEAN NOT NULL DEFAULT FALSE; -- the cancel threw a draft away
ALTER TABLE videos ADD COLUMN reread_at TIMESTAMP; -- when its workflow was last told to read its rows
CREATE INDEX videos_promised ON videos (id) WHERE hidden_at IS NOT NULL AND ending <> 'deleted';
CREATE INDEX videos_cancel_asked ON videos (id) WHERE cancel_asked_at IS NOT NULL;
CREATE INDEX videos_trouble ON videos (id) WHERE trouble;

-- The attempt that has exclusive work of the leg; see Leg.Writer.
ALTER TABLE controls ADD COLUMN writer BIGINT NOT NULL DEFAULT 0;
-- The attempt that keeps the books of a store's purge; see Purge.
ALTER TABLE replicas ADD COLUMN purger BIGINT NOT NULL DEFAULT 0;

-- The one installation that this catalog belongs to, and the places that know of it.
CREATE TABLE installation (
    id         TEXT      PRIMARY KEY,
    made_at    TIMESTAMP NOT NULL,
    founded_at TIMESTAMP, -- NULL until every place has the id
    single     INTEGER   NOT NULL DEFAULT 1 UNIQUE CHECK (single = 1) -- so that there is one row at most
);
CREATE TABLE adoptions (
    place      TEXT      NOT NULL,
    adopted_at TIMESTAMP NOT NULL,
    replaced   TEXT      NOT NULL, -- the id that was there; empty for none
    PRIMARY KEY (place, adopted_at)
);

-- How far the audit is.
CREATE TABLE audits (
    name       TEXT      PRIMARY KEY,
    place      TEXT      NOT NULL, -- where it goes on
    through    TIMESTAMP,          -- what closed until then was looked at
    updated_at TIMESTAMP
);
-- How many rows an audit saw, and how many lives it had to begin again: a day of it is the brake.
CREATE TABLE audit_runs (
    at    TIMESTAMP PRIMARY KEY,
    seen  BIGINT    NOT NULL,
    begun BIGINT    NOT NULL
);

-- +goose Down
DROP TABLE audit_runs;
DROP TABLE audits;
DROP TABLE adoptions;
DROP TABLE installation;
ALTER TABLE replicas DROP COLUMN purger;
ALTER TABLE controls DROP COLUMN writer;
DROP INDEX videos_trouble;
DROP INDEX videos_cancel_asked;
DROP INDEX videos_promised;
ALTER TABLE videos DROP COLUMN reread_at;
ALTER TABLE videos DROP COLUMN was_draft;
DROP TABLE notes;
ALTER TABLE videos DROP COLUMN decided_by;
ALTER TABLE videos DROP COLUMN stray;
ALTER TABLE videos DROP COLUMN trouble;
ALTER TABLE videos DROP COLUMN cancel_keeps;
ALTER TABLE videos DROP COLUMN cancel_asked_at;
ALTER TABLE videos DROP COLUMN import;
ALTER TABLE videos DROP COLUMN publish_delay;
