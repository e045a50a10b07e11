package uploads

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/segments"
	"github.com/reelflow/reelflow/video"
)

// segment is one stretch of an upload on its way into the store.
type segment struct {
	offset, size int64   // of the plain bytes
	buffer       *buffer // given back once the segment is put
	state        []byte  // of the SHA-256 after it; sealed before it leaves

	object catalog.Object // as in the manifest
	ready  chan struct{}  // closed when it lies in the store, or err says why not
	err    error
}

// write seals a segment in place, records that it is to be written, and puts it.
// If the process dies in here the purge finds what was put, by listing.
func (in *intake) write(seg *segment) {
	defer func() {
		in.server.buffers.put(seg.buffer)
		seg.buffer = nil
	}()
	if seg.err != nil {
		return
	}
	sealed, err := in.seal(seg)
	if err != nil {
		seg.err = err
		return
	}
	if seg.object, seg.err = in.server.catalog.IntendSegment(in.ctx, in.right, seg.object); seg.err != nil {
		return
	}
	seg.object.Version, seg.err = in.server.store.Put(in.ctx, seg.object.Key, sealed, objects.PutOptions{})
	if seg.err != nil {
		in.discard(seg) // it may be there, and only the answer was lost
	}
}

// seal borrows the key for as long as it takes, some milliseconds.
func (in *intake) seal(seg *segment) ([]byte, error) {
	loan, err := in.server.vault.Lend(in.ctx, in.right.Video)
	if err != nil {
		return nil, err
	}
	defer loan.Release()
	key := segments.Key(in.right.Video, seg.offset)
	if seg.state, err = loan.Key().SealColumn(segments.HashColumn(in.right.Video), seg.state); err != nil {
		return nil, err
	}
	plain := seg.buffer.data
	sealed, err := loan.Key().Seal(key, plain[:0], plain)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(sealed)
	seg.object = catalog.Object{
		Video: in.right.Video, Store: in.server.store.Name(), Key: key, Kind: catalog.KindSource,
		Offset: seg.offset, PlainSize: seg.size, Size: int64(len(sealed)), SHA256: sum[:], Epoch: in.right.Epoch,
	}
	return sealed, nil
}

const (
	commitRetry   = 200 * time.Millisecond
	commitRetries = 5
	discardWait   = 10 * time.Second
)

// commit moves the upload's offset over a segment, and deletes it again if that
// is refused: another gateway has the upload now, or its life is ending. When the
// catalog's answer is lost the segment may count already, so it stays.
func (in *intake) commit(seg *segment) error {
	var err error
	for try := range commitRetries {
		if try > 0 {
			select {
			case <-in.ctx.Done():
				return err
			case <-time.After(commitRetry):
			}
		}
		err = in.server.catalog.CommitSegment(in.ctx, in.right, seg.object, seg.state)
		switch {
		case err == nil:
			in.stored += seg.size
			return nil
		case video.CodeOf(err) == video.Conflict, video.CodeOf(err) == video.Gone:
			in.discard(seg)
			return err
		}
	}
	return err
}

// discard deletes a segment that does not count, in the background: a store that
// hangs must not hold up the pause or the gateway that made it not count. Its
// manifest row stays in the state "writing", which says that nothing need be there.
func (in *intake) discard(seg *segment) {
	if seg.object.Key == "" {
		return
	}
	s, o := in.server, seg.object
	s.cleaning.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), discardWait)
		defer cancel()
		if err := segments.Erase(ctx, s.store, o); err != nil {
			s.log.Warn("a segment that doesn't count was left behind", "video", o.Video, "key", o.Key, "error", err)
		}
	})
}
