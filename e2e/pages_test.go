package e2e

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// What an author does on the pages, and what becomes of it on the servers.
func TestPagesOfAuthors(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	for name, does := range map[string]func(*author){
		"pauses, resumes and deletes":              pausesAndDeletes,
		"reloads in the middle":                    reloads,
		"keeps a draft and takes it up again":      keepsDraft,
		"cancels":                                  cancels,
		"chooses a file that is too large":         choosesTooLarge,
		"goes on in a second window":               opensSecondWindow,
		"loses the network, and signs out at last": losesNetwork,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := shared(t)
			a := &author{window: browser.window(t), rig: r, t: t, name: "author-" + strconv.Itoa(os.Getpid()) + "-" + letters(name)}
			a.do(chromedp.Navigate(r.URLs[0] + "/upload"))
			a.until("nobody is asked to sign in first", `document.querySelector("#user") !== null`)
			a.do(chromedp.Navigate(r.URLs[0] + "/signin?user=" + a.name + "&next=/upload"))
			does(a)
		})
	}
}

func letters(text string) string { return strings.NewReplacer(" ", "", ",", "").Replace(text) }

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
	c := &network.Conditions{URLPattern: "*://*:*/v1/uploads/*", UploadThroughput: bytesPerSecond, DownloadThroughput: -1}
	w.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, network.EmulateNetworkConditionsByRule,
			network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: []*network.Conditions{c}})
		return err
	}))
}

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
	a.rig.until("some of it is stored", 20*time.Second, func() bool { return a.stored(id) > 0 })
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
	a.until("the page says that it is published", `document.querySelector("#where").innerText === "Published"`)
	a.rig.stage(a.rig.as(a.name), id, video.Published, time.Second)
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

func noisy(t *testing.T) string { return clip(t, 4, 270, true) }

func pausesAndDeletes(a *author) {
	path := noisy(a.t)
	a.fits()
	a.named()
	a.shot("upload-empty")
	a.choose(path)
	a.says("look better") // fewer pixels than recommended, told before a byte is sent
	a.shot("upload-chosen")
	id := a.begins(path)
	a.until("it shows how far it is", `document.querySelector("#stages li[aria-current] progress").value > 0`)
	run[bool](a.window, `document.querySelector("#replicas").open = true`)
	a.shot("upload-sending")
	a.fits()
	a.named()
	a.presses("Pause", "\r")
	a.until("the page says paused", `/paused/i.test(document.querySelector("#where").innerText)`)
	a.until("the keyboard is at Resume", `document.activeElement.innerText === "Resume"`)
	a.rests(id)
	a.shot("upload-paused")
	a.paceUploads(-1)
	a.presses("Resume", " ")
	a.published(id)
	a.keepsNothing()
	a.until("nothing moves", `document.getAnimations().length === 0`)
	a.shot("upload-published")
	a.do(chromedp.Navigate(a.rig.URLs[0] + "/videos"))
	a.says("Published")
	a.shot("videos")
	a.do(chromedp.Navigate(a.rig.URLs[0] + "/watch/" + string(id)))
	a.shot("watch-published")
	a.complained()
	a.press("Delete")
	a.until("the page asks", `document.querySelector("#confirm-delete[role=alertdialog]").open`)
	a.presses("", "\x1b") // Escape is Keep
	a.until("it stays", `!document.querySelector("#confirm-delete").open`)
	a.press("Delete")
	a.press("Yes, delete")
	a.until("the page says so", `/deleted/i.test(document.querySelector("#notice").innerText)`)
	a.rig.erased(id, time.Minute)
}

func reloads(a *author) {
	path := noisy(a.t)
	run[bool](a.window, `document.querySelector("[name=allow_download]").checked = true`)
	id := a.begins(path)
	a.until("closing the page would be asked about", `!dispatchEvent(new Event("beforeunload", {cancelable: true}))`)
	a.complained()
	a.do(chromedp.Reload())
	a.excuse("beforeunload") // which Chromium shows only to people who have touched the page
	a.until("it asks for the file", `document.querySelector("#where")?.innerText === "Choose `+filepath.Base(path)+` again to go on."`)
	had := a.rests(id)
	a.shot("upload-again")
	a.patches() // forget those before
	a.choose(clip(a.t, 4, 270, false))
	a.says("This is another file")
	a.rests(id)
	a.paceUploads(-1)
	a.choose(path)
	a.published(id)
	if sent := a.patches(); len(sent) == 0 || sent[0] != had {
		a.t.Errorf("sent on from %d, with %d bytes stored", sent, had)
	}
	a.arrived(id, path)
	a.keepsNothing()
	a.complained()
}

func keepsDraft(a *author) {
	path := noisy(a.t)
	run[bool](a.window, `document.querySelector("[name=keep_draft]").checked = true`)
	id := a.begins(path)
	a.press("Cancel")
	a.until("the page asks", `document.querySelector("#confirm-cancel[role=alertdialog]").open`)
	a.shot("cancel-draft")
	a.press("Yes, cancel")
	a.says("Kept as a draft")
	had := a.rests(id)
	a.do(chromedp.Navigate(a.rig.URLs[0] + "/drafts"))
	a.says("stored")
	a.fits()
	a.named()
	a.shot("drafts")
	a.press("Resume")
	if again := a.id(); again != id {
		a.t.Fatalf("Resume leads to %s, not %s", again, id)
	}
	if now := a.stored(id); now != had {
		a.t.Errorf("%d bytes are stored, %d were", now, had)
	}
	a.paceUploads(-1)
	a.choose(path)
	a.published(id)
	a.complained()
}

func cancels(a *author) {
	id := a.begins(noisy(a.t))
	a.press("Cancel")
	a.press("Keep")
	a.rig.stage(a.rig.as(a.name), id, video.Uploading, time.Second)
	a.complained()
	a.press("Cancel")
	a.press("Yes, cancel")
	a.says("Canceled")
	a.rig.erased(id, time.Minute)
	a.says("Nothing of it is left")
	a.keepsNothing()
	if code := get(a.t, a.rig.URLs[0]+"/watch/"+string(id)); code != http.StatusGone {
		a.t.Errorf("its address answers %d, want 410", code)
	}
}

func choosesTooLarge(a *author) {
	path := filepath.Join(a.t.TempDir(), "holidays.mp4")
	a.rig.must(os.WriteFile(path, make([]byte, 8_000_001), 0o600))
	a.choose(path)
	a.says("8000001 bytes; at most 8000000 bytes are allowed")
	a.shot("upload-too-large")
	a.press("Upload")
	time.Sleep(300 * time.Millisecond)
	made, _, err := a.rig.as(a.name).Videos(a.rig.ctx, "", "")
	if a.rig.must(err); len(made) != 0 {
		a.t.Errorf("%d videos were made", len(made))
	}
	a.complained()
}

// What is found out only by looking into the file is said in plain words.
func choosesNoVideo(a *author) {
	path := filepath.Join(a.t.TempDir(), "letter.mp4")
	a.rig.must(os.WriteFile(path, []byte(strings.Repeat("Dear Ann, ", 1000)), 0o600))
	a.choose(path)
	a.press("Upload")
	id := a.id()
	v := a.rig.stage(a.rig.as(a.name), id, video.Rejected, 20*time.Second)
	a.says(v.Failure.Message)
	a.shot("upload-rejected")
	a.keepsNothing()
	a.rig.erased(id, time.Minute)
	a.says("Nothing of it is left")
	a.says(v.Failure.Message)
}

// The window that chose the file last sends it, and the other one does not fight.
func opensSecondWindow(a *author) {
	path := noisy(a.t)
	id := a.begins(path)
	second := &author{window: a.tab(), rig: a.rig, t: a.t, name: a.name}
	second.paceUploads(slow)
	second.do(chromedp.Navigate(a.rig.URLs[0] + "/upload"))
	second.says("stored, until")
	second.shot("upload-unfinished")
	second.choose(path) // known again by its name, size and date
	if second.id() != id {
		a.t.Fatal("the second window has begun another video")
	}
	a.says("Another window or device sends this file now.")
	a.shot("upload-taken")
	a.patches()
	second.until("it sends", `document.querySelector("#where").innerText === "Uploading"`)
	time.Sleep(time.Second)
	if again := a.patches(); len(again) > 0 {
		a.t.Errorf("the first window sent %d more requests", len(again))
	}
	a.press("Send from here")
	second.says("Another window or device sends this file now.")
	a.paceUploads(-1)
	for _, w := range []*author{a, second} {
		w.published(id)
		w.complained()
	}
	a.keepsNothing()
}

// What the network breaks off goes on by itself; what the browser keeps goes with its owner.
func losesNetwork(a *author) {
	l := newLine(a.t, a.rig.URLs[0])
	a.do(chromedp.Navigate(l.url() + "/upload"))
	id := a.begins(noisy(a.t))
	l.Stop()
	a.says("Waiting for the network")
	had := int64(-1)
	a.rig.until("what came is stored", 10*time.Second, func() bool {
		before := had
		had = a.stored(id)
		time.Sleep(500 * time.Millisecond)
		return had == before
	})
	a.shot("upload-offline")
	a.patches()
	l.again()
	a.rig.until("it goes on", 20*time.Second, func() bool { return a.stored(id) > had })
	if sent := a.patches(); len(sent) == 0 || sent[0] < had {
		a.t.Errorf("sent on from %d, with %d bytes stored", sent, had)
	}
	other := &author{window: a.tab(), rig: a.rig, t: a.t, name: a.name}
	other.do(chromedp.Navigate(l.url() + "/"))
	other.press("Sign out")
	a.until("the page shows nothing of them", `document.querySelector("#user") !== null`)
	a.keepsNothing()
	a.rests(id)
	a.do(chromedp.Navigate(l.url() + "/signin?user=somebody-else&next=/upload%3Fvideo=" + string(id)))
	a.says("no such video")
	a.rig.ask(a.rig.as(a.name), id, video.Cancel)
}

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

// An import by its address needs no page to stay open.
func TestPagesImport(t *testing.T) {
	t.Parallel()
	r := start(t, stack.Options{Env: importing})
	s := newSource(t, noisy(t), 1)
	a := &author{window: chromium(t).window(t), rig: r, t: t, name: "me"}
	a.do(chromedp.Navigate(r.URLs[0] + "/signin?user=me&next=/upload"))
	a.until("there is a second way in", `document.querySelector("[name=way][value=address]") !== null`)
	run[bool](a.window, `(document.querySelector("[name=way][value=address]").click(), true)`)
	a.fill("address", "http://localhost/clip.mp4")
	a.press("Import")
	a.until("it is refused with a reason", `document.querySelector("#refusal").checkVisibility()`)
	a.excuse("status of 400")
	a.fill("address", s.URL+"/clip.mp4")
	a.shot("upload-import")
	a.press("Import")
	id := a.id()
	r.stage(r.as("me"), id, video.Published, time.Minute)
	a.until("it plays", `document.querySelector("#player").readyState >= 2`)
	a.complained()
}
