package gateway

import (
	"context"
	"net/http"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/internal/gateway/uploads"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// host is the gateway as the tus server sees it.
type host struct{ g *Gateway }

var _ uploads.Host = host{}

// Create implements uploads.Host.
func (h host) Create(ctx context.Context, r *http.Request, req uploads.NewUpload) (uploads.Created, error) {
	who, err := signedIn(r.Context())
	if err != nil {
		return uploads.Created{}, err
	}
	if err := h.g.checkLength(req.Length); err != nil {
		return uploads.Created{}, err
	}
	if err := h.g.mayCreate(who); err != nil {
		return uploads.Created{}, err
	}
	var id video.ID
	if given, named := req.Metadata["video_id"]; named {
		id, err = h.g.announced(ctx, who, given, req)
	} else {
		id, err = h.g.bornOfUpload(ctx, who, r.Header.Get("Idempotency-Key"), req)
	}
	if err != nil {
		return uploads.Created{}, err
	}
	return uploads.Created{ID: id, Token: h.g.secrets.uploadToken(id)}, nil
}

// announced finds a video that its owner made by POST /v1/videos.
func (g *Gateway) announced(ctx context.Context, who person, given string, req uploads.NewUpload) (video.ID, error) {
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
	if row.Owner != g.secrets.ownerID(who.name) {
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
	err := g.withKey(ctx, u.Video, func(k vault.Key) (err error) {
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
	if err := g.startFor(ctx, row); err != nil {
		g.log.Warn("life not started yet", "video", row.ID, "error", err)
	}
	return nil
}

// bornOfUpload makes a video of what a plain tus client says.
func (g *Gateway) bornOfUpload(ctx context.Context, who person, key string, req uploads.NewUpload) (video.ID, error) {
	said, err := g.metadata.parse(req.Metadata)
	if err != nil {
		return "", err
	}
	b, err := g.check(said, who)
	if err != nil {
		return "", err
	}
	b.length, b.metadata = req.Length, req.Metadata
	if key != "" {
		key = "upload\x00" + key // no header has such a character: it is no key of POST /v1/videos
		if b.about.Request, err = requestHash(said, b.length); err != nil {
			return "", err
		}
	}
	row, err := g.begin(ctx, g.idsFor(who, key), b)
	return row.ID, err
}

// Cancel implements uploads.Host. A video that ends already, for whatever reason,
// does what was asked.
func (h host) Cancel(ctx context.Context, id video.ID) error {
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
func (h host) MayCancel(r *http.Request, id video.ID) error {
	who, err := caller(r.Context())
	if err != nil && !video.CodeOf(err).Permanent() {
		return err // nobody can tell now who it is
	}
	row, err := h.g.catalog.Video(r.Context(), id)
	if err != nil {
		return err
	}
	if who.anonymous() || row.Owner != h.g.secrets.ownerID(who.name) {
		return video.Errorf(video.Forbidden, "Every byte of this video is stored, so its upload's address can't cancel it any more. Sign in as its owner.").For("uploaded")
	}
	return nil
}

// Uploaded implements uploads.Host.
func (h host) Uploaded(ctx context.Context, id video.ID) error {
	err := h.g.lives.Uploaded(ctx, id)
	if err == nil || video.CodeOf(err) != video.NotFound {
		return err
	}
	row, err := h.g.catalog.Video(ctx, id)
	if err != nil || row.State().Ending != "" {
		return err
	}
	if err := h.g.startFor(ctx, row); err != nil {
		return err
	}
	return h.g.lives.Uploaded(ctx, id)
}

// Problem implements uploads.Host.
func (h host) Problem(ctx context.Context, err error) *problem.Problem {
	return h.g.errors.Problem(ctx, err)
}

// Base implements uploads.Host.
func (h host) Base(r *http.Request) string { return h.g.baseOf(r.Host, r.TLS != nil) }
