package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// What fails around a client while it uploads; one after the other, because all
// of them share what fails.
func TestClientsThroughFaults(t *testing.T) {
	t.Parallel()
	i := start(t, stack.Options{Separate: true, Gateways: 2, Workers: 2, Roles: []string{"control", "transfer"}}).insider()
	d := direct(t)
	kinds := []string{"node"}
	if soaking() {
		d.chromium(t)
		kinds = append(kinds, "chromium")
	}
	for _, kind := range kinds {
		i.play(t, d, kind, false, faults)
	}
}

var faults = []scenario{
	{"the gateway is killed", "", (*scene).gatewayKilled},
	{"the gateway is stopped", "", (*scene).gatewayStopped},
	{"another gateway at the same address", "", (*scene).gatewayReplaced},
	{"another gateway at another address", "", (*scene).gatewayElsewhere},
	{"the gateway is frozen", "", (*scene).gatewayFrozen},
	{"Temporal is down from the beginning", "", (*scene).temporalDown},
	{"the primary store is killed", "", (*scene).storeKilled},
	{"the primary store is frozen", "", (*scene).storeFrozen},
	{"no worker", "", (*scene).noWorker},
}

// halfWay begins an upload that takes some seconds, and returns in its middle.
func (s *scene) halfWay() (c *tusClient, url string, f file) {
	s.t.Helper()
	f, c = s.file(6*mib), s.client()
	s.line.slow(3 * mib)
	c.do(s.send(f))
	url, _ = s.underWay(c)
	return c, url, f
}

// sameUpload waits for the end, which must be that of the upload that was begun.
func (s *scene) sameUpload(c *tusClient, url string, f file) {
	s.t.Helper()
	s.line.slow(0)
	if again := s.persists(c); again != url {
		s.t.Errorf("the upload began at %s and ended at %s", url, again)
	}
	s.arrived(url, f)
}

func (s *scene) gatewayKilled() {
	c, url, f := s.halfWay()
	s.must(s.Gateways[0].Kill())
	time.Sleep(time.Second)
	s.must(s.Gateways[0].Restart(s.ctx))
	s.sameUpload(c, url, f)
}

func (s *scene) gatewayStopped() {
	c, url, f := s.halfWay()
	s.must(s.Gateways[0].Restart(s.ctx))
	s.sameUpload(c, url, f)
}

func (s *scene) gatewayReplaced() {
	c, url, f := s.halfWay()
	s.must(s.Gateways[0].Kill())
	s.line.lead(s.URLs[1])
	again := s.persists(c)
	s.must(s.Gateways[0].Restart(s.ctx))
	if again != url {
		s.t.Errorf("the upload began at %s and ended at %s", url, again)
	}
	s.arrived(url, f)
}

func (s *scene) gatewayElsewhere() {
	c, url, f := s.halfWay()
	s.must(s.Gateways[0].Kill())
	c.kill()
	there := strings.Replace(url, s.line.url(), s.URLs[1], 1)
	c = s.client()
	c.do(s.send(f, options{"uploadUrl": there, "endpoint": s.URLs[1] + "/v1/uploads/"}))
	if again := s.persists(c); again != there {
		s.t.Errorf("the upload went on at %s and ended at %s", there, again)
	}
	s.must(s.Gateways[0].Restart(s.ctx))
	s.arrived(url, f)
}

// The frozen gateway comes back: the catalog's file may be locked by it until then.
func (s *scene) gatewayFrozen() {
	c, url, f := s.halfWay()
	s.must(s.Gateways[0].Freeze())
	thawed := make(chan error, 1)
	time.AfterFunc(8*time.Second, func() { thawed <- s.Gateways[0].Thaw() })
	s.line.lead(s.URLs[1])
	again := s.persists(c)
	s.must(<-thawed)
	if again != url {
		s.t.Errorf("the upload began at %s and ended at %s", url, again)
	}
	time.Sleep(time.Second) // for what it was about to write
	s.arrived(url, f)
}

// The rows are the promise: the life begins when Temporal is there again.
func (s *scene) temporalDown() {
	s.must(s.Parts["temporal"].Kill())
	f, c := s.file(3*mib), s.client()
	c.do(s.send(f, options{"chunkSize": mib}))
	url := s.persists(c)
	id := s.idOf(url)
	s.rests(id, f)
	s.must(s.Parts["temporal"].Restart(s.ctx))
	s.stage(s.api(), id, video.Processing, 2*time.Minute)
	s.arrived(url, f)
}

func (s *scene) storeKilled() {
	c, url, f := s.halfWay()
	s.must(s.Parts["primary"].Kill())
	time.Sleep(2 * time.Second)
	if code := tus(s.t, http.MethodHead, url).StatusCode; code != http.StatusOK {
		s.t.Errorf("HEAD answers %d while the store is down", code)
	}
	s.must(s.Parts["primary"].Restart(s.ctx))
	s.sameUpload(c, url, f)
}

func (s *scene) storeFrozen() {
	c, url, f := s.halfWay()
	s.must(s.Parts["primary"].Freeze())
	time.Sleep(3 * time.Second)
	s.must(s.Parts["primary"].Thaw())
	s.sameUpload(c, url, f)
}

func (s *scene) noWorker() {
	for _, w := range s.Workers {
		s.must(w.Kill())
	}
	f, c := s.file(3*mib), s.client()
	c.do(s.send(f))
	url := c.succeeds()
	s.rests(s.idOf(url), f)
	for _, w := range s.Workers {
		s.must(w.Restart(s.ctx))
	}
	s.arrived(url, f)
}

// Uploads that nobody goes on with expire; one that moves, however slowly, does not.
func TestClientsExpire(t *testing.T) {
	t.Parallel()
	const idle = 8 * time.Second
	i := start(t, stack.Options{Workers: 2, Roles: []string{"control", "transfer"}, Env: []string{"REELFLOW_UPLOAD_IDLE=" + idle.String()}}).insider()
	i.play(t, direct(t), "node", true, []scenario{
		{"abandoned", "", (*scene).abandoned},
		{"slower than the idle time", "", func(s *scene) {
			s.line.slow(256 << 10)
			s.sends(3 * mib)
		}},
	})
}

func (s *scene) abandoned() {
	f, c := s.file(4*mib), s.client()
	s.line.slow(mib)
	c.do(s.send(f))
	url, id := s.underWay(c)
	c.do(order{Do: "abort"})
	c.await("the upload is left alone", is("aborted"))
	answer := tus(s.t, http.MethodHead, url)
	if at, err := http.ParseTime(answer.Header.Get("Upload-Expires")); err != nil || time.Until(at) > 9*time.Second {
		s.t.Errorf("Upload-Expires is %q", answer.Header.Get("Upload-Expires"))
	}
	s.until("the upload has expired", time.Minute, func() bool {
		return tus(s.t, http.MethodHead, url).StatusCode == http.StatusGone
	})
	s.erased(id, time.Minute)
	s.wantReceipt(id, video.ByExpiry)
	c.do(order{Do: "resume"})
	c.fails(http.StatusGone) // once, as after a cancel
	s.line.slow(0)
	c.do(order{Do: "resume"})
	s.arrived(c.succeeds(), f)
}
