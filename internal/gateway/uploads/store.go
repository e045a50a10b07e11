package uploads

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// upload is what tusd sees of an upload in the course of one request.
type upload struct {
	server   *Server
	call     *call
	metadata map[string]string
	sum      []byte // SHA-256 of the whole, once this request stored its last byte
}

// NewUpload has the host make or find the video. A body that comes with a POST
// is the beginning of the file: where one is there already it is left unread.
func (s *Server) NewUpload(ctx context.Context, info handler.FileInfo) (handler.Upload, error) {
	c := callOf(ctx)
	length := info.Size
	if info.SizeIsDeferred {
		length = -1
	}
	if length > s.settings.MaxBytes { // of an IETF draft's POST; see call.checkLength
		return nil, s.problem(c, s.tooLarge())
	}
	for _, name := range []string{"filename", "filetype"} { // of an IETF draft's headers
		if _, said := c.metadata[name]; !said && info.MetaData[name] != "" {
			c.metadata[name] = info.MetaData[name]
		}
	}
	made, err := s.host.Create(ctx, c.r, NewUpload{Length: length, Metadata: c.metadata})
	if err != nil {
		return nil, s.problem(c, err)
	}
	c.token = made.Token
	s.memory.keepOrigin(made.Token, originOf(c.r))
	if err := c.look(ctx); err != nil {
		return nil, err
	}
	if over(c.upload) {
		return nil, errGone
	}
	if c.upload.Offset > 0 {
		c.r.ContentLength, c.r.Body = 0, http.NoBody
	}
	return &upload{server: s, call: c, metadata: c.metadata}, nil
}

// GetUpload reads the upload anew, since its offset may have moved before the lease was taken.
func (s *Server) GetUpload(ctx context.Context, _ string) (handler.Upload, error) {
	c := callOf(ctx)
	if err := c.look(ctx); err != nil {
		return nil, err
	}
	if over(c.upload) {
		return nil, errGone
	}
	if complete(c.upload) && c.upload.FinishedAt.IsZero() {
		s.remind()
	}
	return &upload{server: s, call: c, metadata: s.metadata(c)}, nil
}

// AsLengthDeclarableUpload is part of tusd's interface.
func (s *Server) AsLengthDeclarableUpload(u handler.Upload) handler.LengthDeclarableUpload {
	return u.(*upload)
}

// GetInfo tells tusd what it has to know.
func (u *upload) GetInfo(context.Context) (handler.FileInfo, error) {
	row := u.call.upload
	return handler.FileInfo{
		ID: u.call.token, Size: max(row.Length, 0), SizeIsDeferred: row.Length < 0,
		Offset: row.Offset, MetaData: u.metadata,
	}, nil
}

// GetReader is part of tusd's interface: uploads can't be downloaded.
func (u *upload) GetReader(context.Context) (io.ReadCloser, error) {
	return nil, handler.ErrNotImplemented
}

// WriteChunk stores what comes from src and returns how many bytes of it are
// stored for good, also when it fails.
func (u *upload) WriteChunk(ctx context.Context, offset int64, src io.Reader) (int64, error) {
	c, s := u.call, u.server
	if c.slot == nil {
		return 0, errBusy
	}
	left := u.left()
	if c.r.ContentLength > left {
		return 0, s.problem(c, s.tooLarge())
	}
	in, err := s.newIntake(ctx, c, left)
	if err != nil {
		return 0, s.answerTo(c, err)
	}
	if n := c.r.ContentLength; n > 0 && in.isTooShort(n) {
		in.short = true // and not a byte of it is stored
	} else {
		in.read(src)
	}
	stored, err := in.finish()
	c.moved(offset + stored)
	if complete(c.upload) {
		u.sum = in.segments.Digest.Sum(nil)
	}
	return stored, c.whyStopped(err)
}

// whyStopped tells apart what the beat calls a pause: a cancel that is on record ends a
// request in the same way, and then the client is told of that.
func (c *call) whyStopped(err error) error {
	if e, ok := errors.AsType[handler.Error](err); !ok || e.Message != errPaused.Message {
		return err
	}
	now, lookErr := c.server.catalog.UploadOf(context.WithoutCancel(c.r.Context()), c.upload.Video)
	if lookErr != nil {
		return err
	}
	if why := inTheWay(now); why != nil {
		return why
	}
	return err
}

// left is how many bytes can still be added.
func (u *upload) left() int64 {
	if row := u.call.upload; row.Length >= 0 {
		return row.Length - row.Offset
	}
	return u.server.settings.MaxBytes - u.call.upload.Offset
}

// moved takes note of a new offset.
func (c *call) moved(offset int64) {
	if offset != c.upload.Offset {
		c.upload.Offset = offset
		c.upload.ExpiresAt = time.Now().Add(c.upload.Idle)
	}
	c.server.memory.keep(c.token, c.upload)
}

// DeclareLength sets a length that was deferred.
func (u *upload) DeclareLength(ctx context.Context, n int64) error {
	c := u.call
	if c.slot == nil {
		return errBusy
	}
	if err := u.server.catalog.DeclareLength(ctx, c.slot.lease.Lease, n); err != nil {
		return u.server.answerTo(c, err)
	}
	c.upload.Length = n
	return nil
}

// FinishUpload ends an upload all of whose bytes are stored. Whatever fails here
// is made good by the loop that announces: the client has done its part.
func (u *upload) FinishUpload(ctx context.Context) error {
	err := u.server.finishUpload(ctx, u.call.upload, u.sum)
	switch {
	case err == nil:
		return nil
	case video.CodeOf(err) == video.Gone:
		return errGone
	}
	u.server.log.Warn("a finished upload is still to be announced", "video", u.call.upload.Video, "error", err)
	u.server.remind()
	return nil
}

// metadataColumn is the identity under which what people wrote is sealed.
func metadataColumn(id video.ID) string { return "uploads.sealed/" + string(id) }

func (s *Server) unseal(ctx context.Context, id video.ID, column string, sealed []byte) ([]byte, error) {
	loan, err := s.vault.Lend(ctx, id)
	if err != nil {
		return nil, err
	}
	defer loan.Release()
	return loan.Key().OpenColumn(column, sealed)
}

// SealMetadata seals what a client sent as metadata, for catalog.Upload.Sealed: the
// host does so when it makes the row, so that HEAD can answer with it as tus demands.
func SealMetadata(key vault.Key, id video.ID, metadata map[string]string) ([]byte, error) {
	text, err := json.Marshal(metadata)
	if err != nil {
		return nil, err
	}
	return key.SealColumn(metadataColumn(id), text)
}

// metadata opens the client's metadata, for HEAD alone. An answer without it is
// better than none.
func (s *Server) metadata(c *call) map[string]string {
	if c.r.Method != http.MethodHead || c.offline || len(c.upload.Sealed) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), headPatience)
	defer cancel()
	var metadata map[string]string
	text, err := s.unseal(ctx, c.upload.Video, metadataColumn(c.upload.Video), c.upload.Sealed)
	if err == nil {
		err = json.Unmarshal(text, &metadata)
	}
	if err != nil {
		s.log.Warn("metadata could not be opened", "video", c.upload.Video, "error", err)
	}
	return metadata
}
