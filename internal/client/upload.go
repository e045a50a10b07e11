package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/reelflow/reelflow/video"
)

// Upload sends a file to an upload that exists, by tus 1.0
// (https://tus.io/protocols/resumable-upload): ask how far it is, send the rest
// in one PATCH, and again after whatever breaks that.
type Upload struct {
	Client *Client
	URL    string
	File   io.ReaderAt
	Size   int64

	// Rate bounds the bytes sent in a second; 0 is no bound.
	Rate int64
	// Sent, if set, is told how many bytes are on their way or stored.
	Sent func(offset int64)
	// Waits, if set, is told why nothing is sent: whatever broke the sending and may
	// pass, when it changes; a refusal with HTTP status 423 each time, about once a
	// second, for a pause, a draft and another connection that has the upload look
	// alike. It is told nil once bytes go again.
	Waits func(why error)
	// Announce tells the gateway Size with the first bytes, for an upload whose
	// length was not known when it was made (tus: Upload-Defer-Length).
	Announce bool
	// Patience is how long an upload may stand still, unpaused, before Run gives
	// up; 10 minutes by default.
	Patience time.Duration

	offset int64 // of the next byte to be read for sending
	paused bool
	waits  string // what Waits was told last
}

const (
	// A connection on which nothing moves for so long is given up.
	stallTimeout = 45 * time.Second
	pausePoll    = time.Second
)

// Run sends what is missing and returns nil once every byte is stored. It waits
// through pauses, and tries again after whatever may pass. It fails with Gone
// when the upload was canceled, was deleted or expired, and with ctx's error;
// after the latter another Run goes on from the last byte stored.
func (u *Upload) Run(ctx context.Context) error {
	patience := u.Patience
	if patience == 0 {
		patience = 10 * time.Minute
	}
	moved, last := time.Now(), int64(-1)
	for attempt := 0; ; attempt++ {
		offset, err := u.once(ctx)
		if offset > last || u.paused {
			moved, last, attempt = time.Now(), max(offset, last), 0
		}
		switch {
		case err == nil && offset == u.Size:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !retryable(err):
			return err
		case time.Since(moved) > patience:
			return errors.Join(video.Errorf(video.Unavailable, "The upload has stood still for %v.", patience), err)
		}
		if err != nil {
			u.waiting(err)
		}
		wait := backoff(attempt)
		if u.paused {
			wait = pausePoll
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// retryable reports whether the rest may be taken later: while paused (423),
// when another connection holds the upload or the offset was another (409).
func retryable(err error) bool {
	switch StatusOf(err) {
	case http.StatusLocked, http.StatusConflict, http.StatusRequestTimeout:
		return true
	}
	return passing(err)
}

// once asks for the offset and sends from there. It returns the offset that the
// gateway has confirmed.
func (u *Upload) once(ctx context.Context) (int64, error) {
	offset, err := u.head(ctx)
	if err != nil || offset == u.Size {
		return offset, err
	}
	u.sent(offset)
	after, err := u.patch(ctx, offset)
	u.paused = StatusOf(err) == http.StatusLocked
	if err != nil {
		return offset, err
	}
	return after, nil
}

func (u *Upload) sent(offset int64) {
	u.offset = offset
	if u.Sent != nil {
		u.Sent(offset)
	}
}

// waiting tells why nothing is sent, where that may be news.
func (u *Upload) waiting(why error) {
	text := ""
	if why != nil {
		text = reason(why)
	}
	if (text != u.waits || u.paused && why != nil) && u.Waits != nil {
		u.Waits(why)
	}
	u.waits = text
}

// reason is the part of an error that stays the same from one attempt to the next.
func reason(err error) string {
	if coded, ok := errors.AsType[*video.Error](err); ok {
		return coded.Detail
	}
	return err.Error()
}

func (u *Upload) head(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	answer, err := u.Client.send(ctx, http.MethodHead, u.URL, nil, "Tus-Resumable", "1.0.0")
	if StatusOf(err) == http.StatusGone { // an answer to HEAD can't say why
		return 0, video.Errorf(video.Gone, "The upload was canceled or deleted, or has expired.").Because(err)
	}
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	return offsetOf(answer)
}

func offsetOf(answer *http.Response) (int64, error) {
	offset, err := strconv.ParseInt(answer.Header.Get("Upload-Offset"), 10, 64)
	if err != nil {
		return 0, video.Errorf(video.Unavailable, "The gateway did not say how far the upload is.").Because(err)
	}
	return offset, nil
}

// patch sends everything from offset. With Expect: 100-continue (RFC 9110,
// section 10.1.1) no bytes are wasted on a gateway that refuses them.
func (u *Upload) patch(ctx context.Context, offset int64) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stall := time.AfterFunc(stallTimeout, cancel)
	defer stall.Stop()
	body := &rest{ctx: ctx, upload: u, from: io.NewSectionReader(u.File, offset, u.Size-offset), stall: stall}
	if u.Rate > 0 {
		body.limit = rate.NewLimiter(rate.Limit(u.Rate), int(min(u.Rate, readSize)))
	}
	request, err := u.Client.request(ctx, http.MethodPatch, u.URL, body, "Tus-Resumable", "1.0.0",
		"Content-Type", "application/offset+octet-stream", "Upload-Offset", strconv.FormatInt(offset, 10), "Expect", "100-continue")
	if err != nil {
		return 0, err
	}
	request.ContentLength = u.Size - offset
	if u.Announce {
		request.Header.Set("Upload-Length", strconv.FormatInt(u.Size, 10))
	}
	answer, err := u.Client.http.Do(request)
	body.finish()
	if body.short.Load() {
		return 0, video.Errorf(video.Invalid, "The file became shorter while it was uploaded.")
	}
	if err != nil {
		return 0, video.Errorf(video.Unavailable, "The connection to the gateway broke.").Because(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 400 {
		return 0, problem(answer)
	}
	return offsetOf(answer)
}

const readSize = 64 << 10

// rest is the body of a PATCH.
type rest struct {
	ctx    context.Context
	upload *Upload
	from   *io.SectionReader
	limit  *rate.Limiter
	stall  *time.Timer
	read   int64
	short  atomic.Bool

	mu       sync.Mutex
	finished bool
}

// finish silences what the transport may still read after its answer.
func (r *rest) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finished = true
}

func (r *rest) moved(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.finished {
		r.stall.Reset(stallTimeout)
		r.upload.waiting(nil)
		r.upload.sent(r.upload.offset + int64(n))
	}
}

func (r *rest) Read(p []byte) (int, error) {
	if r.limit != nil {
		p = p[:min(len(p), r.limit.Burst())]
	}
	n, err := r.from.Read(p)
	r.read += int64(n)
	if err == io.EOF && r.read < r.from.Size() {
		r.short.Store(true)
	}
	if r.limit != nil && n > 0 {
		if waitErr := r.limit.WaitN(r.ctx, n); waitErr != nil {
			return n, waitErr
		}
	}
	if n > 0 {
		r.moved(n)
	}
	return n, err
}
