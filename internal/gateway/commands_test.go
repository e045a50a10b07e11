package gateway

import (
	"strings"
	"testing"

	"github.com/reelflow/reelflow/video"
)

func TestUnknownCommand(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Uploading, "public")
	of := "/v1/videos/" + string(id)
	for _, row := range []struct{ who, path, says string }{
		{"owner", of + "/puase", `no command "puase" for a video; from you it takes now: pause, cancel.`},
		{"owner", of + "/" + strings.Repeat("x", 500), strings.Repeat("x", 40) + "…"},
		{"owner", of + "/a%22%3Cb%3E", `"a\"<b>"`},
		{"other", of + "/puase", "There is no such video."},
		{"owner", of + "/pause/now", "nothing at this address"},
	} {
		if got := s.refusal(s.request(row.who, "POST", row.path, ""), video.NotFound); !strings.Contains(got.Detail, row.says) {
			t.Errorf("as %s: POST %s: %s", row.who, row.path, got.Detail)
		}
	}
	shown := s.in(video.Published, "public")
	got := s.refusal(s.request("other", "POST", "/v1/videos/"+string(shown)+"/like-it", ""), video.NotFound)
	if !strings.Contains(got.Detail, "it takes none from you now") {
		t.Error(got.Detail)
	}
	s.move(id, video.Purged)
	s.refusal(s.request("owner", "POST", of+"/puase", ""), video.Gone)
}
