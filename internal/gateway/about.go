package gateway

import (
	"context"
	"encoding/json"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/fetch"
	"github.com/reelflow/reelflow/internal/gateway/uploads"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// about is what people said about a video and who they are. It rests only as
// one column sealed under the video's key, and dies with it.
type about struct {
	Owner       string   `json:"owner,omitempty"`
	Title       string   `json:"title,omitempty"`
	Caption     string   `json:"caption,omitempty"`
	Hashtags    []string `json:"hashtags,omitempty"`
	Music       string   `json:"music,omitempty"`
	Filename    string   `json:"filename,omitempty"`
	ContentType string   `json:"content_type,omitempty"`
	Reviewers   []string `json:"reviewers,omitempty"`

	Protect bool `json:"protect,omitempty"`

	// Request is a hash of the request that made the video: it tells a repeated
	// request from another one under the same Idempotency-Key.
	Request []byte `json:"request,omitempty"`
}

func aboutIdentity(id video.ID) string { return "videos/sealed/" + string(id) }

// withKey lends the key of a video for the time of do, which should be short.
func (g *Gateway) withKey(ctx context.Context, id video.ID, do func(vault.Key) error) error {
	loan, err := g.vault.Lend(ctx, id)
	if err != nil {
		return err
	}
	defer loan.Release()
	return do(loan.Key())
}

func (g *Gateway) sealAbout(ctx context.Context, id video.ID, a about) (sealed []byte, err error) {
	plain, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	err = g.withKey(ctx, id, func(k vault.Key) error {
		sealed, err = k.SealColumn(aboutIdentity(id), plain)
		return err
	})
	return sealed, err
}

// sealUpload adds to an upload what rests sealed of it: the SHA-256 that was
// announced, and what its client said as metadata, or the address that it is
// fetched from, for the worker who does it.
func (g *Gateway) sealUpload(ctx context.Context, u *catalog.Upload, b birth) error {
	return g.withKey(ctx, u.Video, func(k vault.Key) (err error) {
		if len(b.sha256) > 0 {
			if u.ExpectedSHA256, err = k.SealColumn(manifest.AnnouncedColumn(u.Video), b.sha256); err != nil {
				return err
			}
		}
		switch {
		case b.url != "":
			u.Sealed, err = sealOrigin(k, u.Video, b.url)
		case len(b.metadata) > 0:
			u.Sealed, err = uploads.SealMetadata(k, u.Video, b.metadata)
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

// openAbout returns nothing, without an error, once the key is gone.
func (g *Gateway) openAbout(ctx context.Context, row catalog.Video) (a about, err error) {
	if len(row.Sealed) == 0 {
		return about{}, nil
	}
	err = g.withKey(ctx, row.ID, func(k vault.Key) error {
		plain, err := k.OpenColumn(aboutIdentity(row.ID), row.Sealed)
		if err != nil {
			return err
		}
		return json.Unmarshal(plain, &a)
	})
	if err != nil && (video.CodeOf(err) == video.Gone || video.CodeOf(err) == video.NotFound) {
		return about{}, nil
	}
	return a, err
}
