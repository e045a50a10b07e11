package activities

import (
	"bytes"
	"context"
	"io"
	"sort"
	"sync"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/media"
	"github.com/reelflow/reelflow/video"
)

// source opens the decrypted upload of a video for a job. The opened segments
// are kept in memory only, a few at a time, shared by all readers of the job.
func (a *Activities) source(ctx context.Context, id video.ID) (media.Source, error) {
	segments, err := a.sourceSegments(ctx, id)
	if err != nil {
		return nil, err
	}
	cache := &openedSegments{open: a.getSealed}
	return func(ctx context.Context) (io.ReadSeekCloser, error) {
		return &sourceReader{ctx: ctx, segments: segments, cache: cache}, nil
	}, nil
}

// object is a Source of one whole sealed object.
func (a *Activities) object(o catalog.Object) media.Source {
	return func(ctx context.Context) (io.ReadSeekCloser, error) {
		plain, err := a.getSealed(ctx, o)
		if err != nil {
			return nil, err
		}
		return memory{bytes.NewReader(plain)}, nil
	}
}

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// keptSegments bounds the memory of a job: ffmpeg reads at one or two places.
const keptSegments = 3

// openedSegments keeps the segments opened last.
type openedSegments struct {
	open   func(context.Context, catalog.Object) ([]byte, error)
	mu     sync.Mutex
	recent []openedSegment // latest last
}

type openedSegment struct {
	id    int64
	plain []byte
}

func (c *openedSegments) get(ctx context.Context, o catalog.Object) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.recent {
		if s.id == o.ID {
			return s.plain, nil
		}
	}
	plain, err := c.open(ctx, o)
	if err != nil {
		return nil, err
	}
	c.recent = append(c.recent, openedSegment{o.ID, plain})
	if len(c.recent) > keptSegments {
		c.recent = c.recent[1:]
	}
	return plain, nil
}

// sourceReader reads the upload through its manifest.
type sourceReader struct {
	ctx      context.Context
	segments []catalog.Object
	cache    *openedSegments
	at       int64
}

func (r *sourceReader) size() int64 {
	if len(r.segments) == 0 {
		return 0
	}
	last := r.segments[len(r.segments)-1]
	return last.Offset + last.PlainSize
}

func (r *sourceReader) Read(p []byte) (int, error) {
	if r.at >= r.size() {
		return 0, io.EOF
	}
	// The last segment that begins at or before the place.
	n := sort.Search(len(r.segments), func(i int) bool { return r.segments[i].Offset > r.at }) - 1
	plain, err := r.cache.get(r.ctx, r.segments[n])
	if err != nil {
		return 0, err
	}
	copied := copy(p, plain[r.at-r.segments[n].Offset:])
	r.at += int64(copied)
	return copied, nil
}

func (r *sourceReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.size()
	}
	if offset < 0 {
		return 0, video.Errorf(video.Internal, "A read began before the start of the upload.")
	}
	r.at = offset
	return offset, nil
}

func (r *sourceReader) Close() error { return nil }
