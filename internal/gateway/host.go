package gateway

import (
	"context"
	"net/http"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/creation"
	"github.com/reelflow/reelflow/internal/gateway/origin"
	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/internal/gateway/uploads"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// tusHost is the gateway as the tus server sees it.
type tusHost struct{ g *Gateway }

var _ uploads.Host = tusHost{}

// Create implements uploads.Host.
func (h tusHost) Create(ctx context.Context, r *http.Request, req uploads.NewUpload) (uploads.Created, error) {
	who, err := people.SignedIn(r.Context())
	if err != nil {
		return uploads.Created{}, err
	}
	if err := h.g.creation.MustFit(req.Length); err != nil {
		return uploads.Created{}, err
	}
	if err := h.g.creation.MayCreate(who); err != nil {
		return uploads.Created{}, err
	}
	var id video.ID
	if given, named := req.Metadata["video_id"]; named {
		id, err = h.g.announced(ctx, who, given, req)
	} else {
		id, err = h.g.createByUpload(ctx, who, r.Header.Get("Idempotency-Key"), req)
	}
	if err != nil {
		return uploads.Created{}, err
	}
	return uploads.Created{ID: id, Token: h.g.creation.UploadToken(id)}, nil
}

// announced finds a video that its owner made by POST /v1/videos.
func (g *Gateway) announced(ctx context.Context, who people.Person, given string, req uploads.NewUpload) (video.ID, error) {
	id, err := video.ParseID(given)
	if err != nil {
		return "", err
	}
	if err := checkAnnounced(req.Metadata); err != nil {
		return "", err
	}
	row, err := g.catalog.Video(ctx, id)
	if err != nil {
		return "", err
	}
	if row.Owner != g.people.OwnerID(who.Name) {
		return "", noSuchVideo()
	}
	if row.Import {
		return "", video.Errorf(video.Conflict, "This video is fetched from an address; nothing can be uploaded to it.")
	}
	u, err := g.catalog.UploadOf(ctx, id)
	if err != nil {
		return "", err
	}
	if req.Length >= 0 && u.Length >= 0 && req.Length != u.Length {
		return "", video.Errorf(video.Conflict, "The video was announced with %d bytes, not %d.", u.Length, req.Length)
	}
	if err := g.keepMetadata(ctx, u, req.Metadata); err != nil {
		return "", err
	}
	return id, g.ensureStarted(ctx, row)
}

// keepMetadata keeps what a tus client says of an upload that was made without it, for
// HEAD has to repeat it (https://tus.io/protocols/resumable-upload#upload-metadata).
func (g *Gateway) keepMetadata(ctx context.Context, u catalog.Upload, metadata map[string]string) error {
	if len(u.Sealed) > 0 || len(metadata) == 0 {
		return nil
	}
	var sealed []byte
	err := vault.WithKey(ctx, g.vault, u.Video, func(k vault.Key) (err error) {
		sealed, err = uploads.SealMetadata(k, u.Video, metadata)
		return err
	})
	if err != nil {
		return err
	}
	return g.catalog.Describe(ctx, u.Video, sealed)
}

// ensureStarted is for repeated requests: the first may have died half way.
func (g *Gateway) ensureStarted(ctx context.Context, row catalog.Video) error {
	if s := row.State(); s.Stage != video.Uploading || s.Ending != "" {
		return nil
	}
	if err := g.creation.Start(ctx, row); err != nil {
		g.log.Warn("life not started yet", "video", row.ID, "error", err)
	}
	return nil
}

// createByUpload makes a video of what a plain tus client says.
func (g *Gateway) createByUpload(ctx context.Context, who people.Person, key string, req uploads.NewUpload) (video.ID, error) {
	said, err := g.metadata.parse(req.Metadata)
	if err != nil {
		return "", err
	}
	var seal creation.SealUpload
	if len(req.Metadata) > 0 {
		seal = func(k vault.Key, id video.ID) ([]byte, error) { return uploads.SealMetadata(k, id, req.Metadata) }
	}
	row, err := g.creation.CreateUpload(ctx, who, said, key, req.Length, seal)
	return row.ID, err
}

// Cancel implements uploads.Host. A video that ends already, for whatever reason,
// does what was asked.
func (h tusHost) Cancel(ctx context.Context, id video.ID) error {
	row, err := h.g.catalog.Video(ctx, id)
	if err == nil && row.State().Ending == "" {
		_, err = h.g.cancel(ctx, row, video.CommandRequest{})
	}
	switch {
	case err == nil:
		return nil
	case video.CodeOf(err) == video.Gone, video.CodeOf(err) == video.NotFound:
		return nil
	case video.CodeOf(err) == video.Conflict:
		row, lookErr := h.g.catalog.Video(ctx, id)
		if lookErr == nil && row.State().Ending != "" || lookErr != nil && video.CodeOf(lookErr) == video.Gone {
			return nil
		}
	}
	return err
}

// MayCancel implements uploads.Host.
func (h tusHost) MayCancel(r *http.Request, id video.ID) error {
	who, err := people.Caller(r.Context())
	if err != nil && !video.CodeOf(err).Permanent() {
		return err // nobody can tell now who it is
	}
	row, err := h.g.catalog.Video(r.Context(), id)
	if err != nil {
		return err
	}
	if who.Anonymous() || row.Owner != h.g.people.OwnerID(who.Name) {
		return video.Errorf(video.Forbidden, "Every byte of this video is stored, so its upload's address can't cancel it any more. Sign in as its owner.").For("uploaded")
	}
	return nil
}

// Uploaded implements uploads.Host.
func (h tusHost) Uploaded(ctx context.Context, id video.ID) error {
	err := h.g.lives.Uploaded(ctx, id)
	if err == nil || video.CodeOf(err) != video.NotFound {
		return err
	}
	row, err := h.g.catalog.Video(ctx, id)
	if err != nil || row.State().Ending != "" {
		return err
	}
	if err := h.g.creation.Start(ctx, row); err != nil {
		return err
	}
	return h.g.lives.Uploaded(ctx, id)
}

// Problem implements uploads.Host.
func (h tusHost) Problem(ctx context.Context, err error) *problem.Problem {
	return h.g.errors.Problem(ctx, err)
}

// Base implements uploads.Host.
func (h tusHost) Base(r *http.Request) string { return origin.From(r.Context()).Base }

// Address implements uploads.Host.
func (h tusHost) Address(r *http.Request) string { return origin.From(r.Context()).Address }
