-- What is still to be done about captions: copies in the backups, and the removal of what
-- was replaced. A handful of rows, among any number of videos.

-- +goose Up
CREATE TABLE caption_tasks (
    video  TEXT      PRIMARY KEY REFERENCES videos (id) ON DELETE CASCADE,
    number BIGINT    NOT NULL, -- grows with each change, so that none is taken for done
    due_at TIMESTAMP NOT NULL
);
CREATE INDEX caption_tasks_due ON caption_tasks (due_at);

-- +goose Down
DROP TABLE caption_tasks;
