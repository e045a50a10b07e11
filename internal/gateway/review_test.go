package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// A reviewer's decision is answered with what has become of the video, and stays to be
// seen by whoever decided until it is published; nobody else is told of it.
func TestReviewersSeeWhatBecameOfTheirDecision(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, row := range []struct {
		command string
		stage   video.Stage
	}{{"approve", video.Scheduled}, {"reject", video.Rejected}} {
		for _, visibility := range []string{"public", "private"} {
			v := s.made("owner", `{"visibility":"`+visibility+`","reviewers":["reviewer","second"],"source":{"size":1000}}`)
			s.move(v.ID, video.Reviewing)
			path := "/v1/videos/" + string(v.ID)
			if got := s.video(s.request("reviewer", "GET", path, ""), http.StatusOK); !got.Review {
				t.Error("a reviewer is told that there is no review")
			}
			for range 2 { // repeating a command is a success
				if got := s.video(s.request("reviewer", "POST", path+"/"+row.command, `{}`), http.StatusOK); got.Stage != row.stage || len(got.Replicas) != 0 {
					t.Errorf("%s of a %s video: %+v", row.command, visibility, got)
				}
			}
			if got := s.video(s.request("reviewer", "GET", path, ""), http.StatusOK); got.Stage != row.stage || got.Visible {
				t.Errorf("later: %+v", got)
			}
			s.refusal(s.request("second", "GET", path, ""), video.NotFound)
			if got := s.request("reviewer", "GET", path+"/playback", ""); got.status == http.StatusOK {
				t.Error("the review is over, and the reviewer still plays the video")
			}
			if row.stage == video.Scheduled {
				s.move(v.ID, video.Published)
				if got := s.request("reviewer", "GET", path, ""); (got.status == http.StatusOK) != (visibility == "public") {
					t.Errorf("once published, a %s video: %d", visibility, got.status)
				}
			}
		}
	}
}

// What a reviewer writes reaches the author, and nobody but the two and operators.
func TestRejectionsCarryAComment(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.made("owner", `{"reviewers":["reviewer"],"source":{"size":1000}}`)
	s.move(v.ID, video.Reviewing)
	path := "/v1/videos/" + string(v.ID)
	s.refusal(s.request("reviewer", "POST", path+"/reject", `{"comment":"`+strings.Repeat("x", 2001)+`"}`), video.Invalid)
	s.video(s.request("reviewer", "POST", path+"/reject", `{"comment":" The logo is too large. "}`), http.StatusOK)
	for _, who := range []string{"owner", "admin", "reviewer"} {
		if got := s.video(s.request(who, "GET", path, ""), http.StatusOK); got.Failure == nil || got.Failure.Code != "reviewer" || got.Failure.Comment != "The logo is too large." {
			t.Errorf("%s reads %+v", who, got.Failure)
		}
	}
	row, err := s.catalog.Video(t.Context(), v.ID)
	if err != nil || row.Failure.Comment != "" {
		t.Errorf("the row holds %+v, %v", row.Failure, err)
	}
	notes, err := s.catalog.NotesOf(t.Context(), []video.ID{v.ID})
	if n := notes[v.ID]; err != nil || len(n) != 1 || n[0].Author != row.DecidedBy || len(n[0].Sealed) == 0 || strings.Contains(string(n[0].Sealed), "logo") {
		t.Errorf("the notes rest as %+v, %v", n, err)
	}
}

// What ffmpeg said of a video that breaks it reaches operators alone: it quotes the file.
func TestTheMediaWorksLastWordsAreForOperators(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.made("owner", `{"source":{"size":1000}}`)
	n := catalog.Note{Video: v.ID, Author: catalog.MachineNote}
	err := vault.WithKey(t.Context(), s.vault, v.ID, func(k vault.Key) (err error) {
		n.Sealed, err = k.SealColumn(n.Column(), []byte("Probe: ffprobe: aborted"))
		return err
	})
	if err == nil {
		err = s.catalog.KeepNote(t.Context(), n)
	}
	if err == nil {
		_, err = s.catalog.Control(t.Context(), catalog.Control{Video: v.ID, Epoch: 9, Ending: video.ByRejection}, func(row *catalog.Video) {
			row.Stage, row.Failure = video.Rejected, &video.Rejection{Code: "unsupported", Message: "It breaks the encoder."}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	for who, log := range map[string]string{"owner": "", "admin": "Probe: ffprobe: aborted"} {
		got := s.video(s.request(who, "GET", "/v1/videos/"+string(v.ID), ""), http.StatusOK)
		if got.Failure == nil || got.Failure.Message != "It breaks the encoder." || got.Failure.Log != log || got.Failure.Comment != "" {
			t.Errorf("%s reads %+v", who, got.Failure)
		}
	}
}
