package uploads_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/uploads"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/video"
)

func controlOf(id video.ID, paused bool) catalog.Control {
	return catalog.Control{Video: id, Paused: paused}
}

// trickle sends until the request ends, and returns how many bytes went.
func trickle(s *sending, file []byte) <-chan int {
	sent := make(chan int, 1)
	go func() {
		n := 0
		for n < len(file) {
			k, err := s.Write(file[n:min(n+4096, len(file))])
			if n += k; err != nil {
				break
			}
			time.Sleep(2 * time.Millisecond)
		}
		sent <- n
	}()
	return sent
}

func TestPauseInTheMiddleOfAPatch(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway(func(s *uploads.Settings) { s.FlushAfter = 50 * time.Millisecond })
	file := someFile(20, 4_000_000)
	url, id := g.create(int64(len(file)))
	s := g.send(url, 0)
	trickle(s, file)
	time.Sleep(300 * time.Millisecond)

	began := time.Now()
	check(t, g.control(t.Context(), controlOf(id, true)))
	answer := <-s.answer
	eventually(t, time.Second, "the lease is given back", func() bool {
		leased, err := g.catalog.Leased(t.Context(), id)
		check(t, err)
		return !leased
	})
	took := time.Since(began)
	t.Logf("silent after %v", took)
	g.expect(answer, http.StatusLocked)
	if took > 5*time.Second || answer.header.Get("Retry-After") == "" || !strings.Contains(answer.body, "paused") {
		t.Fatalf("after %v: %+v", took, answer)
	}
	head := g.head(url)
	g.expect(head, http.StatusOK)
	kept := head.offset(t)
	if kept == 0 {
		t.Fatal("nothing was kept")
	}
	g.expect(g.patch(url, kept, bytes.NewReader(file[kept:])), http.StatusLocked)
	if again := g.head(url).offset(t); again != kept {
		t.Fatalf("a paused upload moved from %d to %d", kept, again)
	}
	g.verify(id, file[:kept])

	check(t, g.control(t.Context(), controlOf(id, false)))
	g.expect(g.patch(url, kept, bytes.NewReader(file[kept:])), http.StatusNoContent)
	g.verifyFinished(id, file)
}

// What had come when the pause took hold is stored to its last byte, though most
// of it was still waiting for more or on its way into a slow store.
func TestPauseKeepsEveryByteThatHasCome(t *testing.T) {
	t.Parallel()
	slow := func(op objectstest.Op, _ string) error {
		if op == objectstest.Put {
			time.Sleep(100 * time.Millisecond)
		}
		return nil
	}
	g := newRigOn(t, objectstest.Faulty(objectstest.NewMemory("primary"), slow)).gateway(small)
	file := someFile(27, 2_000_000)
	url, id := g.create(int64(len(file)))
	before := g.taken.Load()
	s := g.send(url, 0)
	const sent = 1_000_000
	if _, err := s.Write(file[:sent]); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "the bytes arrive", func() bool { return g.taken.Load()-before >= sent })
	time.Sleep(150 * time.Millisecond) // for the server to pass on the last of them; not for them to be stored
	began := time.Now()
	check(t, g.control(t.Context(), controlOf(id, true)))
	g.expect(<-s.answer, http.StatusLocked)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("paused after %v", took)
	}
	if kept := g.head(url).offset(t); kept != sent {
		t.Errorf("%d of %d bytes were kept", kept, sent)
	}
	g.verify(id, file[:sent])
	check(t, g.control(t.Context(), controlOf(id, false)))
	g.expect(g.patch(url, sent, bytes.NewReader(file[sent:])), http.StatusNoContent)
	g.verifyFinished(id, file)
}

// The pause can come between the last byte and the end of the upload: then the
// file is whole, and the workflow hears of it after the resume.
func TestPauseAtTheLastByte(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway(small)
	file := someFile(28, 1_000_000)
	url, id := g.create(int64(len(file)))
	s := g.send(url, 0)
	if _, err := s.Write(file); err != nil {
		t.Fatal(err)
	}
	time.Sleep(150 * time.Millisecond) // the body has no end yet
	check(t, g.control(t.Context(), controlOf(id, true)))
	g.expect(<-s.answer, http.StatusLocked)
	if kept := g.head(url).offset(t); kept != int64(len(file)) {
		t.Fatalf("%d of %d bytes were kept", kept, len(file))
	}
	if told := g.timesTold(id); told != 0 {
		t.Errorf("the workflow was told %d times while paused", told)
	}
	check(t, g.control(t.Context(), controlOf(id, false)))
	g.verifyFinished(id, file)
}

func TestDraftIsLikePaused(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway()
	file := someFile(21, 1000)
	url, id := g.create(1000)
	check(t, g.control(t.Context(), catalog.Control{Video: id, Draft: true}))
	g.expect(g.head(url), http.StatusOK)
	refused := g.patch(url, 0, bytes.NewReader(file))
	g.expect(refused, http.StatusLocked)
	if !strings.Contains(string(refused.body), "draft") {
		t.Errorf("refused with %s", refused.body)
	}
	check(t, g.control(t.Context(), controlOf(id, false)))
	g.expect(g.patch(url, 0, bytes.NewReader(file)), http.StatusNoContent)
	g.verifyFinished(id, file)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway()
	file := someFile(22, 4_000_000)
	url, _ := g.create(int64(len(file)))
	s := g.send(url, 0)
	trickle(s, file)
	time.Sleep(100 * time.Millisecond)
	g.expect(g.do("DELETE", url, nil), http.StatusNoContent)
	g.expect(<-s.answer, http.StatusGone)
	g.expect(g.head(url), http.StatusGone)
	g.expect(g.patch(url, 0, bytes.NewReader(file)), http.StatusGone)
	g.expect(g.do("DELETE", url, nil), http.StatusNoContent)
}

// The URL of a purged upload stays known for good, also to a gateway that never saw it.
func TestPurged(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	g := r.gateway()
	url, id := g.create(10)
	g.expect(g.head(url), http.StatusOK)
	check(t, g.Cancel(t.Context(), id))
	check(t, g.catalog.Forget(t.Context(), id, video.Receipt{VideoSHA256: id.Hash()}))
	for _, g := range []*gateway{g, r.gateway()} {
		g.expect(g.head(url), http.StatusGone)
		g.expect(g.patch(url, 0, nil), http.StatusGone)
		g.expect(g.do("DELETE", g.at(url), nil), http.StatusNoContent)
		neverGivenOut := uploads.Path + strings.Repeat("a", 26)
		g.expect(g.head(neverGivenOut), http.StatusNotFound)
		g.expect(g.do("DELETE", g.at(neverGivenOut), nil), http.StatusNotFound)
	}
}

// A client that takes a 410 for a reason to begin anew is stopped once.
func TestEcho(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway()
	name := metadata("filename", "a.mp4")
	post := func(length, name string) int {
		return g.do("POST", g.url+uploads.Path, nil, "Upload-Length", length, "Upload-Metadata", name).status
	}
	url, id := g.create(10, "Upload-Metadata", name)
	check(t, g.Cancel(t.Context(), id))
	g.expect(g.head(url), http.StatusGone)
	for _, step := range []struct {
		length, name string
		status       int
	}{
		{"11", name, 201},
		{"10", metadata("filename", "b.mp4"), 201},
		{"10", name, 410},
		{"10", name, 201},
	} {
		if got := post(step.length, step.name); got != step.status {
			t.Fatalf("%s %s: %d, want %d", step.length, step.name, got, step.status)
		}
	}
}

func TestAnotherGatewayTakesOver(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.gateway(), r.gateway()
	file := someFile(23, 4_000_000)
	url, id := a.create(int64(len(file)))
	s := a.send(url, 0)
	trickle(s, file)
	time.Sleep(200 * time.Millisecond)
	began := time.Now()
	head := b.head(url)
	took := time.Since(began)
	t.Logf("let go after %v", took)
	b.expect(head, http.StatusOK)
	if took > 2500*time.Millisecond {
		t.Errorf("a live gateway let go after %v", took)
	}
	a.expect(<-s.answer, http.StatusLocked)
	offset := head.offset(t)
	if offset == 0 {
		t.Fatal("what the first gateway had is lost")
	}
	b.expect(b.patch(url, offset, bytes.NewReader(file[offset:])), http.StatusNoContent)
	b.verifyFinished(id, file)
}

func TestSecondRequestAtTheSameGateway(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway()
	file := someFile(24, 4_000_000)
	url, id := g.create(int64(len(file)))
	s := g.send(url, 0)
	trickle(s, file)
	time.Sleep(100 * time.Millisecond)
	began := time.Now()
	head := g.head(url)
	if took := time.Since(began); took > time.Second {
		t.Errorf("let go after %v", took)
	}
	g.expect(<-s.answer, http.StatusLocked)
	offset := head.offset(t)
	g.expect(g.patch(url, offset, bytes.NewReader(file[offset:])), http.StatusNoContent)
	g.verifyFinished(id, file)
}

// A gateway that stopped living keeps its connections, and wakes up when another
// has gone on: nothing that it still sends counts, and nothing of it stays.
func TestFrozenGateway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	frozen, _ := r.frozen(func(s *uploads.Settings) { s.SegmentSize = 300_000 })
	live := r.gateway()
	file := someFile(25, 2_000_000)
	url, id := live.create(int64(len(file)))
	s := frozen.send(url, 0)
	if _, err := s.Write(file[:700_000]); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)

	began := time.Now()
	head := live.head(url)
	took := time.Since(began)
	t.Logf("free after %v", took)
	if took > 20*time.Second {
		t.Errorf("a dead gateway's upload was free after %v", took)
	}
	offset := head.offset(t)
	if offset == 0 {
		t.Fatal("what had been committed is lost")
	}
	if _, err := s.Write(file[700_000:1_500_000]); err == nil {
		s.Close()
	}
	frozen.expect(<-s.answer, http.StatusLocked)
	if now := live.head(url).offset(t); now != offset {
		t.Fatalf("a lost lease moved the offset from %d to %d", offset, now)
	}
	live.verify(id, file[:offset])
	live.expect(live.patch(url, offset, bytes.NewReader(file[offset:])), http.StatusNoContent)
	live.verifyFinished(id, file)
}

// A gateway that is told to stop ends its transfers at once, and keeps what came.
func TestShutdown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.gateway(), r.gateway()
	file := someFile(26, 4_000_000)
	url, id := a.create(int64(len(file)))
	s := a.send(url, 0)
	trickle(s, file)
	time.Sleep(200 * time.Millisecond)
	began := time.Now()
	a.stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopped after %v", took)
	}
	a.expect(<-s.answer, http.StatusServiceUnavailable)
	began = time.Now()
	offset := b.head(url).offset(t)
	if took := time.Since(began); took > 5*time.Second || offset == 0 {
		t.Errorf("offset %d after %v", offset, took)
	}
	b.expect(b.patch(url, offset, bytes.NewReader(file[offset:])), http.StatusNoContent)
	b.verifyFinished(id, file)
}

// A person's wish is on record before any workflow knows of it: from then on no byte is
// taken, and the one who sends is told why within a second.
func TestAWishOnRecordInTheMiddleOfAPatch(t *testing.T) {
	for name, c := range map[string]struct {
		ask    func(g *gateway, id video.ID) error
		status int // of whatever is asked of the upload from then on
		head   int
		says   string
	}{
		"a deletion": {func(g *gateway, id video.ID) error {
			_, err := g.catalog.Hide(t.Context(), id)
			return err
		}, http.StatusGone, http.StatusGone, "canceled"},
		"a cancel": {func(g *gateway, id video.ID) error {
			_, _, err := g.catalog.AskCancel(t.Context(), id, false)
			return err
		}, http.StatusGone, http.StatusGone, "canceled"},
		"a cancel that keeps a draft": {func(g *gateway, id video.ID) error {
			_, _, err := g.catalog.AskCancel(t.Context(), id, true)
			return err
		}, http.StatusLocked, http.StatusOK, "draft"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t).gateway(func(s *uploads.Settings) { s.FlushAfter = 50 * time.Millisecond })
			file := someFile(20, 4_000_000)
			url, id := g.create(int64(len(file)))
			s := g.send(url, 0)
			trickle(s, file)
			eventually(t, 20*time.Second, "bytes are stored", func() bool {
				u, err := g.catalog.UploadOf(t.Context(), id)
				check(t, err)
				return u.Offset > 0
			})
			began := time.Now()
			check(t, c.ask(g, id))
			answer := <-s.answer
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			g.expect(answer, c.status)
			if !strings.Contains(answer.body, c.says) {
				t.Errorf("told %s", answer.body)
			}
			g.expect(g.head(url), c.head)
			u, err := g.catalog.UploadOf(t.Context(), id)
			check(t, err)
			if u.Offset == 0 || u.Offset == u.Length {
				t.Fatalf("%d bytes are stored", u.Offset)
			}
			g.expect(g.patch(url, u.Offset, bytes.NewReader(file[u.Offset:])), c.status)
			eventually(t, 5*time.Second, "the lease is given back", func() bool {
				leased, err := g.catalog.Leased(t.Context(), id)
				check(t, err)
				return !leased
			})
			g.verify(id, file[:u.Offset])
		})
	}
}

// A cancel that the workflow refuses opens the gate again: nothing was lost by it.
func TestARefusedCancelOpensTheGateAgain(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway()
	file := someFile(21, 1_000_000)
	url, id := g.create(int64(len(file)))
	g.expect(g.patch(url, 0, bytes.NewReader(file[:1000])), http.StatusNoContent)
	v, _, err := g.catalog.AskCancel(t.Context(), id, true)
	check(t, err)
	g.expect(g.patch(url, 1000, bytes.NewReader(file[1000:])), http.StatusLocked)
	check(t, g.catalog.SettleCancel(t.Context(), v))
	g.expect(g.patch(url, 1000, bytes.NewReader(file[1000:])), http.StatusNoContent)
	g.verifyFinished(id, file)
}
