package uploads

import (
	"cmp"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// terminate is tus's termination: it cancels the video. It needs no lease: the workflow
// fences whoever has it. The URL alone is enough while the upload goes on; once every
// byte is stored it can be in many logs, and only the owner may, whatever has become of the
// video; but of one that was canceled or erased nothing is left to protect. Repeating it is
// a success.
func (c *call) terminate() error {
	if c.r.Header.Get("Tus-Resumable") != "1.0.0" && c.r.Header.Get(draftHeader) == "" {
		return handler.ErrUnsupportedVersion
	}
	after, err := parseAfter(c.r.URL.Query().Get("after"))
	if err != nil {
		return err
	}
	err = c.find()
	if err == nil || errors.Is(err, errGone) {
		err = cmp.Or(c.mayCancel(), err)
	}
	switch {
	case err != nil:
	case after > 0:
		err = c.server.absences.await(c.upload, after, c.server.cancelAbsent)
	default:
		err = c.server.cancel(c)
	}
	if err != nil && !errors.Is(err, errGone) && video.CodeOf(err) != video.Gone {
		return err
	}
	c.answer.Header().Set("Tus-Resumable", "1.0.0")
	c.answer.WriteHeader(http.StatusNoContent)
	return nil
}

// mayCancel asks the host where the URL alone is not enough.
func (c *call) mayCancel() error {
	u := c.upload
	if u.Video == "" || !complete(u) || u.Ending == video.ByCancellation {
		return nil // of an erased one no more is known than that
	}
	return c.server.host.MayCancel(c.r, u.Video)
}

func (s *Server) cancel(c *call) error {
	err := s.host.Cancel(c.r.Context(), c.upload.Video)
	if err == nil {
		s.slots.end(c.upload.Video, errGone)
	}
	return err
}

// longestAfter bounds how long a cancel waits for somebody to come back.
const longestAfter = 10 * time.Minute

// parseAfter reads how long a cancel waits: 0 for not at all.
func parseAfter(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	after, err := time.ParseDuration(text)
	if err != nil || after < 0 || after > longestAfter {
		return 0, video.Errorf(video.Invalid, "after can be a time such as 15s, up to %.0fm.", longestAfter.Minutes())
	}
	return after, nil
}

// absences are uploads whose client has left and may come back: a page that is closed, or only
// loaded anew. They are kept in memory: if this gateway ends before their time, they are
// not canceled, and expire as any upload that nobody goes on with.
type absences struct {
	mu      sync.Mutex
	waiting map[video.ID]*absence
	closed  bool
	under   sync.WaitGroup // cancels under way
}

type absence struct{ timer *time.Timer }

// mostAbsences is how many uploads wait at once; each takes about a kilobyte.
const mostAbsences = 10_000

func newAbsences() *absences { return &absences{waiting: map[video.ID]*absence{}} }

// await calls then with u, as it is now, after some time. A later call for the same
// upload takes the place of an earlier one.
func (a *absences) await(u catalog.Upload, after time.Duration, then func(catalog.Upload)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	earlier, known := a.waiting[u.Video]
	if a.closed || !known && len(a.waiting) >= mostAbsences {
		return errDown
	}
	if known {
		earlier.timer.Stop()
	}
	mine := &absence{}
	a.waiting[u.Video] = mine
	mine.timer = time.AfterFunc(after, func() {
		if a.begin(u.Video, mine) {
			defer a.under.Done()
			then(u)
		}
	})
	return nil
}

// begin reports whether mine is still the one that counts, and forgets it.
func (a *absences) begin(id video.ID, mine *absence) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || a.waiting[id] != mine {
		return false
	}
	delete(a.waiting, id)
	a.under.Add(1)
	return true
}

// end is called when somebody is back.
func (a *absences) end(id video.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if mine := a.waiting[id]; mine != nil {
		mine.timer.Stop()
		delete(a.waiting, id)
	}
}

// close forgets all that wait, and returns when no cancel is under way.
func (a *absences) close() {
	a.mu.Lock()
	a.closed = true
	for _, mine := range a.waiting {
		mine.timer.Stop()
	}
	a.mu.Unlock()
	a.under.Wait()
}

// cancelAbsent cancels an upload to which nobody came back since it was as was. A HEAD or
// PATCH at another gateway has taken the lease, and so changed its epoch.
func (s *Server) cancelAbsent(was catalog.Upload) {
	now, err := s.catalog.UploadOf(s.stopping, was.Video)
	if err == nil && (now.LeaseEpoch != was.LeaseEpoch || now.Holder != "" || complete(now) || over(now)) {
		return
	}
	if err == nil {
		err = s.host.Cancel(s.stopping, was.Video)
	}
	if err != nil && video.CodeOf(err) != video.Gone {
		s.log.Warn("an upload whose client left was not canceled", "video", was.Video, "error", err)
	}
}
