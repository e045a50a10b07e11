package client

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/reelflow/reelflow/video"
)

// Upload sends a file to an upload that exists, by tus 1.0
// (https://tus.io/protocols/resumable-upload): it asks how far that is, and sends the
// rest in pieces of a few seconds each, with a PATCH for each. After whatever breaks one
// it asks again.
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
	// pass, when it changes; a refusal with HTTP status 423 each time, for a pause, a
	// draft and another connection that has the upload look alike. It is told nil once
	// bytes go again.
	Waits func(why error)
	// Unchanged, if set, is asked before the end of each piece whether File still is
	// what it was. Its error ends Run, before the last byte is sent.
	Unchanged func() error
	// Announce tells the gateway Size with the first bytes, for an upload whose
	// length was not known when it was made (tus: Upload-Defer-Length).
	Announce bool
	// Patience is how long an upload may stand still, unpaused, before Run gives
	// up; 10 minutes by default.
	Patience time.Duration

	pieces pieces
	limit  *rate.Limiter // for Rate
	video  video.ID      // whose upload it is, as far as the gateway has said
	known  bool          // stored is what the gateway said last
	stored int64         // bytes
	asks   bool          // the next PATCH waits for 100 Continue
	deaf   bool          // something on the way doesn't know Expect

	offset int64 // of the next byte to be read for sending
	paused bool
	waits  string // what Waits was told last
}

const (
	// A connection on which nothing moves for so long is given up.
	stallTimeout = 45 * time.Second
	// lockedWait is how long a refusal with status 423 is waited out that doesn't say so itself.
	lockedWait = time.Second
)

// Run sends what is missing and returns nil once every byte is stored. It waits
// through pauses, and tries again after whatever may pass. It fails with Gone
// when the upload was canceled, was deleted or expired, with TooLarge when something on
// the way takes not even the smallest piece, and with ctx's error; after these but Gone
// another Run goes on from the last byte stored.
func (u *Upload) Run(ctx context.Context) error {
	u.begin()
	moved, last, attempt := time.Now(), int64(-1), 0
	for {
		offset, err := u.step(ctx)
		grew := offset > last
		if grew || u.paused {
			moved, last, attempt = time.Now(), max(offset, last), 0
		}
		switch {
		case err == nil && offset == u.Size:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !retryable(err):
			return err
		case time.Since(moved) > u.Patience:
			return errors.Join(video.Errorf(video.Unavailable, "The upload has stood still for %v.", u.Patience), err)
		case err == nil && grew, errors.Is(err, errOtherwise):
			continue
		}
		if err := u.wait(ctx, attempt, err); err != nil {
			return err
		}
		attempt++
	}
}

func (u *Upload) begin() {
	if u.Patience == 0 {
		u.Patience = 10 * time.Minute
	}
	if u.Rate > 0 {
		u.limit = rate.NewLimiter(rate.Limit(u.Rate), int(min(u.Rate, readSize)))
	}
	u.pieces, u.known, u.asks = newPieces(), false, true
}

// errOtherwise asks for another attempt at once: it won't be the same.
var errOtherwise = errors.New("to be tried otherwise")

// retryable reports whether the rest may be taken later: while paused (423),
// when another connection holds the upload or the offset was another (409).
func retryable(err error) bool {
	if _, ours := errors.AsType[fileError](err); ours {
		return false
	}
	switch StatusOf(err) {
	case http.StatusLocked, http.StatusConflict, http.StatusRequestTimeout:
		return true
	}
	return passing(err) || errors.Is(err, errOtherwise)
}

// step sends the next piece, after asking for the offset where that isn't known. It
// returns the offset that the gateway has confirmed.
func (u *Upload) step(ctx context.Context) (int64, error) {
	if !u.known {
		offset, err := u.head(ctx)
		if err != nil {
			return u.stored, err
		}
		u.known, u.stored = true, offset
	}
	if u.stored == u.Size {
		return u.stored, nil
	}
	u.sent(u.stored)
	n := u.pieces.size(u.stored, u.Size-u.stored)
	began := time.Now()
	after, err := u.patch(ctx, u.stored, n)
	u.paused = StatusOf(err) == http.StatusLocked
	if err != nil {
		u.known, u.asks = false, true
		return u.stored, u.learn(n, err)
	}
	u.pieces.sent(n, time.Since(began))
	u.asks, u.Announce, u.stored = false, false, after
	return after, nil
}

// learn decides what a failed piece means for the next one.
func (u *Upload) learn(n int64, err error) error {
	answer := refusalOf(err)
	switch {
	case answer.status == http.StatusRequestEntityTooLarge && !answer.explained:
		if !u.pieces.refused(n) {
			return video.Errorf(video.TooLarge, "Something on the way to the gateway, such as a proxy, takes no request of %d KiB. "+
				"Whoever runs it has to allow more.", n>>10).Because(err)
		}
		return errors.Join(errOtherwise, err)
	case answer.status == http.StatusExpectationFailed && !u.deaf:
		u.deaf = true
		return errors.Join(errOtherwise, err)
	case answer.status == 0, answer.status == http.StatusRequestTimeout, answer.status >= 500 && !answer.explained:
		u.pieces.broke(n)
	}
	return err
}

// wait waits before the next attempt and tells why. While the video is paused it looks
// for the end of that, so that no answer's Retry-After makes a resume late.
func (u *Upload) wait(ctx context.Context, attempt int, why error) error {
	if why != nil {
		u.waiting(why)
	}
	if !u.paused {
		return sleep(ctx, pauseBefore(attempt, why))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan struct{})
	following := make(chan struct{})
	go func() {
		defer close(following)
		if u.video != "" && u.untilResumed(ctx) == nil {
			close(over)
		}
	}()
	var err error
	select {
	case <-over:
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(cmp.Or(min(refusalOf(why).wait, longestWait), lockedWait)):
	}
	cancel()
	<-following
	return err
}

// untilResumed returns nil once a video that was paused, or a draft, is so no more. It
// fails when the video can't be followed, and with ctx's error for one that was neither.
func (u *Upload) untilResumed(ctx context.Context) error {
	var first *Video
	return u.Client.Follow(ctx, u.video, func(v Video) error {
		switch {
		case first == nil && (v.Paused || v.Stage == video.Draft):
			first = &v
		case first != nil && (first.Paused != v.Paused || first.Stage != v.Stage):
			return Done
		}
		return nil
	})
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
	u.video = video.ID(answer.Header.Get("Reelflow-Video"))
	return u.offsetOf(answer)
}

// offsetOf is how far the upload is by an answer. One that doesn't say so is not the
// gateway's, whatever its status.
func (u *Upload) offsetOf(answer *http.Response) (int64, error) {
	offset, err := strconv.ParseInt(answer.Header.Get("Upload-Offset"), 10, 64)
	if err != nil || offset < 0 || offset > u.Size {
		return 0, notTheGateway(answer)
	}
	return offset, nil
}

// patch sends n bytes from offset. With Expect: 100-continue (RFC 9110,
// section 10.1.1) no bytes are wasted on a gateway that refuses them.
func (u *Upload) patch(ctx context.Context, offset, n int64) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stall := time.AfterFunc(stallTimeout, cancel)
	defer stall.Stop()
	body := &piece{ctx: ctx, upload: u, from: io.NewSectionReader(u.File, offset, n), stall: stall}
	request, err := u.Client.request(ctx, http.MethodPatch, u.URL, body, "Tus-Resumable", "1.0.0",
		"Content-Type", "application/offset+octet-stream", "Upload-Offset", strconv.FormatInt(offset, 10))
	if err != nil {
		return 0, err
	}
	request.ContentLength = n
	if u.Announce {
		request.Header.Set("Upload-Length", strconv.FormatInt(u.Size, 10))
	}
	if u.asks && !u.deaf {
		request.Header.Set("Expect", "100-continue")
	}
	answer, err := u.Client.http.Do(request)
	if failed := body.finish(); failed != nil {
		if err == nil {
			answer.Body.Close()
		}
		return 0, failed
	}
	if err != nil {
		return 0, video.Errorf(video.Unavailable, "The connection to the gateway broke.").Because(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 400 {
		return 0, problem(answer)
	}
	after, err := u.offsetOf(answer)
	if err == nil && after < offset {
		return 0, video.Errorf(video.Unavailable, "The gateway has lost what it had stored of the upload.")
	}
	return after, err
}

const readSize = 64 << 10

// fileError is what is wrong with the file: no connection mends it.
type fileError struct{ error }

func (e fileError) Unwrap() error { return e.error }

// piece is the body of a PATCH.
type piece struct {
	ctx    context.Context
	upload *Upload
	from   *io.SectionReader
	stall  *time.Timer
	read   int64

	mu       sync.Mutex
	finished bool
	failed   error // of the file, not of the connection
}

// finish silences what the transport may still read after its answer, and returns what
// was wrong with the file.
func (p *piece) finish() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finished = true
	return p.failed
}

func (p *piece) moved(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.finished {
		p.stall.Reset(stallTimeout)
		p.upload.waiting(nil)
		p.upload.sent(p.upload.offset + int64(n))
	}
}

func (p *piece) fail(why error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = fileError{why}
	return p.failed
}

// Read reads on. The last bytes are given only if the file still is what it was.
func (p *piece) Read(into []byte) (int, error) {
	if p.upload.limit != nil {
		into = into[:min(len(into), p.upload.limit.Burst())]
	}
	n, err := p.from.Read(into)
	p.read += int64(n)
	switch {
	case err == io.EOF && p.read < p.from.Size():
		return 0, p.fail(video.Errorf(video.Invalid, "The file became shorter while it was uploaded."))
	case err != nil && err != io.EOF:
		return 0, p.fail(video.Errorf(video.Invalid, "The file can't be read any more.").Because(err))
	case n > 0 && p.read == p.from.Size() && p.upload.Unchanged != nil:
		if changed := p.upload.Unchanged(); changed != nil {
			return 0, p.fail(changed)
		}
	}
	if p.upload.limit != nil && n > 0 {
		if waitErr := p.upload.limit.WaitN(p.ctx, n); waitErr != nil {
			return n, waitErr
		}
	}
	if n > 0 {
		p.moved(n)
	}
	return n, err
}
