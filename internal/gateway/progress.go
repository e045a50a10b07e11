package gateway

import (
	"sync"
	"time"

	"github.com/reelflow/reelflow/video"
)

// progressRates remember how fast progress was lately, as seen by this gateway's own
// answers. It is a convenience: it dies with the process.
type progressRates struct {
	mu   sync.Mutex
	seen map[video.ID]*pace
}

type pace struct {
	stage  video.Stage
	before sample // where the rate is measured from
	last   sample
}

type sample struct {
	at   time.Time
	done int64
}

const (
	paceWindow = 5 * time.Second // over which a rate is measured, at least
	paceForget = time.Minute
)

func newProgressRates() *progressRates { return &progressRates{seen: map[video.ID]*pace{}} }

// observe notes progress and returns the rate a second; known is false until
// two answers lie far enough apart.
func (r *progressRates) observe(id video.ID, stage video.Stage, done int64, now time.Time) (perSecond float64, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep(now)
	p := r.seen[id]
	here := sample{now, done}
	if p == nil || p.stage != stage || done < p.last.done || now.Sub(p.last.at) > paceForget {
		r.seen[id] = &pace{stage, here, here}
		return 0, false
	}
	if now.Sub(p.last.at) >= paceWindow {
		p.before, p.last = p.last, here
	}
	span := now.Sub(p.before.at).Seconds()
	if span < 0.5 {
		return 0, false
	}
	return float64(done-p.before.done) / span, true
}

// sweep keeps the memory small: what nobody asked for lately is forgotten.
func (r *progressRates) sweep(now time.Time) {
	if len(r.seen) < 1000 {
		return
	}
	for id, p := range r.seen {
		if now.Sub(p.last.at) > paceForget {
			delete(r.seen, id)
		}
	}
}
