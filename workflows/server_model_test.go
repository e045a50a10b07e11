package workflows

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/reelflow/reelflow/video"
)

// model is a life in which every command takes effect before the next is looked
// at: what signals sent in a hurry must come to as well. Its work never ends.
type model struct {
	video.State
	stood    video.Stage // before a cancel
	wasDraft bool        // and then another one
	refused  int
}

// take applies the table to one command.
func (m *model) take(c video.Command) {
	asked := c
	if c == keep {
		asked = video.Cancel
	}
	switch {
	case m.Check(asked) != nil:
		m.refused++
		return
	case m.Repeats(asked), c == keep && m.Stage == video.Draft:
		return
	}
	switch c {
	case video.Pause:
		m.Paused = true
	case video.Resume:
		if m.Paused = false; m.Stage == video.Draft {
			m.Stage = m.stood
		}
	case video.Cancel, keep:
		m.cancel(c)
	case video.Restore:
		if m.Ending, m.Stage = "", m.stood; m.wasDraft {
			m.Stage = video.Draft
		}
		m.Done = append(m.Done, c)
	case video.Hold, video.Release:
		m.Held = c == video.Hold
	case video.Approve, video.Publish:
		m.Done = append(m.Done, c)
	}
	m.moveOn()
}

func (m *model) cancel(c video.Command) {
	m.Paused = false
	m.Done = slices.DeleteFunc(m.Done, func(d video.Command) bool { return d == video.Restore })
	if m.wasDraft = m.Stage == video.Draft; !m.wasDraft {
		m.stood = m.Stage
	}
	if m.Stage = video.Draft; c != keep {
		m.Stage, m.Ending = video.Canceled, video.ByCancellation
	}
}

// moveOn leaves review and delay as soon as that was decided.
func (m *model) moveOn() {
	if m.Paused {
		return
	}
	if m.Stage == video.Reviewing && (slices.Contains(m.Done, video.Approve) || slices.Contains(m.Done, video.Publish)) {
		m.Stage = video.Scheduled
	}
	if m.Stage == video.Scheduled && slices.Contains(m.Done, video.Publish) {
		m.Stage = video.Publishing
	}
}

// signalsKeepTheirOrder sends random commands as fast as a plain client can.
func signalsKeepTheirOrder(t *testing.T, s *server) {
	for seed := range uint64(24) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			chance := rand.New(rand.NewPCG(seed, 3))
			l := s.tale(t)
			l.in.Policy.CancelGrace, l.in.Policy.PublishDelay = time.Hour, time.Hour
			m := model{State: video.State{Stage: video.Processing}}
			if l.in.Review = seed%2 == 0; l.in.Review {
				m.Stage = video.Reviewing
				l.world.change(func() { l.world.held["CopyReplica"] = true })
				l.uploaded().arrives(video.Reviewing)
			} else {
				l.holding("EncodePiece", 3)
			}
			var sent []video.Command
			for range 5 + chance.IntN(25) {
				c := dice[chance.IntN(len(dice))]
				sent = append(sent, c)
				m.take(c)
				l.signal(string(c))
			}
			var now video.Status
			patient(t, "the model's end", func() error {
				now = l.status()
				held := canBe(now, video.Release)
				if now.Stage == m.Stage && now.Paused == m.Paused && now.Ending == m.Ending && held == m.Held && now.Refused == m.refused {
					return nil
				}
				return fmt.Errorf("after %v the life stands at %+v, the model at %+v", sent, now, m)
			})
			l.signal("release")
			l.signal("delete")
			l.ends(video.ByDeletion)
		})
	}
}

// dice are all commands that don't end a life for good, some of them more often.
var dice = []video.Command{
	video.Pause, video.Pause, video.Resume, video.Resume, video.Resume, video.Cancel, keep, keep, video.Restore, video.Restore,
	video.Approve, video.Publish, video.Hold, video.Release,
}
