// Package about holds what people said about a video and who they are. It rests only as
// one column of the video's row, sealed under the video's key, and dies with that key.
// Whoever opens it keeps it for one answer.
package about

import (
	"context"
	"encoding/json"

	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// Video is what people said about one video.
type Video struct {
	Owner       string   `json:"owner,omitempty"`
	Title       string   `json:"title,omitempty"`
	Caption     string   `json:"caption,omitempty"`
	Hashtags    []string `json:"hashtags,omitempty"`
	Music       string   `json:"music,omitempty"`
	Filename    string   `json:"filename,omitempty"`
	ContentType string   `json:"content_type,omitempty"`
	Reviewers   []string `json:"reviewers,omitempty"`

	// Request is a hash of the request that made the video: it tells a repeated
	// request from another one under the same Idempotency-Key.
	Request []byte `json:"request,omitempty"`
}

func column(id video.ID) string { return "videos/sealed/" + string(id) }

// Seal returns the column for a video. It fails as vault.Lend does.
func Seal(ctx context.Context, v vault.Vault, id video.ID, a Video) (sealed []byte, err error) {
	plain, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	err = vault.WithKey(ctx, v, id, func(k vault.Key) error {
		sealed, err = k.SealColumn(column(id), plain)
		return err
	})
	return sealed, err
}

// Open reads the column of a video. Without one, and once the key is gone, it returns
// nothing and no error.
func Open(ctx context.Context, v vault.Vault, id video.ID, sealed []byte) (a Video, err error) {
	if len(sealed) == 0 {
		return Video{}, nil
	}
	err = vault.WithKey(ctx, v, id, func(k vault.Key) (err error) {
		a, err = OpenWith(k, id, sealed)
		return err
	})
	if code := video.CodeOf(err); err != nil && (code == video.Gone || code == video.NotFound) {
		return Video{}, nil
	}
	return a, err
}

// OpenWith is Open for those who hold the key and have more to do with it.
func OpenWith(k vault.Key, id video.ID, sealed []byte) (a Video, err error) {
	if len(sealed) == 0 {
		return Video{}, nil
	}
	plain, err := k.OpenColumn(column(id), sealed)
	if err != nil {
		return Video{}, err
	}
	err = json.Unmarshal(plain, &a)
	return a, err
}
