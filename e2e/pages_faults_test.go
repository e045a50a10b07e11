package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

// What fails when a viewer opens a page is asked for again, and plays by itself or
// by a press of Play; what can't be played at all is not tried for ever.
func TestPlayerRecovers(t *testing.T) {
	t.Parallel()
	r := shared(t)
	id := r.upload(r.as("me"), clip(t, 15, 270, false)).ID
	r.stage(r.as("me"), id, video.Published, workTimeout)
	browser := chromium(t)
	play := `(() => { const p = document.querySelector("#player"); p.muted = true; p.play().catch(() => {}); return true })()`
	for _, part := range []string{"/playback", ".m3u8"} {
		box := newMiddleBox(t, r.URLs[0])
		box.answer(breaks(part))
		w := browser.window(t)
		w.do(chromedp.Navigate(box.URL + "/watch/" + string(id)))
		run[bool](w, play)
		w.says("Waiting for the network")
		box.answer(nil)
		run[bool](w, play)
		w.plays("recovered")
		w.until("it complains no more", `document.querySelector("#notice").innerText === ""`)
	}

	box := newMiddleBox(t, r.URLs[0])
	box.answer(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, ".ts") {
			_, _ = w.Write([]byte(strings.Repeat("no video ", 5000)))
		}
		return strings.HasSuffix(r.URL.Path, ".ts")
	})
	w := browser.window(t)
	w.do(chromedp.Navigate(box.URL + "/watch/" + string(id)))
	run[bool](w, play)
	w.says("can't be played by this browser")
	box.answer(nil)
	run[bool](w, play)
	w.plays("decoded")
}

// reviewed makes a video that waits for a reviewer.
func reviewed(r *rig, author, reviewer string) video.ID {
	r.t.Helper()
	path := clip(r.t, 4, 270, false)
	data, err := os.ReadFile(path)
	r.must(err)
	c := r.as(author)
	v, err := c.Create(r.ctx, client.NewVideo{
		Title: "To be reviewed", Review: true, Reviewers: []string{reviewer}, Visibility: "private",
		Source: client.Source{Size: int64(len(data)), Filename: "clip.mp4"},
	})
	r.must(err)
	r.must((&client.Upload{Client: c, URL: v.UploadURL(), File: strings.NewReader(string(data)), Size: int64(len(data))}).Run(r.ctx))
	r.stage(c, v.ID, video.Reviewing, workTimeout)
	return v.ID
}

// A reviewer decides on the page, is asked before a rejection, and reads the outcome.
func TestPagesOfReviewers(t *testing.T) {
	t.Parallel()
	r := shared(t)
	browser := chromium(t)
	opens := func(id video.ID) *author {
		w := &author{window: browser.window(t), rig: r, t: t, name: "reviewer-of-pages"}
		w.do(chromedp.Navigate(r.URLs[0] + "/signin?user=" + w.name + "&next=/watch/" + string(id)))
		w.says("approve or reject it")
		return w
	}
	approved, rejected := reviewed(r, "author-of-reviews", "reviewer-of-pages"), reviewed(r, "author-of-reviews", "reviewer-of-pages")

	w := opens(approved)
	w.press("Approve")
	r.stage(r.as("author-of-reviews"), approved, video.Published, workTimeout)
	w.until("nobody is told of a deletion", `!/deleted/i.test(document.body.innerText) && /publish/i.test(document.querySelector("main").innerText)`)

	w = opens(rejected)
	w.press("Reject")
	w.until("the page asks", `document.querySelector("#confirm-reject[role=alertdialog]").open`)
	w.shot("reject")
	w.press("Keep")
	w.until("the keyboard is where it was", `document.activeElement.innerText === "Reject"`)
	if v := r.stage(r.as("author-of-reviews"), rejected, video.Reviewing, pageTimeout); v.Failure != nil {
		t.Errorf("kept, and rejected: %+v", v.Failure)
	}
	w.press("Reject")
	w.press("Yes, reject")
	w.until("the page says so", `/rejected|did not approve/i.test(document.querySelector("#notice").innerText)`)
	r.stage(r.as("author-of-reviews"), rejected, video.Rejected, workTimeout)
}

// What lies between a page and the gateway stops no upload.
func TestUploadThroughMiddleBoxes(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	for name, does := range map[string]func(*author, *middleBox){
		"a proxy that takes a megabyte":   throughSmallProxy,
		"a portal in the middle":          throughPortal,
		"a store that is down for a time": throughUnavailable,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := shared(t)
			a := &author{window: browser.window(t), rig: r, t: t, name: "author-" + letters(name)}
			box := newMiddleBox(t, r.URLs[0])
			a.do(chromedp.Navigate(box.URL + "/signin?user=" + a.name + "&next=/upload"))
			does(a, box)
		})
	}
}

func throughSmallProxy(a *author, box *middleBox) {
	box.answer(takesAtMost(1 << 20))
	path := noisy(a.t)
	if sizeOf(a.t, path) < 3<<20 {
		a.t.Fatal("the file passes at once")
	}
	a.choose(path)
	a.press("Upload")
	id := a.id()
	a.published(id)
	if sent := a.patches(); len(sent) < 3 {
		a.t.Errorf("sent by requests from %v only", sent)
	}
}

func throughPortal(a *author, box *middleBox) {
	id := a.begins(noisy(a.t))
	box.answer(portal)
	a.says("Waiting for the network")
	a.press("Pause")
	a.says("The server can't be reached")
	if v, err := a.rig.as(a.name).Video(a.rig.ctx, id); err != nil || v.Paused {
		a.t.Errorf("a portal's answer was taken for a pause: %+v %v", v, err)
	}
	a.until("nothing is taken for an end", `/Waiting for the network/.test(document.querySelector("#where").innerText)`)
	box.answer(nil)
	a.paceUploads(-1)
	a.published(id)
}

// Bytes that leave this device, and are stored by nobody, are no reason to hurry.
func throughUnavailable(a *author, box *middleBox) {
	id := a.begins(noisy(a.t))
	a.paceUploads(-1)
	a.patches()
	box.answer(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch {
			return false
		}
		_, _ = http.MaxBytesReader(w, r.Body, 1<<30).Read(make([]byte, 1<<20))
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"status":503,"code":"unavailable","detail":"The store is away."}`))
		return true
	})
	a.says("Waiting for the server")
	a.patches()
	time.Sleep(8 * time.Second)
	if sent := a.patches(); len(sent) > 3 {
		a.t.Errorf("tried %d times in 8 s, asked to wait 3 s each time", len(sent))
	}
	box.answer(nil)
	a.published(id)
}

// copyOf is a file of its own with the bytes of another.
func copyOf(t *testing.T, path, name string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// The file on disk, and what a page can know of it.
func TestUploadOfFiles(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	for name, does := range map[string]func(*author){
		"changed while it is sent":   changesFile,
		"the same under a new name":  choosesRenamed,
		"a photo":                    choosesPhoto,
		"several, dropped beside":    dropsSeveral,
		"an expired session":         sessionExpires,
		"nothing, then a wrong date": leadsToFields,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := shared(t)
			a := &author{window: browser.window(t), rig: r, t: t, name: "author-" + letters(name)}
			a.do(chromedp.Navigate(r.URLs[0] + "/signin?user=" + a.name + "&next=/upload"))
			does(a)
		})
	}
}

func changesFile(a *author) {
	path := copyOf(a.t, noisy(a.t), "growing.mp4")
	id := a.begins(path)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	a.rig.must(err)
	_, err = f.WriteString("x")
	a.rig.must(err)
	a.rig.must(f.Close())
	began := time.Now()
	a.says("This file was changed or can't be read any more; choose it again.")
	if took := time.Since(began); took > 30*time.Second {
		a.t.Errorf("noticed after %v", took)
	}
	a.rests(id)
	a.choose(path)
	a.says("This is another file")
	a.paceUploads(-1)
	a.choose(copyOf(a.t, noisy(a.t), "as-it-was.mp4"))
	a.published(id)
}

func choosesRenamed(a *author) {
	path := noisy(a.t)
	id := a.begins(path)
	a.do(chromedp.Navigate(a.rig.URLs[0] + "/upload"))
	a.says("stored, until")
	a.paceUploads(-1)
	a.choose(copyOf(a.t, path, "another name.mov"))
	if again := a.id(); again != id {
		a.t.Fatal("the same film has become a second video")
	}
	a.published(id)
	made, _, err := a.rig.as(a.name).Videos(a.rig.ctx, "", "")
	if a.rig.must(err); len(made) != 1 {
		a.t.Errorf("there are %d videos", len(made))
	}
}

func choosesPhoto(a *author) {
	path := filepath.Join(a.t.TempDir(), "IMG_0001.mp4")
	a.rig.must(os.WriteFile(path, []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"+strings.Repeat("\x00", 1000)), 0o600))
	a.choose(path)
	a.says("This is a still picture (HEIC), not a video")
	a.until("the field is marked", `document.querySelector("#file").ariaInvalid === "true" && document.querySelector("#file").getAttribute("aria-describedby").includes("refusal")`)
	a.press("Upload")
	a.until("the keyboard is led there", `document.activeElement.id === "file"`)
	made, _, err := a.rig.as(a.name).Videos(a.rig.ctx, "", "")
	if a.rig.must(err); len(made) != 0 {
		a.t.Errorf("%d videos were made", len(made))
	}
}

func dropsSeveral(a *author) {
	one, two := copyOf(a.t, clip(a.t, 4, 270, false), "first.mp4"), copyOf(a.t, clip(a.t, 6, 270, false), "second.mp4")
	drop := `(() => { const d = new DataTransfer(); for (const f of window.held) d.items.add(f);
		return document.querySelector("h1").dispatchEvent(new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: d})) })()`
	if run[bool](a.window, `document.body.dispatchEvent(new DragEvent("dragover", {bubbles: true, cancelable: true, dataTransfer: new DataTransfer()}))`) {
		a.t.Error("the browser would open what is dropped beside the zone")
	}
	a.do(chromedp.SetUploadFiles("input[type=file]", []string{one, two}))
	a.says("1 more, sent one after the other")
	run[bool](a.window, `(window.held = [...document.querySelector("#file").files]).length === 2`)
	run[bool](a.window, `(document.querySelector("#file").value = "") === ""`)
	if run[bool](a.window, drop) {
		a.t.Error("the browser opens what was dropped")
	}
	a.says("1 more, sent one after the other")
	a.press("Upload")
	a.says("second")
	a.rig.until("both are published", workTimeout, func() bool {
		made, _, err := a.rig.as(a.name).Videos(a.rig.ctx, string(video.Published), "")
		return err == nil && len(made) == 2
	})
	a.until("the first one is listed", `document.querySelector("#before a")?.innerText === "first"`)
	a.until("the page follows the second one", `document.querySelector("#where").innerText === "Published"`)
	if title := run[string](a.window, `document.querySelector("h1").innerText`); title != "second" {
		a.t.Errorf("the second video is titled %q", title)
	}
	a.complained()
}

// A page of nobody in another tab: the cookie has expired, nobody has signed out.
func sessionExpires(a *author) {
	id := a.begins(noisy(a.t))
	other := &author{window: a.tab(), rig: a.rig, t: a.t, name: a.name}
	other.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, network.ClearBrowserCookies, cdp.Empty{})
		return err
	}))
	other.do(chromedp.Navigate(a.rig.URLs[0] + "/watch/" + string(id)))
	other.says("There is nothing here")
	other.until("signing in leads back", `document.querySelector("header a[href^='/signin']").href.toLowerCase().endsWith("?next=%2fwatch%2f`+string(id)+`")`)
	had := a.stored(id)
	a.rig.until("it goes on", pageTimeout, func() bool { return a.stored(id) > had })
	if kept := run[int](a.window, `Object.keys(localStorage).filter(k => k.startsWith("reelflow.upload.")).length`); kept != 1 {
		a.t.Errorf("the browser remembers %d files", kept)
	}
	a.paceUploads(-1)
	a.rig.stage(a.rig.as(a.name), id, video.Published, workTimeout)
}

func leadsToFields(a *author) {
	a.press("Upload")
	a.says("Choose a video first.")
	a.until("the keyboard is at the file", `document.activeElement.id === "file" && document.activeElement.ariaInvalid === "true"`)
	a.until("live regions are there before they speak", `["#where", "#problem", "#advice"].every(s => !document.querySelector(s).hidden)`)
	a.choose(clip(a.t, 4, 270, false))
	a.until("nothing is refused any more", `document.querySelector("[aria-invalid]") === null && document.querySelector("#refusal").innerText === ""`)
}

// One window of a browser holds the stream of events for all: six pages of videos
// leave connections for a seventh, which sends.
func TestManyTabs(t *testing.T) {
	t.Parallel()
	r := shared(t)
	box := newMiddleBox(t, r.URLs[0])
	id := r.upload(r.as("many-tabs"), clip(t, 15, 270, false)).ID
	r.stage(r.as("many-tabs"), id, video.Published, workTimeout)
	box.answer(box.eventsOfMany(r.URLs[0]))
	first := &author{window: chromium(t).window(t), rig: r, t: t, name: "many-tabs"}
	first.do(chromedp.Navigate(box.URL + "/signin?user=many-tabs&next=/watch/" + string(id)))
	first.plays("first-tab")
	tabs := []*window{first.window}
	for range 5 {
		w := first.tab()
		w.do(chromedp.Navigate(box.URL + "/watch/" + string(id)))
		tabs = append(tabs, w)
	}
	for _, w := range tabs {
		w.until("it has buttons", `[...document.querySelectorAll("#controls button")].some(b => b.innerText === "Delete")`)
	}
	if open := box.open(); open != 1 {
		t.Errorf("%d streams are open", open)
	}
	sends := &author{window: first.tab(), rig: r, t: t, name: "many-tabs"}
	sends.do(chromedp.Navigate(box.URL + "/upload"))
	sends.choose(noisy(t))
	sends.press("Upload")
	another := sends.id()
	sends.published(another)
	if open := box.open(); open != 1 {
		t.Errorf("%d streams are open for two videos", open)
	}

	// The window that holds the stream goes, and another takes it over.
	first.do(chromedp.Navigate("about:blank"))
	tabs[1].press("Delete")
	tabs[1].press("Yes, delete")
	for _, w := range tabs[1:] {
		w.until("each is told", `/deleted/i.test(document.querySelector("#notice").innerText)`)
	}
	sends.press("Delete")
	sends.press("Yes, delete")
	sends.says("Deleted")
}

// An embed holds no stream before somebody plays it, and is told of a deletion then.
func TestEmbedsHoldNoStream(t *testing.T) {
	t.Parallel()
	r := shared(t)
	box := newMiddleBox(t, r.URLs[0])
	id := r.upload(r.as("me"), clip(t, 15, 270, false)).ID
	r.stage(r.as("me"), id, video.Published, workTimeout)
	w := chromium(t).window(t)
	w.do(chromedp.Navigate(box.URL + "/embed/" + string(id)))
	w.until("the player is ready", `(document.querySelector("#player")?.readyState ?? 0) >= 2`)
	if open := box.open(); open != 0 {
		t.Errorf("%d streams are open", open)
	}
	w.plays("embed-plays")
	r.until("there is one", pageTimeout, func() bool { return box.open() == 1 })
	w.hides(true)
	r.until("nobody looks, and there is none", pageTimeout, func() bool { return box.open() == 0 })
	run[bool](w, `(() => { const p = document.querySelector("#player"); p.loop = true; p.play(); return true })()`)
	w.hides(false)
	r.until("there is one again", pageTimeout, func() bool { return box.open() == 1 })
	r.ask(r.as("me"), id, video.Delete)
	w.until("it is told", `/deleted/i.test(document.querySelector("#notice").innerText) && document.querySelector("#player").hidden`)
}

// hides lets the page believe that nobody can see it, or somebody can again.
func (w *window) hides(yes bool) {
	w.t.Helper()
	run[bool](w, fmt.Sprintf(`(() => { Object.defineProperty(document, "hidden", {configurable: true, get: () => %t});
		return document.dispatchEvent(new Event("visibilitychange")) })()`, yes))
}
