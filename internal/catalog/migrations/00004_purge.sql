-- What stands in the way of a purge, and what came back after one.

-- +goose Up

-- Until when the store keeps something of the video under an Object Lock.
ALTER TABLE replicas ADD COLUMN locked_until TIMESTAMP;

-- What stores were found to hold of videos that had been erased there, as after a store was
-- restored from a backup. It names nobody.
CREATE TABLE reappearances (
    video_sha256         TEXT      NOT NULL,
    store                TEXT      NOT NULL,
    found_at             TIMESTAMP NOT NULL,
    found_objects        BIGINT    NOT NULL,
    found_versions       BIGINT    NOT NULL,
    found_delete_markers BIGINT    NOT NULL,
    found_multiparts     BIGINT    NOT NULL,
    erased_at            TIMESTAMP, -- NULL until the store was found empty again
    PRIMARY KEY (video_sha256, store, found_at)
);

-- +goose Down
DROP TABLE reappearances;
ALTER TABLE replicas DROP COLUMN locked_until;
