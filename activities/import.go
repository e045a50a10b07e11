package activities

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/fetch"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

const (
	importFlush = 5 * time.Second // bytes of a slow source are stored after this
	seam        = 64 << 10        // bytes that are fetched once more and compared when an import is taken up
)

// Import fetches what is missing of a video from the address that its author
// gave, and commits it as an upload's: segments under a lease. An attempt that
// was paused or killed leaves what it committed; the next one goes on from there
// where the source allows ranges, and otherwise reads over it, comparing.
func (a *Activities) Import(ctx context.Context, leg workflows.Leg) (workflows.Imported, error) {
	defer heart(ctx)()
	enter := func() error {
		return a.Catalog.Enter(ctx, fence(leg), func(v *catalog.Video) { v.WaitingFor = workflows.Importing })
	}
	if err := enter(); err != nil {
		return workflows.Imported{}, err
	}
	if u, err := a.Catalog.UploadOf(ctx, leg.ID); err != nil || !u.FinishedAt.IsZero() {
		return workflows.Imported{}, err
	}
	lease, err := manifest.AcquireLease(ctx, a.Catalog, leg.ID)
	if err != nil {
		return workflows.Imported{}, err
	}
	defer func() {
		if err := lease.Release(); err != nil {
			a.Log.Warn("a lease was not given back", "video", leg.ID, "error", err)
		}
	}()
	// Once more: one that slept until now may have taken the lease from a later leg.
	if err := enter(); err != nil {
		return workflows.Imported{}, err
	}
	i := &importing{Activities: a, ctx: lease.Context, lease: lease.Lease}
	err = i.run()
	if lost := lease.Lost(); err != nil && lost != nil {
		return workflows.Imported{}, lost
	}
	if rejected, ok := err.(*refused); ok {
		a.Log.Info("import refused", "video", leg.ID, "error", rejected.cause)
		return workflows.Imported{Rejected: &rejected.Rejection}, nil
	}
	return workflows.Imported{}, err
}

// refused is the end of an import that trying again can't help, in words for its author.
type refused struct {
	video.Rejection
	cause error
}

func (r *refused) Error() string { return r.Code + ": " + r.Message }

// refusal turns an error of the source into what it means for the video. The codes
// of the contract are about videos, so each is the nearest one.
func refusal(err error) error {
	codes := map[video.Code]string{
		video.Conflict: "damaged",     // parts of two files are none
		video.TooLarge: "too_long",    // what helps is the same: a shorter one
		video.Invalid:  "unsupported", // a source that we don't take
		video.NotFound: "unsupported", video.Forbidden: "unsupported",
	}
	code := video.CodeOf(err)
	if err == nil || !code.Permanent() {
		return err
	}
	said, _ := errors.AsType[*video.Error](err) // it has the code
	return &refused{video.Rejection{Code: codes[code], Message: said.Detail}, err}
}

// importing is one attempt at an import.
type importing struct {
	*Activities
	ctx    context.Context
	lease  catalog.Lease
	upload catalog.Upload
	origin fetch.Origin
	digest hash.Hash
}

func (i *importing) run() (err error) {
	if i.upload, err = i.Catalog.UploadOf(i.ctx, i.lease.Video); err != nil {
		return err
	}
	if i.digest, err = manifest.UploadDigest(i.ctx, i.Vault, i.upload); err != nil {
		return err
	}
	if i.upload.Offset != i.upload.Length { // else only the end was missing
		if err := i.fetch(); err != nil {
			return err
		}
	}
	if err := manifest.FinishUpload(i.ctx, i.Catalog, i.Vault, i.lease.Video, i.digest.Sum(nil)); err != nil {
		return err
	}
	// The workflow hears of it by this activity's end: no gateway need tell it.
	return i.Catalog.MarkAnnounced(i.ctx, i.lease.Video)
}

func (i *importing) fetch() error {
	if err := i.openOrigin(); err != nil {
		return err
	}
	tail, err := i.tail()
	if err != nil {
		return err
	}
	from := i.upload.Offset - int64(len(tail))
	source, err := i.Fetch.Open(i.ctx, i.origin.URL, from, i.origin.Version)
	if err != nil {
		return refusal(err)
	}
	stream := source.Stream(i.ctx)
	defer stream.Close()
	if err := i.agree(source); err != nil {
		return err
	}
	skip := i.compareHash
	if source.Ranges {
		skip = func(r io.Reader) error { return compareTail(r, tail) }
	}
	if err := skip(stream); err != nil {
		return refusal(err)
	}
	return i.store(stream)
}

// store takes the rest of the stream into segments.
func (i *importing) store(stream io.ReadCloser) error {
	w := &manifest.Appender{Writer: i.writer(), Lease: i.lease, Digest: i.digest, Offset: i.upload.Offset}
	rest := &announced{stream, i.upload.Length - i.upload.Offset, i.upload.Length >= 0}
	read, write := w.StoreAll(i.ctx, rest, importFlush)
	switch {
	case write != nil:
		return write
	case read != nil:
		return refusal(read)
	case i.upload.Length < 0:
		return i.Catalog.DeclareLength(i.ctx, i.lease, w.Offset)
	case w.Offset != i.upload.Length:
		return refusal(otherSize())
	}
	return nil
}

// agree settles what is known of the source, before any byte of it is stored.
func (i *importing) agree(source *fetch.Source) error {
	if source.Length >= 0 && i.upload.Length < 0 {
		if err := i.Catalog.DeclareLength(i.ctx, i.lease, source.Length); err != nil {
			return err
		}
		i.upload.Length = source.Length
	}
	if source.Length >= 0 && source.Length != i.upload.Length {
		return refusal(otherSize())
	}
	if i.upload.Offset > 0 {
		return nil
	}
	i.origin.Version = &source.Version
	plain, err := json.Marshal(i.origin)
	if err != nil {
		return err
	}
	var sealed []byte
	err = i.withKey(i.ctx, i.lease.Video, func(k vault.Key) (err error) {
		sealed, err = k.SealColumn(fetch.OriginColumn(i.lease.Video), plain)
		return err
	})
	if err != nil {
		return err
	}
	return i.Catalog.Reseal(i.ctx, i.lease, sealed)
}

func (i *importing) openOrigin() error {
	err := i.withKey(i.ctx, i.lease.Video, func(k vault.Key) error {
		plain, err := k.OpenColumn(fetch.OriginColumn(i.lease.Video), i.upload.Sealed)
		if err != nil {
			return err
		}
		return json.Unmarshal(plain, &i.origin)
	})
	if i.upload.Offset == 0 {
		i.origin.Version = nil // nothing of it is here: any version will do
	}
	return err
}

// tail is the end of what is stored, to be compared with what the source has there.
func (i *importing) tail() ([]byte, error) {
	stored, err := i.sourceSegments(i.ctx, i.lease.Video)
	if err != nil || len(stored) == 0 {
		return nil, err
	}
	plain, err := i.getSealed(i.ctx, stored[len(stored)-1])
	if err != nil {
		return nil, err
	}
	return bytes.Clone(plain[max(0, len(plain)-seam):]), nil
}

func compareTail(stream io.Reader, tail []byte) error {
	again := make([]byte, len(tail))
	if _, err := io.ReadFull(stream, again); err != nil {
		return early(err)
	}
	if !bytes.Equal(again, tail) {
		return otherFile()
	}
	return nil
}

// compareHash reads over what is stored of a source that begins at its beginning
// every time.
func (i *importing) compareHash(stream io.Reader) error {
	again := sha256.New()
	if _, err := io.CopyN(again, stream, i.upload.Offset); err != nil {
		return early(err)
	}
	if !bytes.Equal(again.Sum(nil), i.digest.Sum(nil)) {
		return otherFile()
	}
	return nil
}

// early says what it means that a source ends before what was once read of it.
func early(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return otherFile()
	}
	return err
}

func otherFile() error {
	return video.Errorf(video.Conflict, "The file at the address has changed since the import began. Start a new import.")
}

func otherSize() error {
	return video.Errorf(video.Conflict, "The file at the address has not the size that was announced.")
}

// announced refuses what goes beyond the length of an upload, if that is known.
type announced struct {
	io.ReadCloser
	left  int64
	known bool
}

func (a *announced) Read(b []byte) (int, error) {
	n, err := a.ReadCloser.Read(b)
	if a.left -= int64(n); a.known && a.left < 0 {
		return 0, otherSize()
	}
	return n, err
}
