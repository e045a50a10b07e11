package uploads_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/uploads"
	"github.com/reelflow/reelflow/video"
)

// Once every byte is stored the URL alone ends nothing: it stands in many logs by then.
func TestTerminationAfterTheLastByte(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway()
	url, id := g.create(5)
	g.expect(g.patch(url, 0, strings.NewReader("hello")), http.StatusNoContent)
	for _, sent := range []string{"", "Bearer dev:other"} {
		for _, address := range []string{url, url + "?after=1s"} {
			a := g.do("DELETE", address, nil, "Authorization", sent)
			if p := g.problem(a); a.status != 403 || p.Code != video.Forbidden || p.Reason != "uploaded" {
				t.Errorf("as %q: %d %+v", sent, a.status, p)
			}
		}
	}
	g.expect(g.head(url), http.StatusOK)
	g.verifyFinished(id, []byte("hello"))
	g.expect(g.do("DELETE", url, nil), http.StatusNoContent)
	g.expect(g.head(url), http.StatusGone)
	g.expect(g.do("DELETE", url, nil, "Authorization", ""), http.StatusNoContent) // it is canceled already
}

func TestCancelUnlessSomebodyIsBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	g, other := r.gateway(), r.gateway()
	leave := func(after string) string {
		url, _ := g.create(10)
		g.expect(g.patch(url, 0, strings.NewReader("12345")), http.StatusNoContent)
		g.expect(g.do("DELETE", url+"?after="+after, nil), http.StatusNoContent)
		return url
	}
	later := leave("10m")
	here := leave("8s")
	g.expect(g.head(here), http.StatusOK)
	there := leave("8s")
	other.expect(other.head(there), http.StatusOK)
	full := leave("8s")
	g.expect(g.patch(full, 5, strings.NewReader("67890")), http.StatusNoContent)
	nobody := leave("8s") // the last: once its time has come, that of the others has, too
	eventually(t, 60*time.Second, "the upload that nobody came back to is canceled", func() bool { return isGone(t, r, nobody) })
	for name, url := range map[string]string{"here": here, "there": there, "full": full, "later": later} {
		if isGone(t, r, url) {
			t.Errorf("%s is canceled", name)
		}
	}
	g.stop() // forgets what is to come
}

func isGone(t *testing.T, r *rig, url string) bool {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, token := range r.tokens {
		if strings.HasSuffix(url, token) {
			u, err := r.catalog.UploadOf(t.Context(), id)
			check(t, err)
			return u.Ending != ""
		}
	}
	t.Fatalf("no upload %s", url[strings.Index(url, uploads.Path):])
	return false
}

// Only a HEAD that was answered 410 makes a client begin by itself; and it does so at once.
func TestWhatIsNoEcho(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway()
	post := func(length string) int {
		return g.do("POST", g.url+uploads.Path, nil, "Upload-Length", length).status
	}
	url, id := g.create(10)
	check(t, g.Cancel(t.Context(), id))
	g.expect(g.patch(url, 0, strings.NewReader("x")), http.StatusGone)
	g.expect(g.do("DELETE", url, nil), http.StatusNoContent)
	if got := post("10"); got != http.StatusCreated {
		t.Errorf("after a PATCH: %d", got)
	}
	g.expect(g.head(url), http.StatusGone)
	time.Sleep(2100 * time.Millisecond) // two seconds have to pass: later it is somebody's wish
	if got := post("10"); got != http.StatusCreated {
		t.Errorf("after two seconds: %d", got)
	}
}
