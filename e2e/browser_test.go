package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/reelflow/reelflow/video"
)

// A person opens the link, watches, and sees the player destroyed the moment that
// the owner deletes the video in another window.
func TestPagesInChromium(t *testing.T) {
	t.Parallel()
	r := shared(t)
	me := r.as("me")
	id := r.upload(me, clip(t, 15, 270, false)).ID
	r.stage(me, id, video.Published, workTimeout)
	browser := chromium(t)
	address := r.URLs[0]

	embedded := browser.window(t)
	embedded.do(chromedp.Navigate(address + "/embed/" + string(id)))
	embedded.plays("embed")
	watching := browser.window(t)
	watching.do(chromedp.Navigate(address + "/watch/" + string(id)))
	watching.plays("watch")
	owning := browser.window(t)
	owning.do(chromedp.Navigate(address + "/signin?user=me&next=/watch/" + string(id)))
	owning.plays("watch-owner")
	for _, w := range []*window{embedded, watching, owning} {
		w.complained() // from here on requests may be answered with 410
	}

	owning.press("Delete")
	owning.until("the page asks", `document.querySelector("#confirm-delete").open`)
	owning.shot("delete")
	owning.press("Yes, delete")
	for _, w := range []*window{owning, watching, embedded} {
		w.until("the page says that it was deleted", `/deleted/i.test(document.querySelector("#notice").innerText)`)
		w.until("the player is destroyed", `(() => { const p = document.querySelector("#player");
			return p.hidden && p.paused && p.readyState === 0 && !p.hasAttribute("src") && p.buffered.length === 0 })()`)
	}
	watching.shot("deleted")
	r.erased(id, workTimeout)
	if code := get(t, address+"/watch/"+string(id)); code != http.StatusGone {
		t.Errorf("the link answers %d after the purge, want 410", code)
	}
	watching.do(chromedp.Reload())
	watching.until("the link says so, too", `/deleted/i.test(document.body.innerText)`)
	for _, w := range []*window{embedded, watching, owning} {
		w.mu.Lock()
		for _, error := range w.errors {
			if !strings.Contains(error, "410") && !strings.Contains(error, "404") {
				t.Errorf("after the deletion the page complained: %s", error)
			}
		}
		w.mu.Unlock()
	}
}

// How long a test of the pages waits before it takes what it waits for as not
// coming: what takes a second here may take minutes where everything else is
// being built at the same time.
const (
	pageTimeout = 90 * time.Second // something that the page shows, or the gateway does at once
	workTimeout = 5 * time.Minute  // a video is processed, or erased
)

// browser is a Chromium with a profile of its own.
type browser struct{ ctx context.Context }

func chromium(t *testing.T) browser {
	t.Helper()
	flags := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1000, 900),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), flags...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		cancel()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("these tests need Chromium (on Debian: apt-get install chromium): %v", err)
	}
	return browser{ctx}
}

// window is a page that notes every complaint in its console: errors of scripts,
// violations of the content security policy, requests that failed. It shares no
// cookie with the others.
type window struct {
	t      *testing.T
	ctx    context.Context
	mu     sync.Mutex
	errors []string
	sent   []int64 // where each PATCH began
}

func (b browser) window(t *testing.T) *window {
	t.Helper()
	w := &window{t: t}
	var cancel context.CancelFunc
	w.ctx, cancel = chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(w.hear))
	t.Cleanup(cancel)
	return w
}

// another is a window of the same browser program that shares nothing with this one.
func (w *window) another() *window { return browser{w.ctx}.window(w.t) }

// tab is another page of the same person in the same browser.
func (w *window) tab() *window {
	w.t.Helper()
	another := &window{t: w.t}
	var cancel context.CancelFunc
	another.ctx, cancel = chromedp.NewContext(w.ctx, chromedp.WithListener(another.hear))
	w.t.Cleanup(cancel)
	return another
}

func (w *window) hear(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		w.note((&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
	case *network.EventRequestWillBeSent:
		if e.Request.Method == http.MethodPatch {
			w.patch(e.Request.Headers)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			w.note(fmt.Sprintf("%s (%s)", e.Entry.Text, e.Entry.URL))
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			w.note(fmt.Sprintf("console.error: %v", e.Args))
		}
	}
}

func (w *window) note(complaint string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errors = append(w.errors, complaint)
}

func (w *window) patch(headers network.Headers) {
	for name, value := range headers {
		if text, ok := value.(string); ok && strings.EqualFold(name, "Upload-Offset") {
			offset, _ := strconv.ParseInt(text, 10, 64)
			w.mu.Lock()
			w.sent = append(w.sent, offset)
			w.mu.Unlock()
		}
	}
}

// patches returns where each PATCH began that was sent, and forgets them.
func (w *window) patches() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := w.sent
	w.sent = nil
	return sent
}

// complained fails the test for every complaint so far, and forgets them.
func (w *window) complained() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, error := range w.errors {
		w.t.Errorf("the page complained: %s", error)
	}
	w.errors = nil
}

// excuse forgets the complaints that say this.
func (w *window) excuse(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errors = slices.DeleteFunc(w.errors, func(e string) bool { return strings.Contains(e, text) })
}

func (w *window) do(action chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	if err := chromedp.Do(w.ctx, action); err != nil {
		w.t.Fatal(err)
	}
}

// run runs a script and returns its value.
func run[T any](w *window, script string) T {
	w.t.Helper()
	value, err := chromedp.Run(w.ctx, chromedp.Evaluate[T](script))
	if err != nil {
		w.t.Fatal(err)
	}
	return value
}

// until waits until an expression is true in the page. One that is just being left
// can't be asked: its answer is that of the next.
func (w *window) until(what, expression string) {
	w.t.Helper()
	for end := time.Now().Add(pageTimeout); ; time.Sleep(50 * time.Millisecond) {
		if holds, err := chromedp.Run(w.ctx, chromedp.Evaluate[bool](expression)); holds && err == nil {
			return
		}
		if time.Now().After(end) {
			w.shot("failed")
			w.t.Fatalf("not so after %v: %s\nthe page says: %s\nits console: %s", pageTimeout, what, run[string](w, `document.body.innerText`), w.errors)
		}
	}
}

// plays starts the player and waits until it has played a while.
func (w *window) plays(name string) {
	w.t.Helper()
	w.until("the player is ready", `(document.querySelector("#player")?.readyState ?? 0) >= 2`)
	run[chromedp.Void](w, `(() => { const p = document.querySelector("#player"); p.muted = true; p.play() })()`)
	w.until("it plays", `document.querySelector("#player").currentTime > 1.5`)
	w.until("it shows a picture", `document.querySelector("#player").getVideoPlaybackQuality().totalVideoFrames > 20`)
	w.shot(name)
}

// press clicks the button of that name.
func (w *window) press(name string) {
	w.t.Helper()
	button := fmt.Sprintf(`[...document.querySelectorAll("button")].find(b => b.innerText.trim() === %q && b.checkVisibility())`, name)
	w.until("there is a button "+name, button+" !== undefined")
	run[chromedp.Void](w, button+".click()")
}

// shot keeps pictures of the page where E2E_SHOTS says: as it is, in the dark, and
// as narrow as phones are.
func (w *window) shot(name string) {
	w.t.Helper()
	folder := os.Getenv("E2E_SHOTS")
	if folder == "" {
		return
	}
	w.picture(filepath.Join(folder, name+".png"))
	w.scheme("dark")
	w.picture(filepath.Join(folder, name+"-dark.png"))
	w.do(chromedp.EmulateViewport(phone, 800))
	w.picture(filepath.Join(folder, name+"-phone.png"))
	w.scheme("light")
	w.do(chromedp.EmulateViewport(1000, 760))
}

const phone = 360 // pixels wide

func (w *window) picture(path string) {
	w.t.Helper()
	picture, err := chromedp.Run(w.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, picture, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *window) scheme(name string) {
	w.t.Helper()
	w.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return err
	}))
}
