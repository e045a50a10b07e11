package uploads

import (
	"crypto/sha256"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
)

// memorySize is how many uploads a gateway remembers. Nothing that a client has sent is
// kept of them, so that each takes less than a kilobyte.
const memorySize = 10_000

// memory is what this gateway last knew of uploads. It is never asked while the
// catalog answers.
type memory struct {
	mu     sync.Mutex
	byName map[string]remembered
}

type remembered struct {
	upload catalog.Upload
	origin origin
}

func newMemory() *memory { return &memory{byName: map[string]remembered{}} }

func (m *memory) keep(token string, u catalog.Upload) {
	u.Sealed, u.HashState, u.SHA256, u.ExpectedSHA256 = nil, nil, nil, nil // of any size, and not asked for without the catalog
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgetOne(token)
	was := m.byName[token]
	m.byName[token] = remembered{u, was.origin}
}

// keepOrigin remembers which request made the upload.
func (m *memory) keepOrigin(token string, o origin) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgetOne(token)
	was := m.byName[token]
	m.byName[token] = remembered{was.upload, o}
}

// forgetOne makes room for one more, at the cost of whichever comes first.
func (m *memory) forgetOne(unless string) {
	if _, known := m.byName[unless]; known || len(m.byName) < memorySize {
		return
	}
	for token := range m.byName {
		delete(m.byName, token)
		return
	}
}

func (m *memory) recall(token string) (catalog.Upload, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was, known := m.byName[token]
	return was.upload, known && was.upload.Video != ""
}

func (m *memory) origin(token string) (origin, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.byName[token]
	return was.origin, was.origin != origin{}
}

// origin tells whether a POST is for the same file by the same person as an earlier one.
type origin struct {
	who      [sha256.Size]byte // of what the person is known by
	length   int64             // bytes; -1 when it was not said
	metadata [sha256.Size]byte // of what was sent; zero when it isn't known any more
}

func originOf(r *http.Request) origin {
	o := origin{
		who:      sha256.Sum256([]byte(r.Header.Get("Authorization") + "\n" + r.Header.Get("Cookie"))),
		length:   -1,
		metadata: sha256.Sum256([]byte(strings.Join(r.Header.Values("Upload-Metadata"), ","))),
	}
	if n, err := strconv.ParseInt(r.Header.Get("Upload-Length"), 10, 64); err == nil {
		o.length = n
	}
	return o
}

// echoTime is how soon after its 410 a client begins anew, if it does so by itself.
const echoTime = 2 * time.Second

// echoRest is for how long after the first 410 of an upload the others don't count.
const echoRest = time.Minute

// mostEchoes is how many uploads may have been answered by 410 in echoRest; of the others no
// echo is expected.
const mostEchoes = 10_000

// echoes waits for clients that answer the 410 of a HEAD by uploading the same file again,
// without asking anybody: they are refused once. Whoever tries again after that
// means it.
type echoes struct {
	mu       sync.Mutex
	expected map[echo]expectation
	told     map[string]time.Time // uploads whose 410 was given, and until when no other counts
	swept    time.Time
}

type echo struct {
	who    [sha256.Size]byte
	length int64
}

type expectation struct {
	metadata [sha256.Size]byte
	until    time.Time
}

func newEchoes() *echoes {
	return &echoes{expected: map[echo]expectation{}, told: map[string]time.Time{}}
}

// expect waits for the echo of the first 410 of an upload. A page that goes on
// asking about it must not have its own user refused again and again.
func (e *echoes) expect(o origin, token string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	if now.Sub(e.swept) > time.Second { // each sweep visits all of them
		e.swept = now
		maps.DeleteFunc(e.told, func(_ string, until time.Time) bool { return now.After(until) })
		maps.DeleteFunc(e.expected, func(_ echo, x expectation) bool { return now.After(x.until) })
	}
	if until, before := e.told[token]; before && now.Before(until) || len(e.told) >= mostEchoes {
		return
	}
	e.told[token] = now.Add(echoRest)
	e.expected[echo{o.who, o.length}] = expectation{o.metadata, now.Add(echoTime)}
}

// answers reports whether o is an echo, and stops waiting for it.
func (e *echoes) answers(o origin) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := echo{o.who, o.length}
	x, waiting := e.expected[key]
	if !waiting || time.Now().After(x.until) || x.metadata != (origin{}).metadata && x.metadata != o.metadata {
		return false
	}
	delete(e.expected, key)
	return true
}

// awaitEcho prepares for the client's next step after a HEAD: some begin from zero after a 410.
func (c *call) awaitEcho(err error) error {
	if errors.Is(err, errGone) {
		o, known := c.server.memory.origin(c.token)
		if !known {
			o = originOf(c.r)
			o.length, o.metadata = c.upload.Length, (origin{}).metadata
		}
		c.server.echoes.expect(o, c.token)
	}
	return err
}
