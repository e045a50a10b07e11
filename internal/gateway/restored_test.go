package gateway

import (
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/ledger"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// siteOn is a gateway on what there is, without its work in the background.
func siteOn(t *testing.T, path string, v vault.Vault) *site {
	t.Helper()
	c, err := catalog.Open(t.Context(), "sqlite://"+path)
	if err != nil {
		t.Fatal(err)
	}
	lives := &fakeLives{catalog: c, inputs: map[video.ID]video.LifecycleInput{}, uploaded: map[video.ID]int{}}
	stores := objects.Set{Primary: objectstest.NewMemory("primary"), Backups: []objects.Store{objectstest.NewMemory("backup-a")}}
	g, err := newGateway(Settings{Auth: "dev", MaxBytes: 1 << 20, Policy: video.Policy{UploadIdle: time.Hour}}, c, v, stores, lives, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(g.Handler())
	t.Cleanup(func() {
		server.Close()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return &site{Gateway: g, t: t, url: server.URL, lives: lives}
}

// backUp copies a catalog as it is now.
func backUp(t *testing.T, from, to string) {
	t.Helper()
	db, err := sql.Open("sqlite", from)
	if err == nil {
		_, err = db.Exec("VACUUM INTO '" + to + "'")
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// destroyed destroys the key of a video, as its workflow does.
func (s *site) destroyed(v video.Video) {
	s.t.Helper()
	u, err := s.catalog.UploadOf(s.t.Context(), v.ID)
	if err == nil {
		_, err = s.vault.Destroy(s.t.Context(), vault.Intent{ID: v.ID, Reason: string(video.ByDeletion), TokenHash: u.TokenHash})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.move(v.ID, video.Purged)
}

// Whatever was erased stays so under all its addresses, for everyone, on a catalog
// from before the erasure, and from before the video.
func TestErasedBeforeTheCatalogWasRestored(t *testing.T) {
	t.Parallel()
	path, old := filepath.Join(t.TempDir(), "catalog.db"), filepath.Join(t.TempDir(), "backup.db")
	v, err := vault.Open(filepath.Join(t.TempDir(), "vault"))
	if err != nil {
		t.Fatal(err)
	}
	before := siteOn(t, path, v)
	made := func() video.Video { return before.made("owner", `{"title":"Waves","source":{"size":5}}`) }
	begun, untouched, published, living := made(), made(), made(), made()
	if sent := before.tus("", "PATCH", *begun.Upload.URL, "abc", "Upload-Offset", "0"); sent.status != 204 {
		t.Fatalf("%d %s", sent.status, sent.body)
	}
	before.move(published.ID, video.Published)
	backUp(t, path, old)
	later := made()
	erased := map[string]video.Video{"a begun upload": begun, "an upload without a byte": untouched, "published": published, "made after the backup": later}
	for _, e := range erased {
		before.destroyed(e)
	}

	s := siteOn(t, old, v)
	if lacking, err := ledger.Apply(t.Context(), v, s.catalog); err != nil || lacking != len(erased) {
		t.Fatalf("%d records were lacking: %v", lacking, err)
	}
	for name, e := range erased {
		t.Run(name, func(t *testing.T) {
			s := &site{Gateway: s.Gateway, t: t, url: s.url, lives: s.lives}
			of := "/v1/videos/" + string(e.ID)
			upload := "/v1/uploads/" + s.creation.UploadToken(e.ID)
			for _, who := range []string{"", "owner", "admin"} {
				for _, path := range []string{of, of + "/playback", of + "/events", "/watch/" + string(e.ID)} {
					if got := s.request(who, "GET", path, ""); got.status != 410 {
						t.Errorf("as %q: GET %s: %d %s", who, path, got.status, got.body)
					}
				}
				if got := s.tus(who, "HEAD", upload, ""); got.status != 410 {
					t.Errorf("as %q: HEAD: %d", who, got.status)
				}
				for _, offset := range []string{"0", "3"} {
					s.refusal(s.tus(who, "PATCH", upload, "x", "Upload-Offset", offset), video.Gone)
				}
			}
			for _, command := range []string{"pause", "resume", "cancel"} {
				s.refusal(s.request("owner", "POST", of+"/"+command, ""), video.Gone)
			}
			s.refusal(s.request("owner", "DELETE", of, ""), video.Gone)
			s.refusal(s.tus("owner", "POST", "/v1/uploads/", "", "Upload-Length", "5", "Upload-Metadata", metadata("video_id", string(e.ID))), video.Gone)
			if got := s.tus("", "DELETE", upload, ""); got.status != 204 {
				t.Errorf("DELETE of the upload: %d", got.status)
			}
		})
	}
	s.video(s.request("owner", "GET", "/v1/videos/"+string(living.ID), ""), 200)
	var list Videos
	if err := json.Unmarshal(s.request("owner", "GET", "/v1/me/videos", "").body, &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Videos) != 1 || list.Videos[0].ID != living.ID {
		t.Errorf("listed: %+v", list)
	}
}
