package workflows

import (
	"testing"
	"time"

	"github.com/reelflow/reelflow/video"
)

func newImport(t *testing.T) *film {
	f := newFilm(t)
	f.in.Import, f.silent = true, true
	return f
}

func TestImportIsFetchedAndGoesOnAsAnUpload(t *testing.T) {
	f := newImport(t)
	f.run()
	if f.world.count("Import") != 1 || f.world.count("Publish") != 1 || f.world.count("CheckUpload") != 0 {
		t.Errorf("did %v", f.world.did)
	}
}

func TestPausedImportStopsAndGoesOn(t *testing.T) {
	f := newImport(t)
	f.world.held["Import"] = true
	var paused *answer
	f.play(
		scene{"it is fetched", func(s video.Status) bool { return f.world.busy("Import") == 1 && s.WaitingFor == Importing },
			func() { paused = f.update(video.Pause) }},
		scene{"it is paused", func(s video.Status) bool { return paused.done && s.Paused && f.world.busy("Import") == 0 },
			func() {
				f.world.change(func() { f.world.held["Import"] = false })
				f.update(video.Resume)
			}},
	)
	if paused.refusal != nil || f.world.count("Import") != 2 || f.world.count("Publish") != 1 {
		t.Errorf("pause: %+v; did %v", paused, f.world.did)
	}
}

func TestCanceledImportEnds(t *testing.T) {
	f := newImport(t)
	f.world.held["Import"] = true
	f.play(scene{"it is fetched", f.working("Import", 1), f.signals(video.Cancel)})
	if r := f.receipt(); r.Reason != video.ByCancellation {
		t.Errorf("receipt: %+v", r)
	}
}

func TestRefusedImportIsARejection(t *testing.T) {
	f := newImport(t)
	f.world.refused = &video.Rejection{Code: "unsupported", Message: "There is nothing at this address."}
	var during video.Status
	f.at(30*time.Minute, func() { during = f.status() })
	f.run()
	if r := f.receipt(); r.Reason != video.ByRejection || during.Stage != video.Rejected || f.world.count("SealUpload") != 0 {
		t.Errorf("receipt %+v; in between %+v; did %v", r, during, f.world.did)
	}
}

// A source that is down is asked again until the import has been idle for too
// long; people are told what it waits for.
func TestImportFromASourceThatIsDown(t *testing.T) {
	f := newImport(t)
	f.in.Policy.UploadIdle = time.Hour
	f.world.goDown("Import")
	var during video.Status
	var shown ControlInput
	f.at(30*time.Minute, func() { during, shown = f.status(), f.world.last() })
	f.run()
	if r := f.receipt(); r.Reason != video.ByExpiry {
		t.Errorf("receipt: %+v", r)
	}
	if during.Stage != video.Uploading || during.WaitingFor == "" || shown.WaitingFor == "" {
		t.Errorf("in between %+v, shown %+v", during, shown)
	}
	if n := f.world.count("Import"); n < 10 || n > 100 {
		t.Errorf("asked %d times in an hour", n)
	}
}

func TestImportGoesOnWhenItsSourceComesBack(t *testing.T) {
	f := newImport(t)
	f.world.goDown("Import")
	f.at(20*time.Minute, f.world.comeBack)
	f.run()
	if f.world.count("Publish") != 1 {
		t.Errorf("did %v", f.world.did)
	}
}
