package uploads_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/internal/gateway/uploads"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/video"
)

// problem reads a refusal, which has to be whole, whoever refused.
func (g *gateway) problem(a reply) problem.Problem {
	g.t.Helper()
	var p problem.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		g.t.Fatalf("%d is no problem: %v: %q", a.status, err, a.body)
	}
	if p.Type != "about:blank" || p.Title == "" || p.Status != a.status || p.Code == "" || p.Detail == "" || a.header.Get("Content-Type") != problem.MediaType {
		g.t.Errorf("%d %s %+v", a.status, a.header.Get("Content-Type"), p)
	}
	if strings.Contains(a.body, "ERR_") {
		g.t.Errorf("the library's own words: %s", a.body)
	}
	return p
}

// Whether tusd refuses, the gate or the host: it is a problem with code and reason, and pages
// of other sites can read it.
func TestEveryRefusalIsAProblem(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway(func(s *uploads.Settings) { s.MaxBytes = 1_000_000 })
	base := g.url + uploads.Path
	url, _ := g.create(1000)
	paused, id := g.create(1000)
	check(t, g.control(t.Context(), controlOf(id, true)))
	gone, id := g.create(1000)
	check(t, g.Cancel(t.Context(), id))
	draft := func(more ...string) []string {
		return append([]string{"Tus-Resumable", "", "Upload-Draft-Interop-Version", "6", "Upload-Complete", "?1"}, more...)
	}
	for _, bad := range []struct {
		method, url string
		headers     []string
		status      int
		code        video.Code
		reason      string
	}{
		{"POST", base, nil, 400, video.Invalid, ""},
		{"POST", base, []string{"Upload-Length", "5", "Upload-Defer-Length", "1"}, 400, video.Invalid, ""},
		{"POST", base, []string{"Upload-Length", "5", "Tus-Resumable", "0.2"}, 412, video.Invalid, "tus_version"},
		{"POST", base, []string{"Upload-Length", "5", "Authorization", ""}, 401, video.Unauthenticated, ""},
		{"POST", base, []string{"Upload-Length", "5", "X-HTTP-Method-Override", "PATCH"}, 405, video.Invalid, ""},
		{"POST", base, []string{"Upload-Length", "2000000"}, 413, video.TooLarge, ""},
		{"POST", base, draft("Content-Type", "video/mp4;;=\"", "Upload-Length", "1"), 400, video.Invalid, ""},
		{"POST", base, draft("Content-Disposition", "attachment; filename=\"a", "Upload-Length", "1"), 400, video.Invalid, ""},
		{"POST", base, draft("Upload-Length", "many"), 400, video.Invalid, ""},
		{"POST", url, nil, 405, video.Invalid, ""},
		{"PATCH", url, patchHeaders(7), 409, video.Conflict, "offset"},
		{"PATCH", url, patchHeaders(0, "Tus-Resumable", "2"), 412, video.Invalid, "tus_version"},
		{"PATCH", url, patchHeaders(0, "Content-Type", "video/mp4"), 415, video.UnsupportedMedia, ""},
		{"PATCH", url, patchHeaders(0, "Upload-Offset", "x"), 400, video.Invalid, ""},
		{"PATCH", url, patchHeaders(0, "Upload-Length", "1000"), 400, video.Invalid, ""},
		{"PATCH", url, patchHeaders(0, "Upload-Checksum", "md5 "+strings.Repeat("A", 22)+"=="), 460, video.Invalid, "checksum"},
		{"PATCH", paused, patchHeaders(0), 423, video.Conflict, "paused"},
		{"PATCH", gone, patchHeaders(0), 410, video.Gone, ""},
		{"PATCH", base + strings.Repeat("a", 26), patchHeaders(0), 404, video.NotFound, ""},
		{"DELETE", url, []string{"Tus-Resumable", ""}, 412, video.Invalid, "tus_version"},
		{"DELETE", url + "?after=never", nil, 400, video.Invalid, ""},
	} {
		a := g.do(bad.method, bad.url, strings.NewReader("x"), append(bad.headers, "Origin", "https://a.example")...)
		if a.header.Get("Access-Control-Allow-Origin") != "https://a.example" || !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "Retry-After") {
			t.Errorf("%s %v: %d can't be read by pages: %v", bad.method, bad.headers, a.status, a.header)
		}
		if p := g.problem(a); a.status != bad.status || p.Code != bad.code || p.Reason != bad.reason {
			t.Errorf("%s %v: %d %+v, want %d %s %q", bad.method, bad.headers, a.status, p, bad.status, bad.code, bad.reason)
		}
	}
}

// A chunked body that isn't one is the client's fault.
func TestMalformedBody(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway()
	url, id := g.create(1000)
	c := g.dial("PATCH", url, "Transfer-Encoding: chunked", "Upload-Offset: 0", "Content-Type: application/offset+octet-stream")
	c.write("5\r\nhello\r\nno size\r\n")
	a := c.answer()
	g.expect(a, http.StatusBadRequest)
	g.problem(a)
	g.verify(id, []byte("hello"))
}

// What tusd or the store can't do must not read as the client's fault, nor tell of our insides.
func TestAFaultOfOurs(t *testing.T) {
	t.Parallel()
	x := &trouble{every: 1, with: io.ErrShortWrite}
	g := newRigOn(t, objectstest.Faulty(objectstest.NewMemory("primary"), x.fault)).gateway()
	url, _ := g.create(1000)
	x.on.Store(true)
	a := g.patch(url, 0, bytes.NewReader(someFile(40, 1000)))
	if p := g.problem(a); a.status != 500 || p.Code != video.Internal || strings.Contains(a.body, io.ErrShortWrite.Error()) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestMetadataThatCantBeRead(t *testing.T) {
	t.Parallel()
	g := newRig(t).gateway()
	for sent, key := range map[string]string{
		"title %%%":                               "title",
		"filename YQ==,title":                     "",
		"title YQ==,title Yg==":                   "title",
		"title YQ==,filename YQ==, title":         "title",
		"title YQ== YQ==":                         "title",
		"caption " + strings.Repeat("QUFB", 1025): "Upload-Metadata",
	} {
		a := g.do("POST", g.url+uploads.Path, nil, "Upload-Length", "5", "Upload-Metadata", sent)
		if key == "" {
			g.expect(a, http.StatusCreated)
			continue
		}
		g.expect(a, http.StatusBadRequest)
		p := g.problem(a)
		if !strings.Contains(p.Detail, key) || key == "title" && (len(p.Errors) != 1 || p.Errors[0].Location != "Upload-Metadata.title") {
			t.Errorf("%q: %+v", sent, p)
		}
	}
}
