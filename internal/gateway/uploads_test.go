package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/reelflow/reelflow/internal/catalog"
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
	s := newSite(t)
	s.refusal(s.tus("owner", "POST", "/v1/uploads/", "", "Upload-Length", "0"), video.Invalid)
	s.refusal(s.tus("owner", "POST", "/v1/uploads/", "", "Upload-Length", "99999999"), video.TooLarge)
	all, _, err := s.catalog.Videos(t.Context(), catalog.Query{})
	if err != nil || len(all) != 0 {
		t.Errorf("left behind: %v %v", all, err)
	}
}
