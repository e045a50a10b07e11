-- One set of statements for SQLite and PostgreSQL: only what both understand,
-- and only types whose values both drivers give back as they took them. Times
-- are in UTC; NULL means that it has not come to that.
--
-- Every table that has rows of a video refers to videos(id) ON DELETE CASCADE,
-- so that forgetting a video can't forget a table.

-- +goose Up
CREATE TABLE videos (
    id             TEXT      PRIMARY KEY,
    owner          TEXT      NOT NULL,
    sealed         BYTEA,
    visibility     TEXT      NOT NULL,
    allow_download BOOLEAN   NOT NULL,
    keep_draft     BOOLEAN   NOT NULL,
    review         BOOLEAN   NOT NULL,
    stage          TEXT      NOT NULL,
    paused         BOOLEAN   NOT NULL,
    ending         TEXT      NOT NULL,
    held           BOOLEAN   NOT NULL,
    decisions      TEXT,
    publish_at     TIMESTAMP,
    created_at     TIMESTAMP NOT NULL,
    published_at   TIMESTAMP,
    hidden_at      TIMESTAMP,
    purge_at       TIMESTAMP,
    waiting_for    TEXT      NOT NULL,
    overdue        BOOLEAN   NOT NULL,
    media          BYTEA,
    renditions     BYTEA,
    warnings       TEXT,
    failure        TEXT,
    unit           TEXT      NOT NULL,
    done           BIGINT    NOT NULL,
    total          BIGINT    NOT NULL,
    revision       BIGINT    NOT NULL
);
CREATE INDEX videos_by_owner ON videos (owner, created_at, id);
CREATE INDEX videos_by_stage ON videos (stage, created_at, id);

CREATE TABLE controls (
    video   TEXT    PRIMARY KEY REFERENCES videos (id) ON DELETE CASCADE,
    epoch   BIGINT  NOT NULL,
    paused  BOOLEAN NOT NULL,
    ending  TEXT    NOT NULL,
    held    BOOLEAN NOT NULL,
    draft   BOOLEAN NOT NULL,
    refused BIGINT  NOT NULL
);

CREATE TABLE uploads (
    video           TEXT    PRIMARY KEY REFERENCES videos (id) ON DELETE CASCADE,
    token_hash      BYTEA   NOT NULL UNIQUE,
    length          BIGINT  NOT NULL,
    received        BIGINT  NOT NULL,
    hash_state      BYTEA,
    sha256          BYTEA,
    expected_sha256 BYTEA,
    sealed          BYTEA,
    idle            BIGINT  NOT NULL, -- nanoseconds
    last_byte_at    TIMESTAMP,
    expires_at      TIMESTAMP,
    finished_at     TIMESTAMP,
    announced       BOOLEAN NOT NULL,
    stalled         BOOLEAN NOT NULL,
    holder          TEXT    NOT NULL,
    lease_epoch     BIGINT  NOT NULL,
    lease_until     TIMESTAMP,
    wanted          BOOLEAN NOT NULL
);
CREATE INDEX uploads_by_holder ON uploads (holder) WHERE holder <> '';
CREATE INDEX uploads_unannounced ON uploads (video) WHERE NOT announced;

CREATE TABLE objects (
    id         BIGINT  PRIMARY KEY,
    video      TEXT    NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    store      TEXT    NOT NULL,
    object_key TEXT    NOT NULL,
    version    TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    rendition  TEXT    NOT NULL,
    number     BIGINT  NOT NULL,
    start      BIGINT  NOT NULL,
    plain_size BIGINT  NOT NULL,
    size       BIGINT  NOT NULL,
    sha256     BYTEA,
    iv         BYTEA,
    duration   DOUBLE PRECISION NOT NULL,
    epoch      BIGINT  NOT NULL,
    state      TEXT    NOT NULL,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX objects_by_video ON objects (video, kind, rendition, number, start);
-- Two attempts at the same work can't both be believed.
CREATE UNIQUE INDEX objects_stored_once ON objects (video, store, kind, rendition, number, start)
    WHERE state = 'stored';

CREATE TABLE replicas (
    video                      TEXT   NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    store                      TEXT   NOT NULL,
    state                      TEXT   NOT NULL,
    objects                    BIGINT NOT NULL,
    bytes                      BIGINT NOT NULL,
    verified_at                TIMESTAMP,
    listed_objects             BIGINT NOT NULL,
    listed_versions            BIGINT NOT NULL,
    listed_delete_markers      BIGINT NOT NULL,
    listed_multiparts          BIGINT NOT NULL,
    removed_objects            BIGINT NOT NULL,
    removed_versions           BIGINT NOT NULL,
    removed_delete_markers     BIGINT NOT NULL,
    removed_multiparts         BIGINT NOT NULL,
    found_after_objects        BIGINT NOT NULL,
    found_after_versions       BIGINT NOT NULL,
    found_after_delete_markers BIGINT NOT NULL,
    found_after_multiparts     BIGINT NOT NULL,
    PRIMARY KEY (video, store)
);

CREATE TABLE ledger (
    video_sha256     TEXT PRIMARY KEY,
    token_hash       BYTEA,
    reason           TEXT NOT NULL,
    hidden_at        TIMESTAMP,
    key_destroyed_at TIMESTAMP
);
CREATE INDEX ledger_by_token ON ledger (token_hash) WHERE token_hash IS NOT NULL;

CREATE TABLE receipts (
    video_sha256 TEXT      PRIMARY KEY,
    receipt      TEXT      NOT NULL,
    closed_at    TIMESTAMP NOT NULL
);

-- +goose Down
DROP TABLE receipts;
DROP TABLE ledger;
DROP TABLE replicas;
DROP TABLE objects;
DROP TABLE uploads;
DROP TABLE controls;
DROP TABLE videos;
