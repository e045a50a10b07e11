package client

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reelflow/reelflow/video"
)

// tusServer stores one upload as tus 1.0 asks for, and tells of it by events.
type tusServer struct {
	t      *testing.T
	id     video.ID
	resume chan struct{} // ends a pause

	mu     sync.Mutex
	size   int64
	stored []byte
	paused bool
}

func newTus(t *testing.T, size int64) *tusServer {
	return &tusServer{t: t, id: video.NewID(), resume: make(chan struct{}), size: size}
}

func (s *tusServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/events"):
		s.events(w, r)
	case r.Method == http.MethodHead:
		s.answer(w, http.StatusOK)
	case r.Method == http.MethodPatch:
		s.patch(w, r)
	default:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":%q}`, s.id)
	}
}

func (s *tusServer) answer(w http.ResponseWriter, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Tus-Resumable", "1.0.0")
	w.Header().Set("Reelflow-Video", string(s.id))
	w.Header().Set("Upload-Offset", strconv.Itoa(len(s.stored)))
	w.WriteHeader(status)
}

func (s *tusServer) patch(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	paused := s.paused
	right := r.Header.Get("Upload-Offset") == strconv.Itoa(len(s.stored))
	s.mu.Unlock()
	switch {
	case paused:
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusLocked)
		return
	case !right:
		w.WriteHeader(http.StatusConflict)
		return
	}
	buffer := make([]byte, 32<<10)
	for {
		n, err := r.Body.Read(buffer)
		s.mu.Lock()
		s.stored = append(s.stored, buffer[:n]...)
		s.mu.Unlock()
		if err == io.EOF {
			s.answer(w, http.StatusNoContent)
			return
		}
		if err != nil {
			return
		}
	}
}

// events says that the upload is paused, and once it is no more.
func (s *tusServer) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, "event: video\ndata: {\"stage\":\"uploading\",\"paused\":true}\n\n")
	w.(http.Flusher).Flush()
	select {
	case <-s.resume:
	case <-r.Context().Done():
		return
	}
	s.mu.Lock()
	s.paused = false
	s.mu.Unlock()
	fmt.Fprint(w, "event: video\ndata: {\"stage\":\"uploading\",\"paused\":false}\n\n")
}

// behind starts the server behind a middle box, which may answer by itself and reports
// whether it did. It returns an upload of random bytes that goes through it.
func (s *tusServer) behind(box func(w http.ResponseWriter, r *http.Request) bool) *Upload {
	s.t.Helper()
	origin := httptest.NewServer(s)
	s.t.Cleanup(origin.Close)
	target, err := url.Parse(origin.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	pass := httputil.NewSingleHostReverseProxy(target)
	pass.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	pass.FlushInterval = -1
	pass.Transport = &http.Transport{}
	s.t.Cleanup(pass.Transport.(*http.Transport).CloseIdleConnections)
	c := at(s.t, func(w http.ResponseWriter, r *http.Request) {
		if !box(w, r) {
			r.Header.Del("Expect")
			pass.ServeHTTP(w, r)
		}
	})
	content := make([]byte, s.size)
	rand.NewChaCha8([32]byte{7}).Read(content)
	return &Upload{Client: c, URL: "/u", File: bytes.NewReader(content), Size: s.size}
}

// arrived fails unless the server has exactly what the upload sends.
func (s *tusServer) arrived(u *Upload) {
	s.t.Helper()
	want, err := io.ReadAll(io.NewSectionReader(u.File, 0, u.Size))
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sha256.Sum256(want) != sha256.Sum256(s.stored) {
		s.t.Errorf("%d of %d bytes arrived, or others", len(s.stored), u.Size)
	}
}

// page answers as something does that doesn't know the API.
func page(w http.ResponseWriter, status int) bool {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<html><body>%s</body></html>", http.StatusText(status))
	return true
}

// nginx takes bodies of 1 MiB by default.
func TestUploadThroughABodyLimit(t *testing.T) {
	for _, limit := range []int64{1 << 20, 3 << 20, leastPiece} {
		s := newTus(t, 9<<20)
		var refused atomic.Int64
		u := s.behind(func(w http.ResponseWriter, r *http.Request) bool {
			if r.ContentLength <= limit {
				return false
			}
			refused.Add(1)
			return page(w, http.StatusRequestEntityTooLarge)
		})
		if err := u.Run(t.Context()); err != nil {
			t.Fatalf("%d: %v", limit, err)
		}
		s.arrived(u)
		if n := refused.Load(); n == 0 || n > 7 { // from 64 MiB to 512 KiB
			t.Errorf("with a limit of %d bytes %d requests were refused", limit, n)
		}
	}
}

func TestABodyLimitUnderTheLeastPieceIsNamed(t *testing.T) {
	s := newTus(t, 3<<20)
	u := s.behind(func(w http.ResponseWriter, r *http.Request) bool {
		return r.ContentLength > 100_000 && page(w, http.StatusRequestEntityTooLarge)
	})
	err := u.Run(t.Context())
	said, ok := errors.AsType[*video.Error](err)
	if !ok || said.Code != video.TooLarge || !strings.Contains(said.Detail, "512 KiB") || !strings.Contains(said.Detail, "proxy") {
		t.Errorf("got %v", err)
	}
}

// What the gateway itself finds too large doesn't become less by being sent in pieces.
func TestTheGatewaysOwnLimitIsFinal(t *testing.T) {
	s := newTus(t, 3<<20)
	patches := 0
	u := s.behind(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch {
			return false
		}
		patches++
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		fmt.Fprint(w, `{"code":"too_large","detail":"An upload can have at most 1 MB."}`)
		return true
	})
	if err := u.Run(t.Context()); video.CodeOf(err) != video.TooLarge || patches != 1 {
		t.Errorf("%d PATCHes, %v", patches, err)
	}
}

// A proxy that takes a whole request before it passes anything on, and cuts what takes
// long, would let nothing of a large request through.
func TestUploadThroughAProxyThatBuffers(t *testing.T) {
	const life = 600 * time.Millisecond
	s := newTus(t, 12<<20)
	var cut, taken atomic.Int64
	u := s.behind(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch {
			return false
		}
		end := time.Now().Add(life)
		var held bytes.Buffer
		for held.Len() < int(r.ContentLength) {
			n, err := io.CopyN(&held, r.Body, min(32<<10, r.ContentLength-int64(held.Len())))
			if taken.Add(n); err != nil || time.Now().After(end) {
				cut.Add(1)
				panic(http.ErrAbortHandler)
			}
		}
		r.Body = io.NopCloser(&held)
		return false
	})
	u.Rate = 8 << 20
	if err := u.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.arrived(u)
	if cut.Load() == 0 || taken.Load() > 4*s.size {
		t.Errorf("%d requests were cut, %d bytes taken for %d", cut.Load(), taken.Load(), s.size)
	}
}

// A train's network asks to be signed in to in the middle of it all, with 200 for everything.
func TestAPortalIsTakenForNothing(t *testing.T) {
	s := newTus(t, 5<<20)
	var portal, told atomic.Bool
	u := s.behind(func(w http.ResponseWriter, r *http.Request) bool {
		if !portal.Load() {
			return false
		}
		io.Copy(io.Discard, r.Body)
		return page(w, http.StatusOK)
	})
	begun := false
	u.Sent = func(offset int64) {
		if offset >= 1<<20 && !begun {
			begun = true
			portal.Store(true)
		}
	}
	u.Waits = func(why error) {
		if why == nil || told.Swap(true) {
			return
		}
		if !strings.Contains(why.Error(), "in its place") {
			t.Errorf("it waits for %v", why)
		}
		for _, command := range []video.Command{video.Pause, video.Delete} {
			if _, err := u.Client.Command(t.Context(), s.id, command, video.CommandBody{}); video.CodeOf(err) != video.Unavailable {
				t.Errorf("%s is taken for done: %v", command, err)
			}
		}
		if _, err := u.Client.Receipt(t.Context(), s.id); video.CodeOf(err) != video.Unavailable {
			t.Errorf("a page is taken for a receipt: %v", err)
		}
		portal.Store(false)
		for _, command := range []video.Command{video.Pause, video.Delete} {
			if _, err := u.Client.Command(t.Context(), s.id, command, video.CommandBody{}); err != nil {
				t.Errorf("%s: %v", command, err)
			}
		}
	}
	if err := u.Run(t.Context()); err != nil || !told.Load() {
		t.Fatalf("told %v: %v", told.Load(), err)
	}
	s.arrived(u)
}

func TestAProxyThatAsksToSignInIsWaitedFor(t *testing.T) {
	for _, status := range []int{401, 403, 407, 511} {
		s := newTus(t, 1000)
		refused := 0
		u := s.behind(func(w http.ResponseWriter, r *http.Request) bool {
			refused++
			return refused == 1 && page(w, status)
		})
		if err := u.Run(t.Context()); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestUploadWithoutExpect(t *testing.T) {
	s := newTus(t, 5<<20)
	refused := 0
	u := s.behind(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Expect") == "" {
			return false
		}
		refused++
		return page(w, http.StatusExpectationFailed)
	})
	if err := u.Run(t.Context()); err != nil || refused != 1 {
		t.Fatalf("refused %d times: %v", refused, err)
	}
	s.arrived(u)
}

func TestRetryAfterIsHeeded(t *testing.T) {
	for name, header := range map[string]func() string{
		"seconds": func() string { return "2" },
		"a date":  func() string { return time.Now().Add(3 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		s := newTus(t, 1000)
		var refused time.Time
		u := s.behind(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPatch || !refused.IsZero() {
				return false
			}
			refused = time.Now()
			w.Header().Set("Retry-After", header())
			return page(w, http.StatusServiceUnavailable)
		})
		if err := u.Run(t.Context()); err != nil || time.Since(refused) < time.Second {
			t.Errorf("%s: again after %v: %v", name, time.Since(refused), err)
		}
	}
}

// A pause says that it makes no sense to ask again soon; its end is heard of all the same.
func TestTheEndOfAPauseIsHeardOf(t *testing.T) {
	s := newTus(t, 1000)
	s.paused = true
	u := s.behind(func(http.ResponseWriter, *http.Request) bool { return false })
	u.Waits = func(why error) {
		if StatusOf(why) == http.StatusLocked {
			close(s.resume)
		}
	}
	began := time.Now()
	if err := u.Run(t.Context()); err != nil || time.Since(began) > time.Minute {
		t.Fatalf("after %v: %v", time.Since(began), err)
	}
	s.arrived(u)
}

func TestAFileThatChangesIsNotFinished(t *testing.T) {
	s := newTus(t, 3<<20)
	u := s.behind(func(http.ResponseWriter, *http.Request) bool { return false })
	changed, pieces := errors.New("changed"), 0
	u.Unchanged = func() error {
		if pieces++; pieces == 2 {
			return changed
		}
		return nil
	}
	if err := u.Run(t.Context()); !errors.Is(err, changed) {
		t.Fatalf("got %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := int64(len(s.stored)); n < firstPiece || n >= s.size {
		t.Errorf("%d bytes were stored of a file that changed, of %d", n, s.size)
	}
}
