package gateway

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

// schemaOf is a schema of the document, as far as it is looked at here.
type schemaOf struct {
	Properties map[string]struct {
		Ref string `json:"$ref"`
	}
}

// schemas reads the document that the gateway gives to programs.
func (s *site) schemas() map[string]schemaOf {
	s.t.Helper()
	var document struct {
		Components struct{ Schemas map[string]schemaOf }
	}
	if err := json.Unmarshal(s.request("", "GET", "/openapi.json", "").body, &document); err != nil {
		s.t.Fatal(err)
	}
	return document.Components.Schemas
}

// fields are the names in a JSON object, without those that only tell its schema.
func fields[T any](of map[string]T) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(of)), func(name string) bool { return strings.HasPrefix(name, "$") })
}

// Go's client says everything that the document lets a program say of a new video,
// and nothing else; so does what it sends with a command.
func TestTheClientSaysWhatTheDocumentDescribes(t *testing.T) {
	s := newSite(t)
	schemas := s.schemas()
	now := time.Now()
	whole := client.NewVideo{
		Title: "t", Caption: "c", Hashtags: []string{"h"}, Music: "m", Visibility: "private", PublishAt: &now, PublishDelay: "1m",
		Review: true, Reviewers: []string{"r"}, KeepDraft: true, AllowDownload: true, Protect: true,
		Source: client.Source{Size: 1, Filename: "f", ContentType: "video/mp4", SHA256: strings.Repeat("0", 64), URL: "https://example.org/"},
	}
	encoded, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	var sent map[string]json.RawMessage
	var source map[string]any
	if err := json.Unmarshal(encoded, &sent); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(sent["source"], &source); err != nil {
		t.Fatal(err)
	}
	if got, want := fields(sent), fields(schemas["NewVideo"].Properties); len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("the client sends %v, described are %v", got, want)
	}
	if got, want := fields(source), fields(schemas["Source"].Properties); len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("the client sends the source %v, described are %v", got, want)
	}
}

// What the gateway answers is what the client reads, and what the document describes.
func TestTheClientReadsWhatTheDocumentDescribes(t *testing.T) {
	s := newSite(t)
	me, err := client.New(s.url, "dev:owner")
	if err != nil {
		t.Fatal(err)
	}
	made, err := me.Create(t.Context(), client.NewVideo{Title: "Waves", Visibility: "private", PublishDelay: "90s",
		Reviewers: []string{"reviewer"}, Source: client.Source{Size: 7, Filename: "a.mp4"}})
	if err != nil {
		t.Fatal(err)
	}
	if made.Title != "Waves" || made.Visibility != "private" || !made.Review || made.UploadURL() == "" || *made.Upload.Length != 7 {
		t.Errorf("%s", made.Raw)
	}
	var answered map[string]json.RawMessage
	if err := json.Unmarshal(made.Raw, &answered); err != nil {
		t.Fatal(err)
	}
	if got, want := fields(answered), fields(s.schemas()["Video"].Properties); !slices.Equal(got, want) {
		t.Errorf("answered are %v, described %v", got, want)
	}
	for _, body := range [][]byte{made.Raw, s.request("owner", "GET", "/v1/videos/"+url.PathEscape(string(made.ID)), "").body} {
		reader := json.NewDecoder(strings.NewReader(string(body)))
		reader.DisallowUnknownFields()
		var known struct {
			Schema string `json:"$schema"`
			video.Video
		}
		if err := reader.Decode(&known); err != nil {
			t.Errorf("the client doesn't know all of it: %v", err)
		}
	}
	for _, command := range []video.Command{video.Pause, video.Cancel} { // a draft can't be paused
		v, err := me.Command(t.Context(), made.ID, command, video.CommandBody{KeepDraft: command == video.Cancel})
		if err != nil || v.ID != made.ID {
			t.Errorf("%s: %s, %v", command, v.Raw, err)
		}
	}
	if v := s.video(s.request("owner", "GET", "/v1/videos/"+string(made.ID), ""), http.StatusOK); v.Stage != video.Draft {
		t.Errorf("canceled to be kept, it is %s", v.Stage)
	}
}
