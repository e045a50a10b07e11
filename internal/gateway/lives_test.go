package gateway

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// fakeLives are lives that take hold in the catalog at once.
type fakeLives struct {
	catalog *catalog.Catalog

	mu       sync.Mutex
	down     bool
	idle     []string      // roles without a worker
	slow     time.Duration // how long a command takes to hold
	stuck    *Obstacle     // no life answers; each keeps what it is told
	deaf     bool          // nor is it known why
	refuse   error         // of every command
	inputs   map[video.ID]video.LifecycleInput
	over     map[video.ID]bool
	uploaded map[video.ID]int
	told     []told // signals that were recorded, in order
	heard    int    // of those, how many were taken up
	updates  int    // commands that were sent as updates
}

// told is a signal.
type told struct {
	id video.ID
	c  video.Command
	r  video.CommandRequest
}

func (f *fakeLives) reach(id video.ID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return outage(errors.New("connection refused"))
	}
	if _, started := f.inputs[id]; !started || f.over[id] {
		return notRunning(errors.New("no such workflow"))
	}
	return nil
}

func (f *fakeLives) setDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *fakeLives) Unattended(context.Context) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return nil, outage(errors.New("connection refused"))
	}
	return f.idle, nil
}

func (f *fakeLives) input(id video.ID) (video.LifecycleInput, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in, ok := f.inputs[id]
	return in, ok
}

func (f *fakeLives) Start(_ context.Context, in video.LifecycleInput) error {
	if err := f.reach(in.ID); video.CodeOf(err) == video.Unavailable {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, again := f.inputs[in.ID]; !again {
		f.inputs[in.ID] = in
	}
	return nil
}

func (f *fakeLives) Command(ctx context.Context, id video.ID, c video.Command, r video.CommandRequest) (func(context.Context) (video.Status, error), error) {
	if err := f.reach(id); err != nil {
		return nil, err
	}
	f.mu.Lock()
	stuck, deaf := f.stuck, f.deaf
	f.updates++
	f.mu.Unlock()
	switch {
	case deaf || stuck != nil && stuck.Reason == noWorker:
		<-ctx.Done()
		return nil, outage(ctx.Err())
	case stuck != nil:
		return nil, blocked(errors.New("it takes no updates"))
	}
	row, err := f.catalog.Video(ctx, id)
	if err == nil {
		err = cmp.Or(f.refuse, row.State().Check(c))
	}
	return func(ctx context.Context) (video.Status, error) {
		if err != nil {
			return video.Status{}, err
		}
		select {
		case <-time.After(f.slow):
		case <-ctx.Done():
			return video.Status{}, outage(ctx.Err())
		}
		return f.take(ctx, id, c, r)
	}, nil
}

func (f *fakeLives) Signal(ctx context.Context, id video.ID, c video.Command, r video.CommandRequest) error {
	if err := f.reach(id); err != nil {
		return err
	}
	f.mu.Lock()
	f.told = append(f.told, told{id, c, r})
	stuck := f.stuck != nil || f.deaf
	f.mu.Unlock()
	if stuck {
		return nil
	}
	return f.hear(ctx)
}

// hear takes up the signals that were recorded and not heard yet.
func (f *fakeLives) hear(ctx context.Context) error {
	f.mu.Lock()
	unheard := f.told[f.heard:]
	f.heard = len(f.told)
	f.mu.Unlock()
	for _, s := range unheard {
		row, err := f.catalog.Video(ctx, s.id)
		if err != nil {
			return err
		}
		state := row.State()
		state.Ending, state.Stage = row.Ending, row.Stage // as the life knows it
		if state.Check(s.c) != nil || state.Repeats(s.c) {
			continue
		}
		if _, err := f.take(ctx, s.id, s.c, s.r); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeLives) Obstacle(_ context.Context, id video.ID) (*Obstacle, error) {
	if err := f.reach(id); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stuck == nil {
		return nil, nil
	}
	o := *f.stuck
	return &o, nil
}

// stick makes all lives keep what they are told, for a reason; nil lets them go on.
func (f *fakeLives) stick(why *Obstacle) {
	f.mu.Lock()
	f.stuck = why
	f.mu.Unlock()
	if why == nil {
		_ = f.hear(context.Background()) // what failed shows in the rows
	}
}

// signals returns the commands that a life was told by signal.
func (f *fakeLives) signals(id video.ID) (all []told) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.told {
		if s.id == id {
			all = append(all, s)
		}
	}
	return all
}

// take makes a command take hold.
func (f *fakeLives) take(ctx context.Context, id video.ID, c video.Command, r video.CommandRequest) (video.Status, error) {
	row, err := f.catalog.Video(ctx, id)
	if err != nil {
		return video.Status{}, err
	}
	now, err := f.catalog.ControlOf(ctx, id)
	if err != nil {
		return video.Status{}, err
	}
	now.Epoch++
	stage := row.Stage
	switch c {
	case video.Pause, video.Resume:
		now.Paused = c == video.Pause
	case video.Cancel:
		stage, now.Ending, now.Draft = video.Purging, video.ByCancellation, r.KeepDraft
		if r.KeepDraft {
			stage, now.Ending = video.Draft, ""
		}
	case video.Delete:
		now.Ending = video.ByDeletion
		if stage = video.Purging; row.Stage == video.Published || row.Stage == video.PendingDeletion {
			stage = video.PendingDeletion
		}
	case video.Hold, video.Release:
		now.Held = c == video.Hold
	case video.Approve:
		stage = video.Scheduled
	case video.Reject:
		stage, now.Ending = video.Rejected, video.ByRejection
	case video.Publish:
		stage = video.Publishing
	case video.Restore:
		stage, now.Ending = video.Uploading, ""
		if row.Stage == video.Rejected {
			stage = video.Reviewing
		}
	}
	_, err = f.catalog.Control(ctx, now, func(v *catalog.Video) {
		v.Stage = stage
		if v.Failure = nil; c == video.Reject {
			v.Failure = &video.Rejection{Code: "reviewer", Message: "A reviewer has rejected this video."}
		}
		if c == video.Approve || c == video.Reject {
			v.Decisions, v.DecidedBy = append(v.Decisions, c), r.By
		}
		if c == video.Delete && v.HiddenAt.IsZero() {
			v.HiddenAt = time.Now()
		}
	})
	return video.Status{ID: id, Stage: stage, Paused: now.Paused, Ending: now.Ending}, err
}

func (f *fakeLives) Uploaded(_ context.Context, id video.ID) error {
	if err := f.reach(id); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.uploaded[id]++
	return nil
}

func (f *fakeLives) Ready(context.Context) error {
	if err := f.reach(""); video.CodeOf(err) == video.Unavailable {
		return err
	}
	return nil
}
