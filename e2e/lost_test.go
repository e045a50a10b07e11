package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// lossy passes requests on, and breaks the connection instead of giving some of
// the answers back: what was asked for is done, and who asked doesn't know.
type lossy struct {
	*httptest.Server
	mu   sync.Mutex
	lost map[string]int // answers, by what was asked for
	lose func(request *http.Request, before int) bool
}

var errLost = errors.New("the answer is lost")

// newLossy loses answers as lose says, which is told how many of the same request
// have been lost before.
func newLossy(t testing.TB, to string, lose func(request *http.Request, before int) bool) *lossy {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	l := &lossy{lost: map[string]int{}, lose: lose}
	proxy := &httputil.ReverseProxy{
		Transport: judged.over(http.DefaultTransport),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // which is signed, in S3
		},
		ModifyResponse: l.perhaps,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	l.Server = httptest.NewServer(proxy)
	t.Cleanup(func() {
		l.CloseClientConnections()
		l.Close()
	})
	return l
}

func (l *lossy) perhaps(answer *http.Response) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	what := answer.Request.Method + " " + answer.Request.URL.Path + " " + answer.Request.Header.Get("Upload-Offset")
	if answer.StatusCode >= 300 || !l.lose(answer.Request, l.lost[what]) {
		return nil
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	l.lost[what]++
	return errLost
}

func (l *lossy) count(method, path string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for what, times := range l.lost {
		if strings.HasPrefix(what, method+" ") && strings.Contains(what, path) {
			n += times
		}
	}
	return n
}

// Answers are lost at every step: the file survives, once, byte for byte.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	lose := func(r *http.Request, before int) bool {
		return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/source/") && before < 1
	}
	var store *lossy
	i := start(t, stack.Options{Reach: func(s stack.Store) (stack.Store, error) {
		if s.Name != "primary" {
			return s, nil
		}
		store = newLossy(t, s.Endpoint, func(r *http.Request, before int) bool { return lose(r, before) })
		s.URL = strings.Replace(s.URL, hostOf(s.Endpoint), hostOf(store.URL), 1)
		return s, nil
	}}).insider()

	i.part(t, "of the store, once", func(i *insider) {
		f := paddedClip(i.t, "once.mp4", 20*mib)
		id := i.sendTo(i.URLs[0], f)
		i.rests(id, f)
		if n := store.count(http.MethodPut, string(id)); n < 3 {
			i.t.Errorf("%d answers were lost", n)
		}
		i.plainLife(id, f)
	})
	i.part(t, "of the store, for some seconds", func(i *insider) {
		until := time.Now().Add(5 * time.Second)
		store.mu.Lock()
		lose = func(r *http.Request, _ int) bool {
			return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/source/") && time.Now().Before(until)
		}
		store.mu.Unlock()
		f := paddedClip(i.t, "seconds.mp4", 20*mib)
		id := i.sendTo(i.URLs[0], f)
		i.rests(id, f)
		i.gone("me", id, 2*time.Minute)
	})
	i.part(t, "of the gateway", func(i *insider) {
		gateway := newLossy(i.t, i.URLs[0], func(r *http.Request, before int) bool { return r.Method != http.MethodGet && before < 1 })
		f := paddedClip(i.t, "gateway.mp4", 10*mib)
		id := i.sendTo(gateway.URL, f)
		i.rests(id, f)
		for _, method := range []string{http.MethodPost, http.MethodHead, http.MethodPatch} {
			if gateway.count(method, "/v1/") == 0 {
				i.t.Errorf("no answer to a %s was lost", method)
			}
		}
		if mine := i.mine("lost"); len(mine) != 1 {
			i.t.Errorf("there are %d videos of one file", len(mine))
		}
		i.gone("lost", id, 2*time.Minute)
	})
	i.part(t, "signals sent twice", func(i *insider) {
		f := paddedClip(i.t, "signals.mp4", 3*mib)
		id := i.sendTo(i.URLs[0], f)
		p := i.plain(string(id))
		for _, signal := range []string{video.UploadedSignal, "pause", "pause", video.UploadedSignal, "resume", "resume", video.UploadedSignal} {
			p.signal(signal, nil)
		}
		i.plainLife(id, f)
	})
}

func (i *insider) part(t *testing.T, name string, test func(*insider)) {
	t.Run(name, func(t *testing.T) { test(i.in(t)) })
}

// sendTo has somebody upload a file by a gateway's address, one that loses answers perhaps.
func (i *insider) sendTo(address string, f file) video.ID {
	i.t.Helper()
	user := "me"
	if address != i.URLs[0] {
		user = "lost"
	}
	c := i.connect(address, "dev:"+user)
	v, err := c.Create(i.ctx, client.NewVideo{Title: "A clip", AllowDownload: true, Source: client.Source{Size: f.size, SHA256: f.sha256}})
	i.must(err)
	content, err := os.Open(f.path)
	i.must(err)
	defer content.Close()
	target := strings.Replace(v.UploadURL(), i.URLs[0], address, 1)
	i.must((&client.Upload{Client: c, URL: target, File: content, Size: f.size, Patience: 2 * time.Minute}).Run(i.ctx))
	return v.ID
}

func (i *insider) mine(user string) []client.Video {
	i.t.Helper()
	page, _, err := i.as(user).Videos(i.ctx, "", "")
	i.must(err)
	return page
}

// plainLife waits until a file of "me" plays, checks it in every store, and deletes it.
func (i *insider) plainLife(id video.ID, f file) {
	i.t.Helper()
	i.stage(i.as("me"), id, video.Published, 3*time.Minute)
	i.plays(i.as("me"), id)
	i.rests(id, f, i.stores...)
	i.gone("me", id, 2*time.Minute)
}

// A bit of a stored segment turns: it is noticed where it is, whoever reads, and
// nothing that is wrong gets out.
func TestAlteredSegments(t *testing.T) {
	t.Parallel()
	i := start(t, stack.Options{Separate: true}).insider()
	i.part(t, "before it is encoded", (*insider).alteredEarly)
	i.part(t, "before it is copied", (*insider).alteredBetween)
	i.part(t, "after it was published", (*insider).alteredLate)
}

// It does not become a video. Once the store is mended it does.
func (i *insider) alteredEarly() {
	me := i.as("me")
	f := paddedClip(i.t, "early.mp4", 2*mib)
	content, err := os.ReadFile(f.path)
	i.must(err)
	v, err := me.Create(i.ctx, client.NewVideo{Source: client.Source{Size: f.size}})
	i.must(err)
	s := &scene{insider: i}
	s.patch(v.UploadURL(), "0", content[:mib], false)
	mend := i.turn(v.ID, catalog.KindSource, 1000)
	s.patch(v.UploadURL(), fmt.Sprint(mib), content[mib:], false)
	i.stage(me, v.ID, video.Processing, time.Minute)
	i.logs(altered, 0)
	if now, err := me.Video(i.ctx, v.ID); err != nil || now.Stage != video.Processing {
		i.t.Errorf("the altered upload is %s, %v", now.Stage, err)
	}
	if _, err := me.Playback(i.ctx, v.ID); err == nil {
		i.t.Error("the altered upload plays")
	}
	mend()
	i.plainLife(v.ID, f)
}

// logged is how much the worker has written so far.
func (i *insider) logged() int {
	log, err := os.ReadFile(i.Workers[0].Log)
	i.must(err)
	return len(log)
}

// logs waits until the worker's log says something, after what it had written before.
func (i *insider) logs(what string, before int) {
	i.t.Helper()
	i.until("the worker logs "+what, 2*time.Minute, func() bool {
		log, err := os.ReadFile(i.Workers[0].Log)
		return err == nil && strings.Contains(string(log[before:]), what)
	})
}

const altered = "is not what was stored"

// The copy is refused, not made, and the video is not published without it.
func (i *insider) alteredBetween() {
	me, backup := i.as("me"), i.stores[2]
	i.must(i.Parts[backup.Name()].Kill())
	f := paddedClip(i.t, "between.mp4", 2*mib)
	id := i.sendTo(i.URLs[0], f)
	// Now, before the next try begins: one that is under way may have read already.
	i.logs(`"activity":"CopyReplica"`, 0)
	mend, before := i.turn(id, catalog.KindSource, mib), i.logged()
	i.must(i.Parts[backup.Name()].Restart(i.ctx))
	i.logs(altered, before)
	if _, size, err := i.opened(id, backup); err != nil || size != 0 {
		i.t.Errorf("%s has %d bytes of the altered file, %v", backup.Name(), size, err)
	}
	if now, err := me.Video(i.ctx, id); err != nil || now.Stage != video.Publishing {
		i.t.Errorf("without its copy the video is %s, %v", now.Stage, err)
	}
	mend()
	i.plainLife(id, f)
}

// A download breaks off at the chunk.
func (i *insider) alteredLate() {
	me := i.as("me")
	f := paddedClip(i.t, "late.mp4", 2*mib)
	content, err := os.ReadFile(f.path)
	i.must(err)
	id := i.sendTo(i.URLs[0], f)
	i.stage(me, id, video.Published, 3*time.Minute)
	var p struct{ Download string }
	i.must(me.Call(i.ctx, http.MethodGet, "/v1/videos/"+string(id)+"/playback", nil, &p))
	if got, err := i.download(p.Download); err != nil || string(got) != string(content) {
		i.t.Fatalf("the download has %d bytes of %d and is not the file, %v", len(got), len(content), err)
	}
	mend := i.turn(id, catalog.KindSource, mib)
	got, err := i.download(p.Download)
	if err == nil || len(got) > mib || !strings.HasPrefix(string(content), string(got)) {
		i.t.Errorf("of an altered file %d bytes were sent, %v", len(got), err)
	}
	mend()
	i.plainLife(id, f)
}

// download returns what came, also when it broke off.
func (i *insider) download(address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(i.ctx, http.MethodGet, address, nil)
	i.must(err)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", answer.StatusCode)
		got = nil
	}
	return got, err
}

// turn turns a bit of the first object of a kind where it rests in the primary,
// beneath the store itself. What it returns turns it back.
func (i *insider) turn(id video.ID, kind string, at int64) (back func()) {
	i.t.Helper()
	found, err := i.catalog.Objects(i.ctx, id, catalog.Filter{Store: i.stores[0].Name(), Kind: kind, Stored: true})
	i.must(err)
	if len(found) == 0 {
		i.t.Fatalf("there is no %s of %s", kind, id)
	}
	path := filepath.Join(i.dir, "devstack", "stores", i.stores[0].Name(), "data", "reelflow", found[0].Key)
	flip := func() {
		rests, err := os.OpenFile(path, os.O_RDWR, 0)
		i.must(err)
		defer rests.Close()
		one := make([]byte, 1)
		_, err = rests.ReadAt(one, at)
		i.must(err)
		one[0] ^= 1
		_, err = rests.WriteAt(one, at)
		i.must(err)
	}
	flip()
	return flip
}
