package turns_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/turns"
)

// crowd takes turns, and notes who had one.
type crowd struct {
	*turns.Turns
	t     *testing.T
	mu    sync.Mutex
	order []string // of who had a turn
}

// come begins to wait, and uses the turn for a while.
func (c *crowd) come(name, address string, use time.Duration) {
	go func() {
		done, err := c.Take(context.Background(), address)
		if err != nil {
			c.t.Error(err)
			return
		}
		c.mu.Lock()
		c.order = append(c.order, name)
		c.mu.Unlock()
		time.Sleep(use)
		done()
		done() // again is harmless
	}()
	synctest.Wait()
}

func (c *crowd) had(want ...string) {
	c.t.Helper()
	synctest.Wait()
	if order := c.soFar(); !slices.Equal(order, want) {
		c.t.Errorf("turns were had by %v, not %v", order, want)
	}
}

func (c *crowd) soFar() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.order)
}

// Turns go round by address, however many wait at one of them, and at one address in the
// order in which they came. Who gives up leaves no gap.
func TestTurnsGoRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{Turns: turns.New(1, 1, 0, nil), t: t}
		for _, name := range []string{"a1", "a2", "a3"} {
			c.come(name, "a", time.Second)
		}
		gone, leave := context.WithCancelCause(t.Context())
		left := errors.New("left")
		go func() {
			if _, err := c.Take(gone, "b"); err != left {
				t.Error(err)
			}
		}()
		synctest.Wait()
		c.come("b1", "b", time.Second)
		c.come("c1", "c", time.Second)
		c.come("b2", "b", time.Second)
		if n := c.Waiting(); n != 6 {
			t.Errorf("%d wait", n)
		}
		leave(left)
		time.Sleep(time.Minute)
		c.had("a1", "a2", "b1", "c1", "a3", "b2")
		if n := c.Waiting(); n != 0 {
			t.Errorf("%d wait", n)
		}
		c.come("a4", "a", 0) // nothing is left over of all that
		c.had("a1", "a2", "b1", "c1", "a3", "b2", "a4")
	})
}

// An address has its share of the turns at once, and leaves the others theirs.
func TestTurnsOfOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{Turns: turns.New(3, 2, 0, nil), t: t}
		for _, name := range []string{"a1", "a2", "a3"} {
			c.come(name, "a", time.Hour)
		}
		c.come("b1", "b", 2*time.Hour)
		c.come("c1", "c", time.Hour) // there are no more of them
		c.had("a1", "a2", "b1")
		time.Sleep(90 * time.Minute)
		c.had("a1", "a2", "b1", "a3", "c1")
		time.Sleep(2 * time.Hour)
	})
}

// Whoever gives up at the moment of the grant takes no turn from others.
func TestGivingUpAtTheGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := turns.New(1, 1, 0, nil)
		over, end := context.WithCancel(t.Context())
		end()
		for range 100 {
			if done, err := all.Take(over, "a"); err == nil {
				done()
			}
		}
		done, err := all.Take(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		done()
	})
}

// While others wait a turn rests, and most of the time is for who needs none. Where nobody
// waits it doesn't.
func TestTurnsRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{Turns: turns.New(1, 1, 0, nil), t: t}
		begun := time.Now()
		for range 10 {
			c.come("alone", "a", 9*time.Millisecond)
			time.Sleep(10 * time.Millisecond)
		}
		if had := len(c.soFar()); had != 10 || c.Waiting() != 0 {
			t.Errorf("after %v %d had their turn", time.Since(begun), had)
		}
		const many = 100
		for range many {
			c.come("crowded", "a", 10*time.Millisecond)
		}
		time.Sleep(many * 20 * time.Millisecond)
		if n := len(c.soFar()) - 10; n == 0 || n > many/2 {
			t.Errorf("in half of the time there were %d of %d turns", n, many)
		}
		time.Sleep(time.Minute)
		if n := len(c.soFar()) - 10; n != many {
			t.Errorf("in the end there were %d of %d turns", n, many)
		}
	})
}

// A turn rests for others: where nobody is at work who needs none, there is nothing to rest for.
func TestTurnsRestForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		others := new(turns.Others)
		c := &crowd{Turns: turns.New(1, 1, 0, others), t: t}
		const many, use = 100, 10 * time.Millisecond
		crowd := func(want func(n int) bool) {
			t.Helper()
			before := len(c.soFar())
			for range many {
				c.come("crowded", "a", use)
			}
			time.Sleep(many * use)
			synctest.Wait()
			if n := len(c.soFar()) - before; !want(n) {
				t.Errorf("in the time of %d turns there were %d", many, n)
			}
			time.Sleep(time.Minute)
		}
		crowd(func(n int) bool { return n >= many-1 })
		end := others.Begin()
		crowd(func(n int) bool { return n < many/2 })
		end() // players come again
		crowd(func(n int) bool { return n < many/2 })
		crowd(func(n int) bool { return n >= many-1 })
	})
}

// A turn that is used for too long is given on meanwhile, and not once more when its use ends.
func TestTurnsThatLastForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{Turns: turns.New(1, 1, time.Second, nil), t: t}
		c.come("long", "a", time.Hour)
		c.come("a1", "a", 0)
		c.come("a2", "a", 2*time.Hour)
		c.had("long")
		time.Sleep(10 * time.Second)
		c.had("long", "a1", "a2")
		for _, name := range []string{"b1", "b2"} {
			c.come(name, "b", 3*time.Hour)
		}
		time.Sleep(10 * time.Second)
		c.had("long", "a1", "a2", "b1", "b2")
		time.Sleep(4 * time.Hour)
		c.come("c1", "c", time.Hour)
		c.come("c2", "c", 0)
		c.had("long", "a1", "a2", "b1", "b2", "c1") // there is one turn still
		time.Sleep(time.Hour)
	})
}
