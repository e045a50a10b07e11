package creation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/fetch"
	"github.com/reelflow/reelflow/internal/gateway/about"
	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// draft is a new video before it is anywhere.
type draft struct {
	row    catalog.Video
	about  about.Video
	length int64 // bytes; -1 if not known
	sha256 []byte
	url    string // where it is fetched from; empty for an upload

	sealUpload SealUpload // nil where the client has said nothing of its upload
}

// SealUpload seals what a client has said of its upload, under the key of its video.
type SealUpload func(k vault.Key, id video.ID) ([]byte, error)

// Create makes the video that somebody has announced, or finds it by the key of their
// request, which is empty for none. It fails with Invalid for what can't be, Conflict when
// the key was used for another request, Gone when that video was deleted, and RateLimited.
func (c *Creator) Create(ctx context.Context, who people.Person, n NewVideo, key string) (catalog.Video, error) {
	d, err := c.draftOf(n, who)
	if err != nil {
		return catalog.Video{}, err
	}
	if err := c.MayCreate(who); err != nil {
		return catalog.Video{}, err
	}
	if key != "" {
		if d.about.Request, err = requestHash(n); err != nil {
			return catalog.Video{}, err
		}
	}
	return c.begin(ctx, c.idsFor(who, key), d)
}

// CreateUpload is Create for a tus client, whose first word is the upload itself: length
// is in bytes, or -1 while it is not known. Its keys are apart from those of Create.
// Whether the person may create is to be asked before.
func (c *Creator) CreateUpload(ctx context.Context, who people.Person, n NewVideo, key string, length int64, seal SealUpload) (catalog.Video, error) {
	d, err := c.draftOf(n, who)
	if err != nil {
		return catalog.Video{}, err
	}
	d.length, d.sealUpload = length, seal
	if key != "" {
		key = "upload\x00" + key // no header has such a character: it is no key of POST /v1/videos
		if d.about.Request, err = requestHash(d.about.Filename, d.about.ContentType, d.about.Title, d.about.Caption, d.length); err != nil {
			return catalog.Video{}, err
		}
	}
	return c.begin(ctx, c.idsFor(who, key), d)
}

// begin makes a video, everything that outlasts a crash first: the key, then the
// rows, then the workflow. Repeating it with one of the same ids finds what there
// is and does the rest. It fails with Conflict when one of them belongs to another
// request, Gone when that video was deleted, and RateLimited when its owner has no
// more room.
func (c *Creator) begin(ctx context.Context, ids []video.ID, d draft) (catalog.Video, error) {
	row, err := c.catalog.OneOf(ctx, ids)
	switch {
	case err == nil:
		return c.resumeCreation(ctx, row, d)
	case video.CodeOf(err) != video.NotFound:
		return catalog.Video{}, err
	}
	// Asked for once more with the rows; but by then there is a key to be taken back.
	if err := c.catalog.HasRoom(ctx, d.row.Owner, d.length, c.settings.Allowance); err != nil {
		return catalog.Video{}, noRoom(err)
	}
	if err := c.record(ctx, ids, d); err != nil && video.CodeOf(err) != video.Conflict {
		return catalog.Video{}, noRoom(err)
	}
	if row, err = c.catalog.OneOf(ctx, ids); err != nil {
		return catalog.Video{}, err
	}
	return c.resumeCreation(ctx, row, d) // the rows may be those of the same request sent twice at once
}

// record makes the key and the rows of a video under the first of the ids. It
// fails with Conflict when there is one under any of them.
func (c *Creator) record(ctx context.Context, ids []video.ID, d draft) (err error) {
	id := ids[0]
	loan, err := c.newKey(ctx, id)
	if err != nil {
		return err
	}
	// Lent until the rows are there: nobody can take the key back meanwhile.
	err = c.admit(loan.Keep(ctx), ids, d)
	loan.Release()
	switch code := video.CodeOf(err); {
	case err == nil:
		c.confirm(ctx, id)
	case code.Permanent() || code == video.RateLimited:
		c.settleKey(ctx, id) // else the rows may be there, and only the answer was lost
	}
	return err
}

func (c *Creator) admit(ctx context.Context, ids []video.ID, d draft) (err error) {
	id := ids[0]
	d.row.ID = id
	if d.row.Sealed, err = about.Seal(ctx, c.vault, id, d.about); err != nil {
		return err
	}
	token := sha256.Sum256([]byte(c.UploadToken(id)))
	u := catalog.Upload{Video: id, TokenHash: token[:], Length: d.length, Idle: c.settings.Policy.UploadIdle}
	if err := c.sealParts(ctx, &u, d); err != nil {
		return err
	}
	return c.catalog.Admit(ctx, d.row, u, catalog.Admission{Rivals: ids, Allowance: c.settings.Allowance})
}

// resumeCreation checks that a row was made by the request that d came from, and starts
// its life. While Temporal is down the rows are the promise: see Run.
func (c *Creator) resumeCreation(ctx context.Context, row catalog.Video, d draft) (catalog.Video, error) {
	a, err := about.Open(ctx, c.vault, row.ID, row.Sealed)
	if err != nil {
		return catalog.Video{}, err
	}
	if row.Owner != d.row.Owner || !bytes.Equal(a.Request, d.about.Request) {
		return catalog.Video{}, video.Errorf(video.Conflict, "This Idempotency-Key was used for another request.")
	}
	if s := row.State(); s.Stage != video.Uploading || s.Ending != "" {
		return row, nil
	}
	if err := c.lives.Start(ctx, c.lifecycleInput(row)); err != nil {
		c.log.Warn("life not started yet", "video", row.ID, "error", err)
	}
	return row, nil
}

// sealParts adds to an upload what rests sealed of it: the SHA-256 that was announced,
// and what its client said of it, or the address that it is fetched from, for the worker
// who does it.
func (c *Creator) sealParts(ctx context.Context, u *catalog.Upload, d draft) error {
	return vault.WithKey(ctx, c.vault, u.Video, func(k vault.Key) (err error) {
		if len(d.sha256) > 0 {
			if u.ExpectedSHA256, err = k.SealColumn(manifest.AnnouncedColumn(u.Video), d.sha256); err != nil {
				return err
			}
		}
		switch {
		case d.url != "":
			u.Sealed, err = sealOrigin(k, u.Video, d.url)
		case d.sealUpload != nil:
			u.Sealed, err = d.sealUpload(k, u.Video)
		}
		return err
	})
}

func sealOrigin(k vault.Key, id video.ID, address string) ([]byte, error) {
	plain, err := json.Marshal(fetch.Origin{URL: address})
	if err != nil {
		return nil, err
	}
	return k.SealColumn(fetch.OriginColumn(id), plain)
}
