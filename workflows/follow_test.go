package workflows

import (
	"testing"
	"time"

	"github.com/reelflow/reelflow/video"
)

// come is how much of the upload is stored, as a look will find.
func (w *world) come(bytes int64) { w.change(func() { w.idle.Offset = bytes }) }

// The backups follow an upload while bytes come, and rest while none do.
func TestBackupsFollowAnUpload(t *testing.T) {
	f := newFilm(t)
	f.silent = true
	f.in.Policy.UploadStall = time.Minute
	var early, later, rested int
	f.at(time.Second, func() { f.world.come(10) })
	f.at(5*time.Second, func() {
		early = f.world.count("CopyAhead")
		f.world.come(20)
	})
	f.at(20*time.Second, func() { later = f.world.count("CopyAhead") })
	f.at(10*time.Minute, func() {
		rested = f.world.count("CopyAhead")
		f.SignalWorkflow(video.UploadedSignal, nil)
	})
	f.run()
	if early != 1 || later != 2 || rested != 2 {
		t.Errorf("copied ahead %d times at the first bytes, %d after more, %d after ten minutes without any", early, later, rested)
	}
	if f.world.count("CopyReplica") != 2 || f.world.count("Publish") != 1 {
		t.Errorf("did %v", f.world.did)
	}
}

func TestPauseStopsTheBackupsToo(t *testing.T) {
	f := newFilm(t)
	f.silent = true
	f.world.held["CopyAhead"] = true
	f.world.come(10)
	var paused *answer
	f.play(
		scene{"the backups follow", f.working("CopyAhead", 1), func() { paused = f.update(video.Pause) }},
		scene{"it is paused", func(s video.Status) bool { return paused.done && s.Paused && f.world.busy("CopyAhead") == 0 },
			func() {
				f.update(video.Resume)
				f.SignalWorkflow(video.UploadedSignal, nil)
			}},
	)
	if paused.refusal != nil || f.world.count("Publish") != 1 {
		t.Errorf("pause: %+v; did %v", paused, f.world.did)
	}
}

// A backup that is down while the upload arrives holds nothing up.
func TestBackupsThatCannotFollow(t *testing.T) {
	f := newFilm(t)
	f.silent = true
	f.world.goDown("CopyAhead")
	f.world.come(10)
	f.at(time.Minute, func() { f.SignalWorkflow(video.UploadedSignal, nil) })
	f.run()
	if n := f.world.count("CopyAhead"); n != 1 || f.world.count("Publish") != 1 {
		t.Errorf("copied ahead %d times; did %v", n, f.world.did)
	}
}

// What was fetched before its source went down is copied, ever more seldom.
func TestBackupsFollowAnImport(t *testing.T) {
	f := newImport(t)
	f.world.goDown("Import")
	var early, late int
	f.at(time.Minute, func() { early = f.world.count("CopyAhead") })
	f.at(time.Hour, func() {
		late = f.world.count("CopyAhead")
		f.world.comeBack()
	})
	f.run()
	if early < 2 || late > 20 || f.world.count("Publish") != 1 {
		t.Errorf("copied ahead %d times in a minute, %d in an hour; did %v", early, late, f.world.did)
	}
}

// following starts a life whose upload is looked at, and waits until the backups
// follow it, which doesn't end.
func (l *tale) following() *tale {
	l.t.Helper()
	l.world.come(10)
	l.world.change(func() { l.world.held["CopyAhead"] = true })
	l.begin()
	l.until("the backups follow", func(video.Status) bool { return l.world.busy("CopyAhead") == 1 })
	return l
}

// The processing doesn't wait for the backups, and nothing of the upload's leg
// runs beside it: the next leg would fence it off.
func copyingEndsWithTheUpload(t *testing.T, s *server) {
	l := s.tale(t)
	beside := make(chan int, 1)
	l.world.fail["SealUpload"] = func(int) error {
		beside <- l.world.busy("CopyAhead")
		return nil
	}
	l.following().signal(video.UploadedSignal)
	if n := <-beside; n != 0 {
		t.Errorf("%d copies run beside the processing", n)
	}
	l.letGo()
	l.must(video.Delete)
	l.ends(video.ByDeletion)
}
