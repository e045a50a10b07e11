// Package turns keeps what many ask for, at next to no cost of their own, from taking
// the place of what others do: such requests go on a few at a time, and share fairly.
// Nothing here outlives its process.
package turns

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	leastRest  = 2 * time.Millisecond // of a turn; and how many times as long as it was used:
	restFactor = 3
	mostRest   = 250 * time.Millisecond
)

// Turns lets at most so many go on at once, and of one address fewer. Whose turn is next
// goes round by address: nobody's number keeps others waiting. Of one address they go in
// the order in which they came. While some wait, a turn rests for three times as long as it was
// used: that time is for others, who need no turn; without any it doesn't rest. Its methods may
// be called from many goroutines.
type Turns struct {
	most, mostEach int
	longest        time.Duration // 0 for any time
	others         *Others       // nil if there always are some

	mu    sync.Mutex
	taken int
	of    map[string]int // taken, by address
	lines []*line        // of those who wait, in the order in which they come round
}

// line is of those who wait at one address; it is not empty.
type line struct {
	address string
	waiting []*turn
}

type turn struct {
	address string
	granted chan struct{} // closed by the grant
	begun   time.Time     // set before that
}

// New makes turns of which most are taken at once, and mostEach of one address. A turn that
// is used for longer than longest, if that isn't 0, is given on meanwhile: whoever has it
// waits for another machine. Others are those for whom a turn rests, nil if somebody always is
// at work.
func New(most, mostEach int, longest time.Duration, others *Others) *Turns {
	return &Turns{most: most, mostEach: mostEach, longest: longest, others: others, of: map[string]int{}}
}

// Take waits for a turn until ctx ends, and then fails with its cause. done gives the turn
// on; again it does nothing.
func (t *Turns) Take(ctx context.Context, address string) (done func(), err error) {
	mine := t.join(address)
	give := sync.OnceFunc(func() { t.end(mine) })
	select {
	case <-mine.granted:
	case <-ctx.Done():
		if !t.withdraw(mine) { // it was granted at the same moment
			give()
		}
		return nil, context.Cause(ctx)
	}
	if t.longest == 0 {
		return give, nil
	}
	late := time.AfterFunc(t.longest, give)
	return func() {
		late.Stop()
		give()
	}, nil
}

func (t *Turns) join(address string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	mine := &turn{address: address, granted: make(chan struct{})}
	l := t.lineOf(address)
	if l == nil {
		l = &line{address: address}
		t.lines = append(t.lines, l)
	}
	l.waiting = append(l.waiting, mine)
	t.grant()
	return mine
}

// lineOf needs mu.
func (t *Turns) lineOf(address string) *line {
	i := slices.IndexFunc(t.lines, func(l *line) bool { return l.address == address })
	if i < 0 {
		return nil
	}
	return t.lines[i]
}

// grant lets all go on that may. It needs mu.
func (t *Turns) grant() {
	for t.taken < t.most {
		i := slices.IndexFunc(t.lines, func(l *line) bool { return t.of[l.address] < t.mostEach })
		if i < 0 {
			return
		}
		l := t.lines[i]
		next := l.waiting[0]
		l.waiting = l.waiting[1:]
		t.lines = slices.Delete(t.lines, i, i+1)
		if len(l.waiting) > 0 {
			t.lines = append(t.lines, l) // after all others
		}
		t.taken++
		t.of[l.address]++
		next.begun = time.Now()
		close(next.granted)
	}
}

// end gives a turn on, after its rest.
func (t *Turns) end(mine *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == 0 || !t.others.atWork() {
		t.give(mine)
		return
	}
	time.AfterFunc(min(leastRest+restFactor*time.Since(mine.begun), mostRest), func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.give(mine)
	})
}

// give needs mu.
func (t *Turns) give(mine *turn) {
	t.taken--
	if t.of[mine.address]--; t.of[mine.address] == 0 {
		delete(t.of, mine.address)
	}
	t.grant()
}

// withdraw reports whether the turn was still waited for.
func (t *Turns) withdraw(mine *turn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lineOf(mine.address)
	if l == nil {
		return false
	}
	i := slices.Index(l.waiting, mine)
	if i < 0 {
		return false
	}
	l.waiting = slices.Delete(l.waiting, i, i+1)
	if len(l.waiting) == 0 {
		t.lines = slices.DeleteFunc(t.lines, func(other *line) bool { return other == l })
	}
	return true
}

// Waiting is how many wait for a turn.
func (t *Turns) Waiting() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.lines {
		n += len(l.waiting)
	}
	return n
}
