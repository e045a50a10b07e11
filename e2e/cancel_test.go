package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// A cancel while encoding: the encoder stops, and no byte is left anywhere, within
// five seconds. Tests run on loaded machines too and allow five times that; what
// was measured is printed.
func TestCancelWhileEncoding(t *testing.T) {
	t.Parallel()
	r := start(t, stack.Options{})
	me := r.as("me")
	v := r.upload(me, clip(t, 12, 540, true))
	r.until("an encoder runs", 30*time.Second, func() bool { return r.encoders() > 0 })
	time.Sleep(time.Second)
	asked := time.Now()
	r.ask(me, v.ID, video.Cancel)
	answered := time.Since(asked)
	if n := r.encoders(); n != 0 {
		t.Errorf("the cancel is answered, and %d encoders run", n)
	}
	r.until("no byte is left in any store", 25*time.Second, func() bool { return r.inventory(v.ID) == "" })
	empty := time.Since(asked)
	if n := r.encoders(); n != 0 {
		t.Errorf("%d encoders run again", n)
	}
	r.erased(v.ID, time.Minute)
	t.Logf("cancel while encoding: answered after %v, no byte left after %v, receipt after %v", answered, empty, time.Since(asked))
	r.wantReceipt(v.ID, video.ByCancellation)
}

// A cancel in the middle of a PATCH ends it. What was canceled can be canceled
// again until it is purged; then it is gone, as every address of it says.
func TestCancelWhileUploading(t *testing.T) {
	t.Parallel()
	r := shared(t)
	me := r.as("me")
	v, sent := r.uploading(me)
	r.ask(me, v.ID, video.Cancel)
	if err := within(sent, 20*time.Second); video.CodeOf(err) != video.Gone {
		t.Errorf("the client's upload ended with %v, want gone", err)
	}
	for _, method := range []string{http.MethodHead, http.MethodPatch} {
		if code := tus(t, method, v.UploadURL()).StatusCode; code != http.StatusGone {
			t.Errorf("after the cancel %s answers %d, want 410", method, code)
		}
	}
	if _, err := me.Command(r.ctx, v.ID, video.Cancel, video.CommandBody{}); err != nil && video.CodeOf(err) != video.Gone {
		t.Errorf("canceled again: %v", err)
	}
	r.erased(v.ID, time.Minute)
	for _, c := range []video.Command{video.Cancel, video.Pause, video.Delete} {
		if _, err := me.Command(r.ctx, v.ID, c, video.CommandBody{}); video.CodeOf(err) != video.Gone || client.StatusOf(err) != http.StatusGone {
			t.Errorf("%s after the purge: %v, want 410", c, err)
		}
	}
	if code := tus(t, http.MethodDelete, v.UploadURL()).StatusCode; code != http.StatusNoContent {
		t.Errorf("tus DELETE after the purge answers %d, want 204", code)
	}
	r.wantReceipt(v.ID, video.ByCancellation)
}

// A tus client gives its upload up by DELETE, as often as it likes.
func TestCancelByTus(t *testing.T) {
	t.Parallel()
	r := shared(t)
	v, sent := r.uploading(r.as("me"))
	for range 2 {
		if code := tus(t, http.MethodDelete, v.UploadURL()).StatusCode; code != http.StatusNoContent {
			t.Errorf("DELETE answers %d, want 204", code)
		}
	}
	if err := within(sent, 20*time.Second); video.CodeOf(err) != video.Gone {
		t.Errorf("the client's upload ended with %v, want gone", err)
	}
	r.erased(v.ID, time.Minute)
	if code := tus(t, http.MethodHead, v.UploadURL()).StatusCode; code != http.StatusGone {
		t.Errorf("HEAD after the purge answers %d, want 410", code)
	}
	r.wantReceipt(v.ID, video.ByCancellation)
}

// A cancel is answered though a store is down; the purge waits for the store.
func TestCancelWhileStoreIsDown(t *testing.T) {
	t.Parallel()
	r := start(t, stack.Options{Separate: true})
	me := r.as("me")
	v, sent := r.uploading(me)
	down := r.Parts["backup-b"]
	r.must(down.Kill())
	asked := time.Now()
	r.ask(me, v.ID, video.Cancel)
	t.Logf("with a store down a cancel was answered after %v", time.Since(asked))
	if err := within(sent, 20*time.Second); video.CodeOf(err) != video.Gone {
		t.Errorf("the client's upload ended with %v, want gone", err)
	}
	r.until("its owner sees what it waits for", time.Minute, func() bool {
		now, err := me.Video(r.ctx, v.ID)
		return err == nil && strings.Contains(now.Waits(), "backup-b")
	})
	r.must(down.Restart(r.ctx))
	r.erased(v.ID, 2*time.Minute)
	r.wantReceipt(v.ID, video.ByCancellation)
}

// uploading returns a video whose upload has begun and will not soon end.
func (r *rig) uploading(c *client.Client) (client.Video, <-chan error) {
	r.t.Helper()
	v, u := r.announce(c, clip(r.t, 3, 270, true))
	u.Rate = u.Size / 60
	sent := r.send(u)
	r.until("bytes arrive", 20*time.Second, func() bool { return r.offset(c, v.ID) > 0 })
	return v, sent
}

// within waits for an end.
func within(ended <-chan error, atMost time.Duration) error {
	select {
	case err := <-ended:
		return err
	case <-time.After(atMost):
		return context.DeadlineExceeded
	}
}

// tus sends a request without a body, which at PATCH means no bytes.
func tus(t *testing.T, method, address string, headers ...string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Tus-Resumable", "1.0.0")
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/offset+octet-stream")
		request.Header.Set("Upload-Offset", "0")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Error(err)
	}
	return answer
}

// wantReceipt checks why a video says it was erased.
func (r *rig) wantReceipt(id video.ID, why video.Ending) {
	r.t.Helper()
	raw, err := r.as("me").Receipt(r.ctx, id)
	r.must(err)
	var receipt video.Receipt
	r.must(json.Unmarshal(raw, &receipt))
	if receipt.Reason != why || receipt.VideoSHA256 != id.Hash() {
		r.t.Errorf("receipt: %s", raw)
	}
}
