package e2e

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"

	"github.com/reelflow/reelflow/video"
)

// author is somebody at the pages.
type author struct {
	*window
	rig  *rig
	t    *testing.T
	name string
}

const slow = 200_000 // bytes a second, so that there is a middle

// paceUploads lets this window send so many bytes a second; -1 for as many as it can.
func (w *window) paceUploads(bytesPerSecond float64) {
	w.t.Helper()
	conditions := networkConditions{UploadThroughput: bytesPerSecond, DownloadThroughput: -1}
	w.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulateNetworkConditions, conditions)
		return err
	}))
}

// networkConditions are the parameters of Network.emulateNetworkConditions. What
// follows it, Network.emulateNetworkConditionsByRule, is not the same in all versions of
// Chromium, and the library has the newest form alone.
type networkConditions struct {
	Offline            bool    `json:"offline"`
	Latency            float64 `json:"latency"`            // milliseconds
	DownloadThroughput float64 `json:"downloadThroughput"` // bytes a second
	UploadThroughput   float64 `json:"uploadThroughput"`
}

var emulateNetworkConditions = cdp.Command[networkConditions, struct{}]{Method: "Network.emulateNetworkConditions"}

// choose puts a file into the input that is labelled Video.
func (w *window) choose(path string) {
	w.t.Helper()
	w.until("there is a file input labelled Video", `(() => { const i = document.querySelector("input[type=file]");
		return i?.checkVisibility() && i.labels[0].innerText === "Video" })()`)
	w.do(chromedp.SetUploadFiles("input[type=file]", []string{path}))
}

// fill writes into a field as somebody would.
func (w *window) fill(id, value string) {
	w.t.Helper()
	run[bool](w, `(() => { const e = document.querySelector("#`+id+`"); e.value = "`+value+`"; e.dispatchEvent(new Event("input", {bubbles: true})); return true })()`)
}

func (w *window) says(text string) {
	w.t.Helper()
	w.until("the page says "+text, `document.body.innerText.includes(`+strconv.Quote(text)+`)`)
}

// id is the video that the address of the page names.
func (a *author) id() video.ID {
	a.t.Helper()
	a.until("the address names the video", `/[?&]video=|\/watch\//.test(location.href)`)
	return video.ID(run[string](a.window, `location.search.replace("?video=", "") || location.pathname.replace("/watch/", "")`))
}

// stored is how many bytes of the video the server has.
func (a *author) stored(id video.ID) int64 { return a.rig.offset(a.rig.as(a.name), id) }

// begins chooses a file and sends some of it slowly.
func (a *author) begins(path string) video.ID {
	a.t.Helper()
	a.paceUploads(slow)
	a.choose(path)
	a.press("Upload")
	id := a.id()
	a.rig.until("some of it is stored", pageTimeout, func() bool { return a.stored(id) > 0 })
	if size := sizeOf(a.t, path); a.stored(id) == size {
		a.t.Fatal("there was no middle: all of it is stored")
	}
	return id
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// rests checks that nothing is stored for a while.
func (a *author) rests(id video.ID) int64 {
	a.t.Helper()
	before := a.stored(id)
	time.Sleep(1200 * time.Millisecond)
	if after := a.stored(id); after != before {
		a.t.Errorf("%d bytes were stored meanwhile", after-before)
	}
	return before
}

func (a *author) published(id video.ID) {
	a.t.Helper()
	a.rig.stage(a.rig.as(a.name), id, video.Published, workTimeout)
	a.until("the page says that it is published", `document.querySelector("#where").innerText === "Published"`)
}

// keepsNothing looks into what the browser remembers.
func (a *author) keepsNothing() {
	a.t.Helper()
	if kept := run[string](a.window, `Object.keys(localStorage).filter(k => k.startsWith("reelflow.upload.")).join()`); kept != "" {
		a.t.Errorf("the browser still keeps %s", kept)
	}
}

// fits checks that nothing of the page is cut off on a phone.
func (w *window) fits() {
	w.t.Helper()
	w.do(chromedp.EmulateViewport(phone, 800))
	if wide := run[int](w, `document.documentElement.scrollWidth`); wide > phone {
		w.t.Errorf("on a phone of %d pixels the page is %d wide", phone, wide)
	}
	w.do(chromedp.EmulateViewport(1000, 760))
}

// presses is what somebody does who has a keyboard only. Without a name it is for
// whatever has the focus.
func (w *window) presses(name, key string) {
	w.t.Helper()
	if name != "" {
		w.until("there is a button "+name, `(() => { const b = [...document.querySelectorAll("button")].find(b => b.innerText === "`+name+`" && b.checkVisibility());
			b?.focus(); return b !== undefined && document.activeElement === b })()`)
	}
	w.do(chromedp.KeyEvent(key))
}

// named checks that whatever can be operated has a name, for those who don't see it.
func (w *window) named() {
	w.t.Helper()
	tree, err := chromedp.Run(w.ctx, func(ctx context.Context, _ *chromedp.Target) (accessibility.GetFullAXTreeResult, error) {
		return chromedp.Call(ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	})
	if err != nil {
		w.t.Fatal(err)
	}
	operated, found := []string{"button", "link", "textbox", "combobox", "checkbox", "radio", "spinbutton", "progressbar", "alertdialog"}, 0
	for _, n := range tree.Nodes {
		if n.Ignored || n.Role == nil || !slices.Contains(operated, textOf(n.Role)) {
			continue
		}
		found++
		if n.Name == nil || textOf(n.Name) == "" {
			w.t.Errorf("a %s has no name", textOf(n.Role))
		}
	}
	if found < 5 {
		w.t.Errorf("found %d controls only", found)
	}
}

func textOf(v *accessibility.Value) string { return strings.Trim(string(v.Value), `"`) }

// arrived checks that viewers may download what the author sent.
func (a *author) arrived(id video.ID, path string) {
	a.t.Helper()
	want, err := os.ReadFile(path)
	a.rig.must(err)
	var p struct{ Download string }
	a.rig.must(a.rig.as(a.name).Call(a.rig.ctx, http.MethodGet, "/v1/videos/"+string(id)+"/playback", nil, &p))
	got, err := a.rig.as(a.name).Fetch(a.rig.ctx, p.Download)
	if a.rig.must(err); !bytes.Equal(got, want) {
		a.t.Error("what arrived is not what was sent, byte for byte")
	}
}

// imports asks for a video from an address.
func (a *author) imports(address string) {
	a.t.Helper()
	way := `document.querySelector("[name=way][value=address]")`
	a.until("there is a second way in", way+` !== null`)
	run[chromedp.Void](a.window, way+`.click()`)
	a.fill("address", address)
	a.press("Import")
}
