-- Videos whose workflow has shown no sign of life yet: a handful, among any
-- number of uploads under way. Gateways look for them every other second.

-- +goose Up
CREATE INDEX controls_unstarted ON controls (video) WHERE epoch = 0;

-- +goose Down
DROP INDEX controls_unstarted;
