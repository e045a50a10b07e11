package catalog_test

import (
	"errors"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// Every state of the control row against every kind of leg.
func TestEnter(t *testing.T) {
	const allowed = video.Code("")
	for _, c := range []struct {
		name           string
		row            catalog.Control
		normal, wayOut video.Code
	}{
		{"open", catalog.Control{Epoch: 5}, allowed, video.Conflict},
		{"a later leg", catalog.Control{Epoch: 6}, video.Conflict, video.Conflict},
		{"paused", catalog.Control{Epoch: 5, Paused: true}, video.Conflict, video.Conflict},
		{"a draft", catalog.Control{Epoch: 5, Draft: true}, video.Conflict, video.Conflict},
		{"held", catalog.Control{Epoch: 5, Held: true}, allowed, video.Conflict},
		{"ending", catalog.Control{Epoch: 5, Ending: video.ByExpiry}, video.Gone, allowed},
		{"ending while paused", catalog.Control{Epoch: 5, Ending: video.ByCancellation, Paused: true}, video.Gone, allowed},
		{"ending, a later leg", catalog.Control{Epoch: 6, Ending: video.ByDeletion}, video.Gone, video.Conflict},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, b *bench) {
				id := b.upload(t, 1)
				want := c.row
				want.Video = id
				b.control(t, want)
				leg, wayOut := catalog.Leg{Video: id, Epoch: 5}, catalog.Leg{Video: id, Epoch: 5, Ending: true}
				for range 2 { // entering again is the same
					check(t, b.Enter(t.Context(), leg, nil), c.normal)
					check(t, b.Enter(t.Context(), wayOut, nil), c.wayOut)
				}
				if row, err := b.ControlOf(t.Context(), id); err != nil || row != want {
					t.Errorf("the row is now %+v, %v", row, err)
				}
			})
		})
	}
}

func check(t *testing.T, err error, code video.Code) {
	t.Helper()
	if code != "" {
		refused(t, "enter", err, code)
	} else {
		must(t, err)
	}
}

func TestLegOfAVideoThatIsNotThere(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		leg := catalog.Leg{Video: video.NewID(), Epoch: 1}
		everything := func(code video.Code) {
			t.Helper()
			for what, err := range b.everyWrite(t, leg) {
				refused(t, what, err, code)
			}
			_, err := b.Control(t.Context(), catalog.Control{Video: leg.Video}, nil)
			refused(t, "control", err, code)
			_, err = b.Objects(t.Context(), leg.Video, catalog.Filter{})
			refused(t, "objects", err, code)
		}
		everything(video.NotFound) // which may be this catalog's fault: no end of anything
		must(t, b.RecordLedger(t.Context(), catalog.Ledger{VideoSHA256: leg.Video.Hash(), Reason: video.ByDeletion}))
		everything(video.Gone)

		// A row that came back with a backup: the ledger still knows better.
		back := catalog.Leg{Video: b.upload(t, 1), Epoch: 1}
		must(t, b.RecordLedger(t.Context(), catalog.Ledger{VideoSHA256: back.Video.Hash(), Reason: video.ByDeletion}))
		refused(t, "enter an erased video", b.Enter(t.Context(), back, nil), video.Gone)
		b.control(t, catalog.Control{Video: back.Video, Epoch: 1, Ending: video.ByDeletion})
		back.Ending = true
		must(t, b.Enter(t.Context(), back, nil))
	})
}

// everyWrite tries whatever a leg may write, and says what came of it.
func (b *bench) everyWrite(t *testing.T, leg catalog.Leg) map[string]error {
	t.Helper()
	ctx := t.Context()
	_, intend := b.Intend(ctx, leg, []catalog.Object{piece(1)})
	_, exclusive := b.EnterExclusive(ctx, leg, nil)
	_, purge := b.BeginPurge(ctx, leg, "a")
	return map[string]error{
		"enter": b.Enter(ctx, leg, nil), "enter alone": exclusive, "intend": intend,
		"merge":   b.CommitMerged(ctx, leg, written(catalog.Object{ID: 1}, "late")),
		"commit":  b.Commit(ctx, leg, written(catalog.Object{ID: 1}, "late")),
		"project": b.Project(ctx, leg, nil), "begin to drop": b.BeginDrop(ctx, leg, []int64{1}), "drop": b.Drop(ctx, leg, []int64{1}),
		"replica": b.SetReplica(ctx, leg, catalog.Replica{Store: "a"}), "purge": purge, "found after": b.FoundAfter(ctx, leg, "a", video.Counts{}),
	}
}

// Of two attempts at exclusive work the later one alone may write; work that
// attempts share doesn't mind.
func TestTheLatestAttemptWrites(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, leg := t.Context(), catalog.Leg{Video: b.upload(t, 1), Epoch: 1}
		first, err := b.EnterExclusive(ctx, leg, nil)
		must(t, err)
		o := b.intended(t, first, piece(0))
		stored := written(b.intended(t, first, piece(1)), "before")
		must(t, b.Commit(ctx, first, stored))
		second, err := b.EnterExclusive(ctx, leg, nil)
		must(t, err)
		if first.Writer == 0 || second.Writer <= first.Writer {
			t.Fatalf("attempts %d and %d", first.Writer, second.Writer)
		}
		before := b.video(t, leg.Video).Revision
		tried := b.everyWrite(t, first)
		delete(tried, "enter") // the leg itself goes on
		delete(tried, "enter alone")
		tried["commit"] = b.Commit(ctx, first, written(o, "late"))
		tried["begin to drop"] = b.BeginDrop(ctx, first, []int64{stored.ID})
		for what, err := range tried {
			refused(t, what, err, video.Conflict)
		}
		must(t, b.Commit(ctx, first, stored)) // it was, and is: its answer may have been lost
		if after := b.video(t, leg.Video).Revision; after != before {
			t.Errorf("the video went from revision %d to %d", before, after)
		}
		must(t, b.Project(ctx, leg, nil))
		row, err := b.ControlOf(ctx, leg.Video)
		must(t, err)
		if again := b.control(t, catalog.Control{Video: leg.Video, Epoch: 1}); again != row {
			t.Errorf("a control row took the number of the attempt away: %+v, before %+v", again, row)
		}
	})
}

// What begins to be dropped counts no more, makes room, and can't be stored after all;
// what is stored can't be dropped at once.
func TestDropInTwoSteps(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, leg := t.Context(), catalog.Leg{Video: b.upload(t, 1), Epoch: 1}
		must(t, b.Enter(ctx, leg, nil))
		o := written(b.intended(t, leg, piece(0)), "one")
		must(t, b.Commit(ctx, leg, o))
		must(t, b.Drop(ctx, leg, []int64{o.ID}))
		stored := func(want int) {
			t.Helper()
			some, err := b.Objects(ctx, leg.Video, catalog.Filter{Stored: true})
			must(t, err)
			held, err := b.Holdings(ctx, leg.Video)
			must(t, err)
			if len(some) != want || held["primary"].Objects != want {
				t.Errorf("%d are stored, %d held, want %d", len(some), held["primary"].Objects, want)
			}
		}
		stored(1)
		for range 2 {
			must(t, b.BeginDrop(ctx, leg, []int64{o.ID, 404}))
			stored(0)
		}
		refused(t, "commit", b.Commit(ctx, leg, o), video.Conflict)
		must(t, b.Commit(ctx, leg, written(b.intended(t, leg, piece(0)), "another")))
		stored(1)
		must(t, b.Drop(ctx, leg, []int64{o.ID}))
		if all, err := b.Objects(ctx, leg.Video, catalog.Filter{}); err != nil || len(all) != 1 {
			t.Errorf("%d rows are left, %v", len(all), err)
		}
	})
}

// Whoever follows the video isn't woken by work that begins and changes nothing.
func TestEnterAloneChangesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		leg := catalog.Leg{Video: b.upload(t, 1), Epoch: 1}
		before := b.video(t, leg.Video)
		must(t, b.Enter(t.Context(), leg, nil))
		_, err := b.EnterExclusive(t.Context(), leg, nil)
		must(t, err)
		if after := b.video(t, leg.Video); after.Revision != before.Revision {
			t.Errorf("the video went from revision %d to %d", before.Revision, after.Revision)
		}
		if row, err := b.ControlOf(t.Context(), leg.Video); err != nil || row.Epoch != 1 {
			t.Errorf("the leg was not entered: %+v, %v", row, err)
		}
	})
}

// What a frozen worker tries after its leg is over comes to nothing.
func TestLateWritesAreRefused(t *testing.T) {
	over := map[string]func(t *testing.T, b *bench, id video.ID) video.Code{
		"paused": func(t *testing.T, b *bench, id video.ID) video.Code {
			b.control(t, catalog.Control{Video: id, Epoch: 2, Paused: true})
			return video.Conflict
		},
		"resumed": func(t *testing.T, b *bench, id video.ID) video.Code {
			b.control(t, catalog.Control{Video: id, Epoch: 2, Paused: true})
			b.control(t, catalog.Control{Video: id, Epoch: 3})
			must(t, b.Enter(t.Context(), catalog.Leg{Video: id, Epoch: 3}, nil))
			return video.Conflict
		},
		"canceled": func(t *testing.T, b *bench, id video.ID) video.Code {
			b.control(t, catalog.Control{Video: id, Epoch: 2, Ending: video.ByCancellation})
			return video.Gone
		},
		"forgotten": func(t *testing.T, b *bench, id video.ID) video.Code {
			b.control(t, catalog.Control{Video: id, Epoch: 2, Ending: video.ByCancellation})
			must(t, b.Forget(t.Context(), id, video.Receipt{VideoSHA256: id.Hash()}))
			return video.Gone
		},
	}
	for name, end := range over {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, b *bench) {
				ctx, leg := t.Context(), catalog.Leg{Video: b.upload(t, 1), Epoch: 1}
				must(t, b.Enter(ctx, leg, nil))
				o := b.intended(t, leg, piece(0))
				code := end(t, b, leg.Video)
				before, _ := b.Video(ctx, leg.Video)

				refused(t, "commit", b.Commit(ctx, leg, written(o, "late")), code)
				refused(t, "project", b.Project(ctx, leg, func(v *catalog.Video) { v.Done = 99 }), code)
				_, err := b.Intend(ctx, leg, []catalog.Object{piece(1)})
				refused(t, "intend", err, code)
				refused(t, "drop", b.Drop(ctx, leg, []int64{o.ID}), code)
				refused(t, "replica", b.SetReplica(ctx, leg, catalog.Replica{Store: "a"}), code)
				_, err = b.BeginPurge(ctx, leg, "a")
				refused(t, "purge", err, code)

				if after, _ := b.Video(ctx, leg.Video); after.Revision != before.Revision {
					t.Errorf("the video went from revision %d to %d", before.Revision, after.Revision)
				}
				stored, err := b.Objects(ctx, leg.Video, catalog.Filter{Stored: true})
				if len(stored) != 0 || err != nil && name != "forgotten" {
					t.Errorf("stored: %v, %v", stored, err)
				}
			})
		})
	}
}

// A worker that comes back in a later leg may not commit what it announced in an earlier one.
func TestObjectOfAnEarlierLeg(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		leg := catalog.Leg{Video: b.upload(t, 1), Epoch: 1}
		must(t, b.Enter(t.Context(), leg, nil))
		o := b.intended(t, leg, piece(0))
		leg.Epoch = 2
		must(t, b.Enter(t.Context(), leg, nil))
		refused(t, "commit", b.Commit(t.Context(), leg, written(o, "x")), video.Conflict)
		refused(t, "a leg that never began", b.Project(t.Context(), catalog.Leg{Video: leg.Video, Epoch: 3}, nil), video.Conflict)
	})
}

func TestCommitAgain(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, leg := t.Context(), catalog.Leg{Video: b.upload(t, 1), Epoch: 1}
		must(t, b.Enter(ctx, leg, nil))
		o := written(b.intended(t, leg, piece(0)), "content")
		must(t, b.Commit(ctx, leg, o))
		must(t, b.Commit(ctx, leg, o))
		refused(t, "other content", b.Commit(ctx, leg, written(o, "other")), video.Conflict)

		// The answer was lost, and meanwhile the leg ended: still a success, or
		// the writer would delete what the manifest holds.
		b.control(t, catalog.Control{Video: leg.Video, Epoch: 2, Paused: true})
		must(t, b.Commit(ctx, leg, o))
		b.control(t, catalog.Control{Video: leg.Video, Epoch: 3, Ending: video.ByDeletion})
		must(t, b.Commit(ctx, leg, o))
	})
}

// Two attempts of one leg can both come to their end when a worker was thought dead.
func TestTwins(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, leg := t.Context(), catalog.Leg{Video: b.upload(t, 1), Epoch: 1}
		must(t, b.Enter(ctx, leg, nil))
		one, other := b.intended(t, leg, piece(3)), b.intended(t, leg, piece(3))
		must(t, b.Commit(ctx, leg, written(one, "one")))
		err := b.Commit(ctx, leg, written(other, "other"))
		if refused(t, "the twin", err, video.Unavailable); !errors.Is(err, catalog.ErrTwin) {
			t.Errorf("%v is not ErrTwin", err)
		}
		must(t, b.BeginDrop(ctx, leg, []int64{one.ID, 404}))
		must(t, b.Commit(ctx, leg, written(other, "other")))
	})
}

func TestControl(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		id := b.upload(t, 1)
		at := func(epoch int64) catalog.Control { return catalog.Control{Video: id, Epoch: epoch} }

		paused := at(7)
		paused.Paused, paused.Refused = true, 2
		if row := b.control(t, paused); row != paused {
			t.Fatalf("got %+v", row)
		}
		// A workflow that was reset knows a lower epoch only: it changes nothing and learns.
		further := paused
		further.Behind = true
		if row := b.control(t, at(2)); row != further {
			t.Errorf("after a lower epoch: %+v", row)
		}
		// Nor does a new epoch that another run has reached, unless it says the same.
		same, other := paused, at(7)
		same.Fences, other.Fences = true, true
		if row := b.control(t, other); row != further {
			t.Errorf("after another row of the same epoch: %+v", row)
		}
		if row := b.control(t, same); row.Behind {
			t.Errorf("the same row again: %+v", row)
		}
		if v := b.video(t, id); !v.Paused {
			t.Error("the video does not mirror the row")
		}
		if row := b.control(t, at(8)); row != at(8) {
			t.Errorf("above it: %+v", row)
		}

		canceled := at(9)
		canceled.Ending, canceled.Draft = video.ByCancellation, true
		b.control(t, canceled)
		if row := b.control(t, at(10)); row.Ending != "" {
			t.Errorf("a draft was not taken up again: %+v", row)
		}

		deleted := at(11)
		deleted.Ending = video.ByDeletion
		b.control(t, deleted)
		again := at(12)
		again.Ending, again.Draft = video.ByCancellation, true
		for _, want := range []catalog.Control{again, at(13)} {
			row := b.control(t, want)
			if row.Ending != video.ByDeletion || row.Draft || row.Epoch != want.Epoch {
				t.Errorf("a deletion was taken back: %+v", row)
			}
		}
	})
}

// Once the ledger has a video, no end of it can be taken back.
func TestPointOfNoReturn(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		id := b.upload(t, 1)
		b.control(t, catalog.Control{Video: id, Epoch: 1, Ending: video.ByCancellation})
		must(t, b.RecordLedger(t.Context(), catalog.Ledger{VideoSHA256: id.Hash(), Reason: video.ByCancellation}))
		if row := b.control(t, catalog.Control{Video: id, Epoch: 2}); row.Ending != video.ByCancellation {
			t.Errorf("restored: %+v", row)
		}
	})
}

func TestProjection(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, id := t.Context(), b.upload(t, 1)
		before := b.video(t, id)
		_, err := b.Control(ctx, catalog.Control{Video: id, Epoch: 4, Held: true}, func(v *catalog.Video) { v.WaitingFor = "reviewers" })
		must(t, err)
		err = b.Enter(ctx, catalog.Leg{Video: id, Epoch: 4}, func(v *catalog.Video) {
			v.Stage, v.Warnings = video.Processing, []string{"no_sound"}
			v.ID, v.Owner, v.Held, v.Ending, v.Revision = "x", "x", false, video.ByExpiry, 0
		})
		must(t, err)
		after := b.video(t, id)
		if after.Stage != video.Processing || after.WaitingFor != "reviewers" || len(after.Warnings) != 1 {
			t.Errorf("not projected: %+v", after)
		}
		if after.Owner != "owner" || !after.Held || after.Ending != "" || after.Revision != before.Revision+2 {
			t.Errorf("a projection changed what is not its own: %+v", after)
		}
		if !after.CreatedAt.Equal(before.CreatedAt) {
			t.Errorf("created at %v, then at %v", before.CreatedAt, after.CreatedAt)
		}
	})
}

// An interruption that is on its way holds up a commit, and then refuses it: what
// was answered to the one who paused is never overtaken.
func TestCommitWaitsForTheInterruption(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, leg := t.Context(), catalog.Leg{Video: b.upload(t, 1), Epoch: 1}
		must(t, b.Enter(ctx, leg, nil))
		o := b.intended(t, leg, piece(0))
		pause, err := b.raw(t).BeginTx(ctx, nil)
		must(t, err)
		_, err = pause.Exec("UPDATE controls SET paused = true WHERE video = '" + string(leg.Video) + "'")
		must(t, err)

		commit := make(chan error)
		go func() { commit <- b.Commit(ctx, leg, written(o, "late")) }()
		select {
		case err := <-commit:
			t.Errorf("committed meanwhile: %v", err)
			must(t, pause.Rollback())
		case <-time.After(100 * time.Millisecond):
			must(t, pause.Commit())
			refused(t, "commit", <-commit, video.Conflict)
		}
	})
}
