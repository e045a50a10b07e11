package creation

import (
	"crypto/sha256"
	"encoding/json"
	"strconv"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/video"
)

// An Idempotency-Key is good for at least this long, and an hour more at most.
const (
	keyKept = 24 * time.Hour
	keyHour = time.Hour
)

// repeatableIDs are the ids under which a request with an Idempotency-Key can
// have made its video: the same for the same person and key, and random to
// everybody else. So the rows themselves are the memory of requests, a ledger's
// record serves for a video that is gone, and nothing has to be forgotten.
//
// There is an id for each hour. The first is that of this hour, for a video that
// is yet to be made; the others are its rivals: the hours before it, as long as a
// key is kept, and the one to come, for gateways whose clock is ahead. At most one
// of them may ever be used, which the catalog sees to (catalog.Admission): two
// requests on both sides of the hour make one video.
func (c *Creator) repeatableIDs(owner people.Person, key string, now time.Time) []video.ID {
	hour := now.Unix() / int64(keyHour/time.Second)
	ids := []video.ID{c.repeatableID(owner, key, hour), c.repeatableID(owner, key, hour+1)}
	for back := int64(1); back <= int64(keyKept/keyHour); back++ {
		ids = append(ids, c.repeatableID(owner, key, hour-back))
	}
	return ids
}

func (c *Creator) repeatableID(owner people.Person, key string, hour int64) video.ID {
	sum := c.repeat.MAC(c.ownerID(owner.Name), key, strconv.FormatInt(hour, 10))
	return video.ID(video.EncodeToken(sum[:16]))
}

// idsFor are the ids that a request to make a video may find or make it under.
func (c *Creator) idsFor(owner people.Person, key string) []video.ID {
	if key == "" {
		return []video.ID{video.NewID()}
	}
	return c.repeatableIDs(owner, key, time.Now())
}

// requestHash tells a repeated request from another one under the same key.
func requestHash(said ...any) ([]byte, error) {
	text, err := json.Marshal(said)
	sum := sha256.Sum256(text)
	return sum[:], err
}
