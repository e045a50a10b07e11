package gateway

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/about"
	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/video"
)

func metadata(pairs ...string) string {
	var all []string
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, pairs[i]+" "+base64.StdEncoding.EncodeToString([]byte(pairs[i+1])))
	}
	return strings.Join(all, ",")
}

// said checks that HEAD repeats an upload's metadata, in whatever order.
func (s *site) said(address, want string) {
	s.t.Helper()
	got := strings.Split(s.tus("", "HEAD", address, "").header.Get("Upload-Metadata"), ",")
	wanted := strings.Split(want, ",")
	slices.Sort(got)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		s.t.Errorf("Upload-Metadata is %q, and %q was sent", got, wanted)
	}
}

func (s *site) tus(as, method, address, body string, headers ...string) answer {
	return s.request(as, method, address, body, append([]string{"Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream"}, headers...)...)
}

func TestAPlainTusClient(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.refusal(s.tus("", "POST", "/v1/uploads/", "", "Upload-Length", "11"), video.Unauthenticated)
	about := metadata("filename", "waves.mp4", "filetype", "video/mp4", "title", "Waves", "caption", "ünder wàter")
	made := s.tus("owner", "POST", "/v1/uploads/", "", "Upload-Length", "11", "Upload-Metadata", about)
	id, location := made.header.Get("Reelflow-Video"), made.header.Get("Location")
	if made.status != 201 || id == "" || location == "" {
		t.Fatalf("%d %v %s", made.status, made.header, made.body)
	}
	v := s.video(s.request("owner", "GET", "/v1/videos/"+id, ""), 200)
	if v.Title != "Waves" || v.Caption != "ünder wàter" || *v.Upload.URL != location {
		t.Errorf("%+v, Location %s", v, location)
	}
	s.said(location, about)
	if sent := s.tus("", "PATCH", location, "hello ", "Upload-Offset", "0"); sent.status != 204 {
		t.Fatalf("%d %s", sent.status, sent.body)
	}
	v = s.video(s.request("owner", "GET", "/v1/videos/"+id, ""), 200)
	if v.Upload.Offset != 6 || v.Progress.Unit != "bytes" || v.Progress.Done != 6 || v.Progress.Total != 11 {
		t.Errorf("%+v %+v", v.Upload, v.Progress)
	}
	if primary, backup := v.Replicas[0], v.Replicas[1]; primary.State != "copying" || primary.Objects != 1 || primary.Bytes <= 6 || backup.State != "pending" || backup.Objects != 0 {
		t.Errorf("the stores hold %+v", v.Replicas)
	}
	s.video(s.request("owner", "POST", "/v1/videos/"+id+"/pause", ""), 200)
	if sent := s.tus("", "PATCH", location, "world", "Upload-Offset", "6"); sent.status != 423 {
		t.Errorf("while paused: %d", sent.status)
	}
	s.video(s.request("owner", "POST", "/v1/videos/"+id+"/resume", ""), 200)
	if sent := s.tus("", "PATCH", location, "world", "Upload-Offset", "6"); sent.status != 204 {
		t.Fatalf("%d %s", sent.status, sent.body)
	}
	s.lives.mu.Lock()
	defer s.lives.mu.Unlock()
	if s.lives.uploaded[video.ID(id)] == 0 {
		t.Error("the life was not told")
	}
}

func TestUploadOfAnAnnouncedVideo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.made("owner", `{"title":"Waves","source":{"size":5}}`)
	post := func(as, id, length string) answer {
		return s.tus(as, "POST", "/v1/uploads/", "", "Upload-Length", length, "Upload-Metadata", metadata("video_id", id))
	}
	for range 2 {
		if got := post("owner", string(v.ID), "5"); got.status != 201 || got.header.Get("Location") != *v.Upload.URL {
			t.Errorf("%d %v", got.status, got.header)
		}
	}
	s.said(*v.Upload.URL, metadata("video_id", string(v.ID)))
	s.refusal(post("other", string(v.ID), "5"), video.NotFound)
	s.refusal(post("owner", string(v.ID), "6"), video.Conflict)
	s.refusal(post("owner", string(video.NewID()), "5"), video.NotFound)
	s.refusal(post("owner", "abc", "5"), video.NotFound)
	if got := s.tus("", "DELETE", *v.Upload.URL, ""); got.status != 204 {
		t.Errorf("cancel: %d %s", got.status, got.body)
	}
	if got := s.tus("", "HEAD", *v.Upload.URL, "", "Authorization", "Bearer nonsense"); got.status != 410 {
		t.Errorf("HEAD after cancel: %d", got.status)
	}
	s.move(v.ID, video.Purged)
	if got := s.tus("", "DELETE", *v.Upload.URL, ""); got.status != 204 {
		t.Errorf("cancel after the purge: %d", got.status)
	}
	if got := s.tus("", "HEAD", *v.Upload.URL, ""); got.status != 410 {
		t.Errorf("HEAD after the purge: %d", got.status)
	}
	s.refusal(s.tus("", "PATCH", *v.Upload.URL, "x", "Upload-Offset", "0"), video.Gone)
	s.refusal(post("owner", string(v.ID), "5"), video.Gone)
}

// What an author says of a file rests sealed, its hash too.
func TestUploadRestsSealed(t *testing.T) {
	t.Parallel()
	s, sum := newSite(t), sha256.Sum256([]byte("waves"))
	announced := s.made("owner", `{"source":{"size":5,"filename":"waves.mp4","sha256":"`+hex.EncodeToString(sum[:])+`"}}`)
	made := s.tus("owner", "POST", "/v1/uploads/", "", "Upload-Length", "5", "Upload-Metadata", metadata("filename", "waves.mp4"))
	for _, id := range []video.ID{announced.ID, video.ID(made.header.Get("Reelflow-Video"))} {
		u, err := s.catalog.UploadOf(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if row := string(slices.Concat(u.Sealed, u.ExpectedSHA256)); strings.Contains(row, "waves") || strings.Contains(row, string(sum[:])) {
			t.Errorf("%q", row)
		}
		_, hash, err := manifest.UploadHashes(t.Context(), s.vault, u)
		if want := id == announced.ID; err != nil || want != bytes.Equal(hash, sum[:]) {
			t.Errorf("announced %x, %v", hash, err)
		}
	}
}

func TestUploadsThatCanNeverBecomeVideos(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.refusal(s.tus("owner", "POST", "/v1/uploads/", "", "Upload-Length", "0"), video.Invalid)
	s.refusal(s.tus("owner", "POST", "/v1/uploads/", "", "Upload-Length", "99999999"), video.TooLarge)
	all, _, err := s.catalog.Videos(t.Context(), catalog.Query{})
	if err != nil || len(all) != 0 {
		t.Errorf("left behind: %v %v", all, err)
	}
}

// Whatever can be said by POST /v1/videos a plain tus client says by the same names.
func TestMetadataSaysAllThatPOSTSays(t *testing.T) {
	t.Parallel()
	s, sum := newSite(t), sha256.Sum256([]byte("waves"))
	described := []string{
		"title", "Waves", "caption", "ünder wàter", "hashtags", "sea, #sun", "music", "Surf", "visibility", "private",
		"publish_at", "2099-01-02T03:04:05+01:00", "publish_delay", "90", "reviewers", "ann,ben", "keep_draft", "true",
		"allow_download", "true", "protect", "false", "review", "true", "filename", "waves.mp4", "filetype", "video/mp4", "sha256", hex.EncodeToString(sum[:]),
	}
	made := s.tus("owner", "POST", "/v1/uploads/", "", "Upload-Length", "5", "Upload-Metadata", metadata(described...))
	if made.status != 201 {
		t.Fatalf("%d %s", made.status, made.body)
	}
	s.said(made.header.Get("Location"), metadata(described...))
	row, err := s.catalog.Video(t.Context(), video.ID(made.header.Get("Reelflow-Video")))
	if err != nil {
		t.Fatal(err)
	}
	announced := s.made("owner", `{"title":"Waves","caption":"ünder wàter","hashtags":["sea","#sun"],"music":"Surf","visibility":"private",
		"publish_at":"2099-01-02T03:04:05+01:00","publish_delay":90,"reviewers":["ann","ben"],"keep_draft":true,"allow_download":true,
		"review":true,"source":{"size":5,"filename":"waves.mp4","content_type":"video/mp4","sha256":"`+hex.EncodeToString(sum[:])+`"}}`)
	want, err := s.catalog.Video(t.Context(), announced.ID)
	if err != nil {
		t.Fatal(err)
	}
	if row.Visibility != want.Visibility || !row.PublishAt.Equal(want.PublishAt) || *row.PublishDelay != *want.PublishDelay ||
		!row.KeepDraft || !row.AllowDownload || !row.Review || row.Visibility != "private" {
		t.Errorf("%+v, want %+v", row, want)
	}
	got, err := about.Open(t.Context(), s.vault, row.ID, row.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := about.Open(t.Context(), s.vault, want.ID, want.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	got.Request, wanted.Request = nil, nil
	if !reflect.DeepEqual(got, wanted) {
		t.Errorf("%+v, want %+v", got, wanted)
	}
	for _, id := range []video.ID{row.ID, want.ID} {
		u, err := s.catalog.UploadOf(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if _, announced, err := manifest.UploadHashes(t.Context(), s.vault, u); err != nil || !bytes.Equal(announced, sum[:]) {
			t.Errorf("the SHA-256 that was announced is %x: %v", announced, err)
		}
	}
}

// What isn't known or can't be used is said, with its key, instead of being dropped: a
// video would be public whose author asked for the contrary.
func TestMetadataThatCantBeUsed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.made("owner", `{"source":{"size":5}}`)
	for _, x := range []struct{ key, value, with string }{
		{key: "visibilty", value: "private"}, {key: "is_draft"}, {key: "url", value: "https://a.example/"},
		{key: "visibility", value: "secret"}, {key: "visibility"}, {key: "review", value: "yes"}, {key: "keep_draft"},
		{key: "publish_at", value: "tomorrow"}, {key: "publish_delay", value: "soon"}, {key: "publish_delay", value: "NaN"},
		{key: "title", value: strings.Repeat("ü", 201)}, {key: "title", value: "\xff"}, {key: "title", value: "a\x00b"},
		{key: "filename", value: strings.Repeat("a", 256)}, {key: "filetype", value: strings.Repeat("a", 128)},
		{key: "hashtags", value: strings.Repeat("a,", 51)}, {key: "hashtags", value: "two words"}, {key: "reviewers", value: "a/b"},
		{key: "sha256", value: "12"}, {key: "publish_delay", value: "-1"},
		{"visibility", "private", string(v.ID)}, {"sha256", strings.Repeat("a", 64), string(v.ID)}, {"odd", "x", string(v.ID)},
	} {
		said := metadata(x.key, x.value)
		if x.with != "" {
			said += "," + metadata("video_id", x.with)
		}
		p := s.refusal(s.tus("owner", "POST", "/v1/uploads/", "", "Upload-Length", "5", "Upload-Metadata", said), video.Invalid)
		if !strings.Contains(p.Detail, x.key) {
			t.Errorf("%s %q: %q doesn't name the key", x.key, x.value, p.Detail)
		}
	}
	all, _, err := s.catalog.Videos(t.Context(), catalog.Query{})
	if err != nil || len(all) != 1 {
		t.Errorf("left behind: %v %v", all, err)
	}
}

// What Uppy and others send with every file says no more than our own names do.
func TestMetadataOfCommonClients(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, said := range []string{
		metadata("relativePath", "null", "name", "waves.mp4", "type", "video/mp4"),
		metadata("relativePath", "null", "name", "other.mp4", "type", "text/html", "filename", "waves.mp4", "filetype", "video/mp4"),
	} {
		made := s.tus("owner", "POST", "/v1/uploads/", "", "Upload-Length", "5", "Upload-Metadata", said)
		if made.status != 201 {
			t.Fatalf("%d %s", made.status, made.body)
		}
		row, err := s.catalog.Video(t.Context(), video.ID(made.header.Get("Reelflow-Video")))
		if err != nil {
			t.Fatal(err)
		}
		if a, err := about.Open(t.Context(), s.vault, row.ID, row.Sealed); err != nil || a.Filename != "waves.mp4" || a.ContentType != "video/mp4" {
			t.Errorf("%+v %v", a, err)
		}
	}
	v := s.made("owner", `{"source":{"size":5}}`)
	if got := s.tus("owner", "POST", "/v1/uploads/", "", "Upload-Length", "5", "Upload-Metadata",
		metadata("video_id", string(v.ID), "filename", "waves.mp4", "relativePath", "null")); got.status != 201 {
		t.Errorf("beside video_id: %d %s", got.status, got.body)
	}
}

// The same key with other metadata is another request.
func TestIdempotencyKeyOfMetadata(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	post := func(visibility string) answer {
		return s.tus("owner", "POST", "/v1/uploads/", "", "Upload-Length", "5", "Upload-Metadata", metadata("visibility", visibility), "Idempotency-Key", "k")
	}
	first, again := post("private"), post("private")
	if first.status != 201 || again.status != 201 || first.header.Get("Location") != again.header.Get("Location") {
		t.Errorf("%d %s, again %d %s", first.status, first.body, again.status, again.body)
	}
	s.refusal(post("public"), video.Conflict)
}

func TestMethodsThatUploadsDontTake(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	upload := *s.made("owner", `{"source":{"size":5}}`).Upload.URL
	for address, allow := range map[string]string{"/v1/uploads": "OPTIONS, POST", "/v1/uploads/": "OPTIONS, POST", upload: "DELETE, HEAD, OPTIONS, PATCH, POST"} {
		for _, method := range []string{"GET", "PUT"} {
			got := s.tus("owner", method, address, "")
			var p problem.Problem
			if err := json.Unmarshal(got.body, &p); err != nil || got.status != 405 || p.Status != 405 || p.Code != video.Invalid || got.header.Get("Allow") != allow {
				t.Errorf("%s %s: %d %s, Allow %q", method, address, got.status, got.body, got.header.Get("Allow"))
			}
		}
	}
}

// The address in Location is the one that the API gives: nobody's forwarded headers count
// for the one and not for the other.
func TestOneRuleForAddresses(t *testing.T) {
	t.Parallel()
	for name, public := range map[string]string{"as asked": "", "public": "https://videos.example"} {
		t.Run(name, func(t *testing.T) {
			s := newSiteOf(t, func(s *Settings) { s.PublicURL = public })
			made := s.tus("owner", "POST", "/v1/uploads/", "", "Upload-Length", "5",
				"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "Forwarded", "host=evil.example;proto=https")
			v := s.video(s.request("owner", "GET", "/v1/videos/"+made.header.Get("Reelflow-Video"), ""), 200)
			if location := made.header.Get("Location"); location != *v.Upload.URL || !strings.HasPrefix(location, cmp.Or(public, s.url)+"/v1/uploads/") {
				t.Errorf("Location %s, upload.url %s", location, *v.Upload.URL)
			}
		})
	}
}

// After its last byte the address of an upload cancels only for the owner.
func TestTerminationAfterTheLastByte(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	made := s.tus("owner", "POST", "/v1/uploads/", "", "Upload-Length", "5")
	location, id := made.header.Get("Location"), made.header.Get("Reelflow-Video")
	if got := s.tus("", "PATCH", location, "waves", "Upload-Offset", "0"); got.status != 204 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	for _, who := range []string{"", "other", people.OperatorName} {
		if p := s.refusal(s.tus(who, "DELETE", location, ""), video.Forbidden); p.Reason != "uploaded" {
			t.Errorf("%+v", p)
		}
	}
	s.refusal(s.tus("", "DELETE", location, "", "Authorization", "Bearer nonsense"), video.Forbidden)
	if v := s.video(s.request("owner", "GET", "/v1/videos/"+id, ""), 200); v.Ending != nil {
		t.Errorf("%+v", v)
	}
	if got := s.tus("owner", "DELETE", location, ""); got.status != 204 {
		t.Errorf("its owner: %d %s", got.status, got.body)
	}
	if got := s.tus("", "DELETE", location, ""); got.status != 204 {
		t.Errorf("of what is canceled: %d %s", got.status, got.body)
	}
}
