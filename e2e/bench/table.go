package main

import (
	"fmt"
	"slices"
	"syscall"
	"time"
)

const header = "| what | ours | peer | ratio | aim | note |\n|---|---|---|---|---|---|\n"

// row is one line of the table; a cell may be empty.
type row struct{ what, ours, peer, ratio, aim, note string }

func (r row) print() {
	fmt.Printf("| %s | %s | %s | %s | %s | %s |\n", r.what, r.ours, r.peer, r.ratio, r.aim, r.note)
}

// atMost is an aim, and whether a figure meets it.
func atMost(figure, limit float64, unit string) string {
	verdict := "met"
	if figure > limit {
		verdict = "**missed**"
	}
	return fmt.Sprintf("≤ %g%s: %s", limit, unit, verdict)
}

// series are the times of one contestant.
type series []time.Duration

func (s series) median() time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	if len(sorted)%2 == 1 {
		return sorted[len(sorted)/2]
	}
	return (sorted[len(sorted)/2-1] + sorted[len(sorted)/2]) / 2
}

// String is the median, and the span in brackets.
func (s series) String() string {
	return fmt.Sprintf("%s (%s–%s)", brief(s.median()), brief(slices.Min(s)), brief(slices.Max(s)))
}

func (s series) over(other series) float64 { return s.median().Seconds() / other.median().Seconds() }

// brief writes a time with what can be trusted of it.
func brief(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// contestant does the same work again and again; once tells how long it took
// without what it has to prepare and to tidy up.
type contestant struct {
	once      func() (time.Duration, error)
	times     series
	processor series // time of the server's, where once notes it
}

// compete lets contestants take turns. Nobody's first turn counts, and nobody
// has to write what another one has left in the page cache.
func (b *bench) compete(all ...*contestant) error {
	for turn := range b.turns + 1 {
		for _, c := range all {
			syscall.Sync()
			took, err := c.once()
			if err != nil {
				return err
			}
			if turn > 0 {
				c.times = append(c.times, took)
			}
		}
	}
	return nil
}

// against is the row of a contestant beside a peer; limit is the aim for the
// ratio, 0 for none.
func against(what string, ours, peer *contestant, limit float64, note string) row {
	ratio := ours.times.over(peer.times)
	r := row{what, ours.times.String(), peer.times.String(), fmt.Sprintf("%.2f", ratio), "", note}
	if limit > 0 {
		r.aim = atMost(ratio, limit, "")
	}
	return r
}
