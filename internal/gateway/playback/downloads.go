package playback

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/origin"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/video"
)

const (
	// maxDownloads is how many a gateway serves at once. Each holds a chunk of a seal and
	// a connection to the store.
	maxDownloads = 128
	// maxDownloadsEach is how many of them one address may have, so that nobody by
	// themselves keeps the others from theirs.
	maxDownloadsEach = maxDownloads / 4
	// downloadRetry is when somebody who has too many is asked to come again.
	downloadRetry = 10 * time.Second
	// lookEvery is how soon a download under way notices that its video may not be
	// watched any more.
	lookEvery = 500 * time.Millisecond
)

// serveSource sends the file as it was uploaded.
func (s *Server) serveSource(w http.ResponseWriter, r *http.Request, at seen) error {
	if err := mustBeAllowed(at.PlaybackState); err != nil {
		return err
	}
	if r.Method != http.MethodHead {
		// Before the file's segments and name are read, which costs more than a refusal may.
		if err := s.downloads.mustHaveRoom(origin.From(r.Context()).Address); err != nil {
			return err
		}
	}
	file, err := s.fileOf(r.Context(), at)
	if err != nil {
		return err
	}
	if err := s.nameFile(r.Context(), w, at.id); err != nil {
		return err
	}
	return s.serve(w, r, representation{file.etag(), file.size, func(ctx context.Context, offset, length int64) (content, error) {
		done, err := s.downloads.take(origin.From(ctx).Address)
		if err != nil {
			return nil, err
		}
		return &download{file: file, ctx: ctx, offset: offset, left: length, seen: time.Now(), done: done}, nil
	}})
}

// openDownloads counts the downloads under way at this gateway.
type openDownloads struct {
	most, mostEach int // of all, and of one address

	mu  sync.Mutex
	all int
	of  map[string]int // by address
}

func newOpenDownloads(most, mostEach int) *openDownloads {
	return &openDownloads{most: most, mostEach: mostEach, of: map[string]int{}}
}

// take counts one more of an address, until done is called. It fails with RateLimited
// when the address has as many as it may, and with Unavailable when the gateway has.
func (o *openDownloads) take(address string) (done func(), err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.roomFor(address); err != nil {
		return nil, err
	}
	o.all++
	o.of[address]++
	return sync.OnceFunc(func() { o.give(address) }), nil
}

// mustHaveRoom fails as take does, and counts nothing.
func (o *openDownloads) mustHaveRoom(address string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.roomFor(address)
}

// roomFor says why an address can have no more. It needs mu.
func (o *openDownloads) roomFor(address string) error {
	switch {
	case o.of[address] >= o.mostEach:
		return problem.Limited(fmt.Sprintf("%d downloads from your address are under way already. Wait until one of them is done.", o.mostEach), downloadRetry)
	case o.all >= o.most:
		return problem.New(video.Unavailable, "Too many people are downloading at the moment. Please try again in a minute.")
	}
	return nil
}

func (o *openDownloads) give(address string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all--
	if o.of[address]--; o.of[address] == 0 {
		delete(o.of, address)
	}
}

func mustBeAllowed(state catalog.PlaybackState) error {
	if !state.AllowDownload {
		return video.Errorf(video.Forbidden, "The author does not allow downloads of this video.")
	}
	return nil
}

// nameFile says what a browser should make of the file.
func (s *Server) nameFile(ctx context.Context, w http.ResponseWriter, id video.ID) error {
	row, err := s.catalog.Video(ctx, id)
	if err != nil {
		return err
	}
	filename, contentType, err := s.host.SourceName(ctx, row)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", downloadType(contentType))
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": cmp.Or(filename, string(id)+".mp4")}))
	return nil
}

// downloadType passes on what an author said only if no browser could take it for a page.
func downloadType(said string) string {
	if t, _, err := mime.ParseMediaType(said); err == nil && strings.HasPrefix(t, "video/") {
		return t
	}
	return "application/octet-stream"
}

// sourceFile is an uploaded file, in the order of its segments.
type sourceFile struct {
	server   *Server
	at       seen
	segments []sourceSegment
	size     int64
}

type sourceSegment struct {
	object
	offset int64 // of its first plain byte in the file
}

// fileOf fails with NotFound when there is no source, and with Internal when it has a
// gap: not even its size could be said then.
func (s *Server) fileOf(ctx context.Context, at seen) (*sourceFile, error) {
	rows, err := s.catalog.Objects(ctx, at.id, catalog.Filter{Store: s.primary.Name(), Kind: catalog.KindSource, Stored: true})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, problem.NothingHere()
	}
	slices.SortFunc(rows, func(a, b catalog.Object) int { return cmp.Compare(a.Offset, b.Offset) })
	file := &sourceFile{server: s, at: at, segments: make([]sourceSegment, 0, len(rows))}
	for _, o := range rows {
		if o.Offset != file.size {
			return nil, video.Errorf(video.Internal, "The manifest of the upload has a gap.")
		}
		file.segments = append(file.segments, sourceSegment{objectOf(o), o.Offset})
		file.size += o.PlainSize
	}
	return file, nil
}

// etag is that of the file's segments: the same bytes sealed again have another one.
func (f *sourceFile) etag() string {
	all := sha256.New()
	for _, segment := range f.segments {
		all.Write(binary.BigEndian.AppendUint64(nil, uint64(segment.plainSize)))
		all.Write([]byte(segment.etag))
	}
	return `"` + hex.EncodeToString(all.Sum(nil)) + `"`
}

// download is content of a file: one segment after the other, a chunk at a time. It
// looks again and again whether the video may still be watched and downloaded.
type download struct {
	file         *sourceFile
	ctx          context.Context
	offset, left int64
	segment      *sealed
	seen         time.Time // when it was last looked
	done         func()    // counts it no longer
}

func (d *download) next() ([]byte, error) {
	if d.left == 0 {
		return nil, io.EOF
	}
	if time.Since(d.seen) >= lookEvery {
		if err := d.look(); err != nil {
			return nil, err
		}
	}
	if d.segment == nil {
		if err := d.open(); err != nil {
			return nil, err
		}
	}
	piece, err := d.segment.next()
	if err == io.EOF {
		d.closeSegment()
		return d.next()
	}
	d.offset += int64(len(piece))
	d.left -= int64(len(piece))
	return piece, err
}

// open stands at the segment that holds the offset.
func (d *download) open() (err error) {
	segments := d.file.segments
	i := sort.Search(len(segments), func(i int) bool { return segments[i].offset > d.offset }) - 1
	within := d.offset - segments[i].offset
	d.segment, err = d.file.server.openSealed(d.ctx, d.file.at.id, segments[i].object, within, min(d.left, segments[i].plainSize-within))
	return err
}

func (d *download) look() error {
	state, err := d.file.server.states.of(d.ctx, d.file.at.id)
	if err != nil {
		return err
	}
	if d.file.at.class.watches(state.State, state.Visibility) != nil {
		return noMore()
	}
	d.seen = time.Now()
	return mustBeAllowed(state)
}

func (d *download) closeSegment() {
	if d.segment != nil {
		d.segment.close()
		d.segment = nil
	}
}

func (d *download) close() {
	d.closeSegment()
	d.done()
}
