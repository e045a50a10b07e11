package gateway

import (
	"strings"
	"testing"

	"github.com/reelflow/reelflow/video"
)

// An import is a video without an address to upload to; its source is nobody's to see.
func TestImport(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const request = `{"title":"Waves","source":{"url":"https://example.org/waves.mp4?token=geheim"}}`
	answer := s.request("owner", "POST", "/v1/videos", request)
	v := s.video(answer, 201)
	if v.Upload == nil || v.Upload.URL != nil || strings.Contains(string(answer.body), "geheim") {
		t.Errorf("answered %s", answer.body)
	}
	s.lives.mu.Lock()
	in := s.lives.inputs[v.ID]
	s.lives.mu.Unlock()
	if !in.Import {
		t.Errorf("the workflow was told %+v", in)
	}
	row, err := s.catalog.UploadOf(t.Context(), v.ID)
	if err != nil || len(row.Sealed) == 0 || strings.Contains(string(row.Sealed), "geheim") {
		t.Errorf("sealed: %q, %v", row.Sealed, err)
	}
	got := s.tus("owner", "POST", s.url+"/v1/uploads/", "", "Upload-Length", "5", "Upload-Metadata", metadata("video_id", string(v.ID)))
	s.refusal(got, video.Conflict)
}
