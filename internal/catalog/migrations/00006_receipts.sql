-- What receipts of erasures tell.

-- +goose Up

-- In which role somebody asked for the deletion or the cancel.
ALTER TABLE videos ADD COLUMN asked_by TEXT NOT NULL DEFAULT '';
-- Of what was asked for before, nobody knows that any more.
UPDATE videos SET asked_by = 'unknown' WHERE hidden_at IS NOT NULL OR cancel_asked_at IS NOT NULL OR ending <> '';

-- When the store was last found to hold it: NULL for once, at found_at.
ALTER TABLE reappearances ADD COLUMN seen_at TIMESTAMP;

-- +goose Down
ALTER TABLE reappearances DROP COLUMN seen_at;
ALTER TABLE videos DROP COLUMN asked_by;
