package activities

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// What arrives must be what was announced, where anything was.
func TestSealUploadComparesHashes(t *testing.T) {
	t.Parallel()
	file := []byte("what arrives")
	sum, other := sha256.Sum256(file), sha256.Sum256([]byte("something else"))
	for name, c := range map[string]struct{ announced, file, code string }{
		"nothing announced": {"", string(file), ""},
		"as announced":      {string(sum[:]), string(file), ""},
		"something else":    {string(other[:]), string(file), "damaged"},
		"nothing at all":    {string(sum[:]), "", "not_a_video"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.announced([]byte(c.announced))
			r.uploaded([]byte(c.file), 5)
			sealed, err := r.SealUpload(r.ctx, r.leg(1))
			r.must(err)
			var code string
			if sealed.Rejected != nil {
				code = sealed.Rejected.Code
			}
			if code != c.code || sealed.Bytes != int64(len(c.file)) {
				t.Errorf("sealed %+v, rejected as %q, want %q", sealed, code, c.code)
			}
		})
	}
}

// announced makes the rig's video one whose author said which SHA-256 it has.
func (r *rig) announced(sum []byte) {
	r.t.Helper()
	r.id = video.NewID()
	r.must(r.Vault.Make(r.ctx, r.id))
	var sealed []byte
	if len(sum) > 0 {
		r.must(r.withKey(r.ctx, r.id, func(k vault.Key) (err error) {
			sealed, err = k.SealColumn(manifest.AnnouncedColumn(r.id), sum)
			return err
		}))
	}
	r.must(r.Catalog.CreateVideo(r.ctx, catalog.Video{ID: r.id, Owner: "owner", Visibility: "public", Stage: video.Uploading},
		catalog.Upload{Video: r.id, TokenHash: []byte(r.id), Length: -1, ExpectedSHA256: sealed, Idle: time.Hour}))
}
