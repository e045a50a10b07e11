package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/reelflow/reelflow/video"
)

func at(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := New(server.URL+"/", "dev:me")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

func TestErrorsKeepWhatTheGatewaySaid(t *testing.T) {
	answers := map[string]func(http.ResponseWriter){
		"problem": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(409)
			fmt.Fprint(w, `{"code":"conflict","detail":"Not now."}`)
		},
		"plain": func(w http.ResponseWriter) { w.WriteHeader(502) },
		"tus":   func(w http.ResponseWriter) { w.WriteHeader(423) },
	}
	c := at(t, func(w http.ResponseWriter, r *http.Request) { answers[r.URL.Path[1:]](w) })
	for path, want := range map[string]struct {
		code   video.Code
		status int
	}{"problem": {video.Conflict, 409}, "plain": {video.Unavailable, 502}, "tus": {video.Invalid, 423}} {
		err := c.Call(t.Context(), http.MethodGet, "/"+path, nil, nil)
		if video.CodeOf(err) != want.code || StatusOf(err) != want.status {
			t.Errorf("%s: %v", path, err)
		}
	}
	err := c.Call(t.Context(), http.MethodGet, "/problem", nil, nil)
	if e, ok := errors.AsType[*video.Error](err); !ok || e.Detail != "Not now." {
		t.Errorf("the detail is lost: %v", err)
	}
}

func TestTheTokenGoesToTheGatewayAlone(t *testing.T) {
	var seen string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Get("Authorization") }))
	defer elsewhere.Close()
	c := at(t, func(http.ResponseWriter, *http.Request) {})
	if _, err := c.Fetch(t.Context(), elsewhere.URL); err != nil || seen != "" {
		t.Errorf("%v, sent %q", err, seen)
	}
}

func TestFollowTakesUpABrokenStream(t *testing.T) {
	streams := 0
	c := at(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		streams++
		switch streams {
		case 1: // breaks off in the middle of an event
			fmt.Fprint(w, ": hello\n\nevent: video\ndata: {\"stage\":\"uploading\",\ndata:\"paused\":true}\n\nevent: video\ndata: {\"sta")
		case 2:
			w.WriteHeader(503)
		default:
			fmt.Fprint(w, "event: other\ndata: 1\n\nevent: video\ndata: {\"stage\":\"published\"}\n\nevent: gone\ndata: {}\n\n")
		}
	})
	var seen []string
	err := c.Follow(t.Context(), "x", func(v Video) error {
		seen = append(seen, fmt.Sprint(v.Stage, v.Paused))
		return nil
	})
	if video.CodeOf(err) != video.Gone || fmt.Sprint(seen) != "[uploadingtrue publishedfalse]" {
		t.Errorf("%v %v", seen, err)
	}
	enough := errors.New("enough")
	if err := c.Follow(t.Context(), "x", func(Video) error { return enough }); err != enough {
		t.Error(err)
	}
	if err := c.Follow(t.Context(), "x", func(Video) error { return Done }); err != nil {
		t.Error(err)
	}
}

func TestAFileThatBecomesShorterIsNoticed(t *testing.T) {
	c := at(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Upload-Offset", "0")
		io.Copy(io.Discard, r.Body) // whatever comes
	})
	u := Upload{Client: c, URL: "/u", File: bytes.NewReader(make([]byte, 10)), Size: 20}
	if err := u.Run(t.Context()); video.CodeOf(err) != video.Invalid {
		t.Errorf("got %v", err)
	}
}

// A file without a byte is announced as such: the gateway refuses it before
// anything is made. What it fetches itself has no size until then.
func TestTheSizeOfAnUploadIsAlwaysAnnounced(t *testing.T) {
	var got map[string]map[string]any
	c := at(t, func(w http.ResponseWriter, r *http.Request) {
		got = nil
		json.NewDecoder(r.Body).Decode(&got)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, "{}")
	})
	for _, row := range []struct {
		source    Source
		announced bool
	}{{Source{Filename: "empty.mp4"}, true}, {Source{Size: 7}, true}, {Source{URL: "https://example.org/"}, false}} {
		if _, err := c.Create(t.Context(), NewVideo{Source: row.source}); err != nil {
			t.Fatal(err)
		}
		size, announced := got["source"]["size"]
		if announced != row.announced || announced && size != float64(row.source.Size) || got["source"]["url"] != nil != (row.source.URL != "") {
			t.Errorf("%+v is sent as %v", row.source, got)
		}
	}
}

// Whoever watches is told once why nothing goes, and once that it goes again; a
// length that nobody has announced goes with the bytes.
func TestAnUploadSaysWhyItWaits(t *testing.T) {
	patches, announced := 0, ""
	c := at(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Upload-Offset", "0")
		if r.Method != http.MethodPatch {
			return
		}
		if patches++; patches <= 3 {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(503)
			fmt.Fprint(w, `{"code":"unavailable","detail":"Not now."}`)
			return
		}
		announced = r.Header.Get("Upload-Length")
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Upload-Offset", "10")
	})
	var told []string
	u := Upload{Client: c, URL: "/u", File: bytes.NewReader(make([]byte, 10)), Size: 10, Announce: true,
		Waits: func(why error) { told = append(told, fmt.Sprint(video.CodeOf(why), why == nil)) }}
	if err := u.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(told) != "[unavailablefalse internaltrue]" || announced != "10" {
		t.Errorf("told %v, announced %q", told, announced)
	}
}

func TestAnUploadThatStandsStillIsGivenUp(t *testing.T) {
	c := at(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Upload-Offset", "0")
		if r.Method == http.MethodPatch {
			w.WriteHeader(503)
		}
	})
	u := Upload{Client: c, URL: "/u", File: bytes.NewReader(make([]byte, 10)), Size: 10, Patience: 400 * time.Millisecond}
	if err := u.Run(t.Context()); video.CodeOf(err) != video.Unavailable {
		t.Errorf("got %v", err)
	}
}
