package e2e

import (
	"net/http"
	"time"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

// fewOr is how often something random is done.
func fewOr(many int) int {
	if soaking() {
		return many
	}
	return 3
}

// A person stops and goes on at points that nobody chose.
func (s *scene) abortAndResume() {
	f := s.file(int64(6*mib + s.chance.IntN(4*mib)))
	c := s.client()
	n := fewOr(30)
	s.line.slow(f.size * 5 / int64(n+5)) // 200 ms a round, and a second
	o := s.send(f)
	if s.chance.IntN(2) == 0 {
		o.Options["chunkSize"] = 64<<10 + s.chance.IntN(3*mib)
	}
	c.do(o)
	url, _ := s.begun(c)
	for range n {
		time.Sleep(time.Duration(s.chance.IntN(300)) * time.Millisecond)
		c.do(order{Do: "abort"})
		c.await("the upload is aborted", is("aborted"))
		c.do(order{Do: "resume"})
	}
	s.line.slow(0)
	if again := s.persists(c); again != url {
		s.t.Errorf("the upload began at %s and ended at %s", url, again)
	}
	s.arrived(url, f)
}

// A client dies after some bytes; another finds the upload by the file alone.
func (s *scene) dies() {
	f := s.file(int64(4*mib + s.chance.IntN(4*mib)))
	n := fewOr(20)
	s.line.slow(f.size * 3 / int64(n+3))
	c := s.client()
	c.do(s.send(f))
	url, _ := s.underWay(c)
	for range n - 1 {
		c.kill()
		c = s.client()
		s.goesOn(c, f)
		time.Sleep(time.Duration(s.chance.IntN(500)) * time.Millisecond)
	}
	s.line.slow(0)
	if again := s.persists(c); again != url {
		s.t.Errorf("the upload began at %s and ended at %s", url, again)
	}
	s.arrived(url, f)
}

// goesOn has a client take up the upload that it knows of a file.
func (s *scene) goesOn(c *tusClient, f file, more ...options) {
	s.t.Helper()
	o := s.send(f, more...)
	o.Previous = true
	c.do(o)
	if e := c.await("the client knows the file", is("previous")); e.Count != 1 {
		s.t.Fatalf("client %s knows %d uploads of the file", c.name, e.Count)
	}
}

func (s *scene) pageReload() {
	f, c := s.file(4*mib), s.client()
	s.line.slow(2 * mib)
	c.do(s.send(f))
	url, _ := s.underWay(c)
	c.do(order{Do: "reload"})
	c.await("the page is there again", is("here"))
	s.goesOn(c, f)
	if again := s.persists(c); again != url {
		s.t.Errorf("the upload began at %s and ended at %s", url, again)
	}
	if n := c.count(answered(http.MethodPost, http.StatusCreated)); n != 1 {
		s.t.Errorf("%d uploads were made", n)
	}
	s.arrived(url, f)
}

// Two clients that know nothing of each other make two videos of one file.
func (s *scene) twoOfTheSame() {
	f, one, two := s.file(3*mib), s.client(), s.client()
	one.do(s.send(f))
	two.do(s.send(f))
	first, second := one.succeeds(), two.succeeds()
	if first == second {
		s.t.Error("there is one upload for both")
	}
	s.arrived(first, f)
	s.arrived(second, f)
}

// Two clients at one upload take it from each other; the file is there once.
func (s *scene) twoOnOne() {
	f, one, two := s.file(6*mib), s.client(), s.client()
	v, err := s.api().Create(s.ctx, client.NewVideo{Source: client.Source{Size: f.size}})
	s.must(err)
	s.line.slow(4 * mib)
	one.do(s.send(f, options{"uploadUrl": v.UploadURL(), "chunkSize": mib}))
	two.do(s.send(f, options{"uploadUrl": v.UploadURL()}))
	s.persists(one)
	s.persists(two)
	s.arrived(v.UploadURL(), f)
}

func (s *scene) sameFingerprint() {
	f, one, two := s.file(4*mib), s.client(), s.client()
	s.line.slow(2 * mib)
	one.do(s.send(f))
	url, _ := s.underWay(one)
	s.goesOn(two, f)
	if again := s.persists(two); again != url {
		s.t.Errorf("the upload began at %s and ended at %s", url, again)
	}
	s.persists(one)
	s.arrived(url, f)
}

// quick makes a client give up soon.
var quick = options{"retryDelays": []int{0, 100, 200}}

// A client gives up after its own tries, while the upload stays, and goes on when
// the video's status says that it may.
func (s *scene) paused() {
	f, c := s.file(4*mib), s.client()
	s.line.slow(mib)
	c.do(s.send(f, quick))
	url, id := s.underWay(c)
	if v := s.ask(s.api(), id, video.Pause); !v.Paused {
		s.t.Error("the answer to pause doesn't say paused")
	}
	c.fails(http.StatusLocked)
	at := s.offsetAt(url)
	if code := tus(s.t, http.MethodPatch, url, "Upload-Offset", at).StatusCode; code != http.StatusLocked {
		s.t.Errorf("PATCH while paused answers %d", code)
	}
	if now := s.offsetAt(url); now != at {
		s.t.Errorf("while paused the upload went on from %s to %s", at, now)
	}
	s.ask(s.api(), id, video.Resume)
	s.until("the status says that it goes on", 20*time.Second, func() bool {
		v, err := s.api().Video(s.ctx, id)
		return err == nil && !v.Paused
	})
	s.line.slow(0)
	c.do(order{Do: "resume"})
	s.arrived(c.succeeds(), f)
}

// A pause shorter than a client's patience is nothing that it would notice.
func (s *scene) pausedForAMoment() {
	f, c := s.file(4*mib), s.client()
	s.line.slow(2 * mib)
	c.do(s.send(f))
	_, id := s.underWay(c)
	s.ask(s.api(), id, video.Pause)
	time.Sleep(300 * time.Millisecond)
	s.ask(s.api(), id, video.Resume)
	s.arrived(c.succeeds(), f)
}

// A client whose upload was canceled stops, also one that begins anew by itself:
// it is refused once. After that it is a person who means it.
func (s *scene) canceled() {
	f, c := s.file(4*mib), s.client()
	s.line.slow(mib)
	c.do(s.send(f))
	url, id := s.underWay(c)
	s.ask(s.api(), id, video.Cancel)
	c.fails(http.StatusGone)
	if c.count(answered(http.MethodPost, http.StatusGone)) == 0 {
		c.do(order{Do: "resume"})
		c.fails(http.StatusGone)
	}
	if n := c.count(answered(http.MethodPost, http.StatusGone)); n != 1 {
		s.t.Errorf("beginning anew was refused %d times\n%s", n, c.story())
	}
	if n := c.count(answered(http.MethodPost, http.StatusCreated)); n != 1 {
		s.t.Errorf("%d uploads were made", n)
	}
	s.ended.add(id)
	s.line.slow(0)
	c.do(order{Do: "resume"})
	s.arrived(c.succeeds(), f)
	if code := tus(s.t, http.MethodHead, url).StatusCode; code != http.StatusGone {
		s.t.Errorf("HEAD answers %d", code)
	}
}

func (s *scene) keptAsDraft() {
	f, c := s.file(4*mib), s.client()
	s.line.slow(mib)
	c.do(s.send(f, quick))
	url, id := s.underWay(c)
	_, err := s.api().Command(s.ctx, id, video.Cancel, video.CommandBody{KeepDraft: true})
	s.must(err)
	c.fails(http.StatusLocked)
	s.offsetAt(url)
	s.ask(s.api(), id, video.Resume)
	s.line.slow(0)
	c.do(order{Do: "resume"})
	s.arrived(c.succeeds(), f)
}

func (s *scene) terminated() {
	f, c := s.file(4*mib), s.client()
	s.line.slow(mib)
	c.do(s.send(f))
	url, id := s.underWay(c)
	c.do(order{Do: "abort", Terminate: true})
	c.await("the upload is given up", is("aborted"))
	s.ended.add(id)
	if code := tus(s.t, http.MethodHead, url).StatusCode; code != http.StatusGone {
		s.t.Errorf("HEAD answers %d", code)
	}
	another := s.client() // which has the URL only
	another.do(order{Do: "terminate", URL: url, Options: options{"retryDelays": []int{0}}})
	another.await("giving it up again is no error", is("terminated"))
}

func (s *scene) deletedByAPI() {
	f, c := s.file(4*mib), s.client()
	s.line.slow(mib)
	c.do(s.send(f))
	_, id := s.underWay(c)
	s.ends(id)
	c.fails(http.StatusGone)
}

// What has come of a slow client is safe after seconds.
func (s *scene) slow() {
	f, c := s.file(4*mib), s.client()
	s.line.slow(256 << 10)
	c.do(s.send(f))
	_, id := s.begun(c)
	s.until("bytes are stored while the PATCH goes on", 30*time.Second, func() bool { return s.offset(s.api(), id) > 0 })
	if n := c.count(is("answer")); n != 1 {
		s.t.Errorf("the PATCH has ended\n%s", c.story())
	}
	s.line.slow(0)
	s.arrived(c.succeeds(), f)
}

func (s *scene) cutAgainAndAgain() {
	f, c, n := s.file(8*mib), s.client(), fewOr(30)
	s.line.slow(f.size * 3 / int64(n+3))
	c.do(s.send(f))
	url, _ := s.begun(c)
	for range n {
		time.Sleep(time.Duration(s.chance.IntN(600)) * time.Millisecond)
		s.line.cut(time.Duration(s.chance.IntN(300)) * time.Millisecond)
	}
	s.line.slow(0)
	s.persists(c)
	s.arrived(url, f)
}

func (s *scene) connectionsReset() {
	f, c := s.file(8*mib), s.client()
	s.line.slow(4 * mib)
	c.do(s.send(f, options{"chunkSize": mib}))
	url, _ := s.underWay(c)
	s.line.reset(50 * time.Millisecond)
	time.Sleep(2 * time.Second)
	s.line.clear("reset")
	s.line.slow(0)
	s.persists(c)
	s.arrived(url, f)
}

// A page of another origin reads all that tus and a status need.
func (s *scene) otherOrigins() {
	f, c := s.file(2*mib), s.client()
	url := s.half(f, c)
	c.do(order{Do: "fetch", URL: url, Options: options{"method": "HEAD", "headers": map[string]string{"Tus-Resumable": "1.0.0"}}})
	e := c.await("the page has an answer", is("fetched"))
	for _, name := range []string{"upload-offset", "upload-length", "upload-expires", "tus-resumable", "reelflow-video"} {
		if e.Headers[name] == "" {
			s.t.Errorf("the page can't read %s of %v", name, e.Headers)
		}
	}
	if at, err := http.ParseTime(e.Headers["upload-expires"]); err != nil || time.Until(at) < time.Hour {
		s.t.Errorf("Upload-Expires is %q", e.Headers["upload-expires"])
	}
	s.ends(s.idOf(url))
}

// Uppy pauses and goes on by its own button.
func (s *scene) uppy() {
	f, c := s.file(6*mib), s.client()
	s.line.slow(4 * mib)
	o := s.send(f)
	o.Do = "uppy"
	delete(o.Options, "metadata")
	c.do(o)
	time.Sleep(600 * time.Millisecond)
	c.do(order{Do: "toggle"})
	c.await("it is paused", is("aborted"))
	time.Sleep(300 * time.Millisecond)
	c.do(order{Do: "toggle"})
	c.await("it goes on", is("resumed"))
	s.arrived(c.succeeds(), f)
}
