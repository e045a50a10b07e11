package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

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
		"chooses something else than a video":      choosesNoVideo,
		"goes on with another device":              opensAnotherDevice,
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
	a.until("it shows how far it is", `document.querySelector("#stages li[aria-current] progress")?.value > 0`)
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
	a.until("its author reads what could be better", `/short side/.test(document.querySelector("#status:not([hidden]) #warnings")?.innerText)`)
	a.shot("watch-published")
	a.complained()
	a.press("Delete")
	a.until("the page asks", `document.querySelector("#confirm-delete[role=alertdialog]").open`)
	a.presses("", "\x1b") // Escape is Keep
	a.until("it stays", `!document.querySelector("#confirm-delete").open`)
	a.press("Delete")
	a.press("Yes, delete")
	a.until("the page says so", `/deleted/i.test(document.querySelector("#notice").innerText)`)
	a.rig.erased(id, workTimeout)
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
	a.rig.stage(a.rig.as(a.name), id, video.Uploading, pageTimeout)
	a.complained()
	a.press("Cancel")
	a.press("Yes, cancel")
	a.says("Canceled")
	a.rig.erased(id, workTimeout)
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
	v := a.rig.stage(a.rig.as(a.name), id, video.Rejected, workTimeout)
	a.says(v.Failure.Message)
	a.shot("upload-rejected")
	a.keepsNothing()
	a.rig.erased(id, workTimeout)
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
	second.choose(path) // known again by its content
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
		w.excuse("423 (Locked)") // what one had under way when the other took over
		w.complained()
	}
	a.keepsNothing()
}

// Another device knows the file by its size only, and shares no lock: the first one
// sees that somebody else sends, and leaves it to them.
func opensAnotherDevice(a *author) {
	path := noisy(a.t)
	id := a.begins(path)
	another := &author{window: a.another(), rig: a.rig, t: a.t, name: a.name}
	another.paceUploads(slow)
	another.do(chromedp.Navigate(a.rig.URLs[0] + "/signin?user=" + a.name + "&next=/upload"))
	another.says("stored, until")
	another.do(chromedp.Navigate(a.rig.URLs[0] + "/upload?video=" + string(id)))
	another.choose(path)
	a.says("Another window or device sends this file now.")
	a.patches()
	another.patches()
	time.Sleep(2 * time.Second)
	if mine, theirs := a.patches(), another.patches(); len(mine) > 0 || len(theirs) > 1 { // the next piece of the other's own
		a.t.Errorf("they push each other out: %d requests of the first, %d of the other", len(mine), len(theirs))
	}
	another.paceUploads(-1)
	another.press("Pause")
	another.press("Resume")
	a.published(id)
	another.published(id)
}

// What the network breaks off goes on by itself; what the browser keeps goes with its owner.
func losesNetwork(a *author) {
	l := newLine(a.t, a.rig.URLs[0])
	a.do(chromedp.Navigate(l.url() + "/upload"))
	id := a.begins(noisy(a.t))
	l.Stop()
	a.says("Waiting for the network")
	had := int64(-1)
	a.rig.until("what came is stored", pageTimeout, func() bool {
		before := had
		had = a.stored(id)
		time.Sleep(500 * time.Millisecond)
		return had == before
	})
	a.shot("upload-offline")
	a.patches()
	l.again()
	a.rig.until("it goes on", pageTimeout, func() bool { return a.stored(id) > had })
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

// An import by its address needs no page to stay open, and what was canceled can be
// brought back while support says so.
func TestPagesImport(t *testing.T) {
	t.Parallel()
	r := start(t, stack.Options{Env: append([]string{"REELFLOW_CANCEL_GRACE=1m"}, importing...)})
	browser := chromium(t)
	a := &author{window: browser.window(t), rig: r, t: t, name: "me"}
	a.do(chromedp.Navigate(r.URLs[0] + "/signin?user=me&next=/upload"))
	a.imports("http://localhost/clip.mp4")
	a.until("it is refused with a reason", `document.querySelector("#refusal").innerText !== ""`)
	a.shot("upload-import")
	a.excuse("status of 400")
	a.fill("address", newSource(t, noisy(t), 1).URL+"/clip.mp4")
	a.press("Import")
	id := a.id()
	r.stage(r.as("me"), id, video.Published, workTimeout)
	a.until("it plays", `document.querySelector("#player").readyState >= 2`)

	a.do(chromedp.Navigate(r.URLs[0] + "/upload"))
	a.imports(newSource(t, noisy(t), 30).URL + "/clip.mp4")
	id = a.id()
	a.until("it shows how far it is", `document.querySelector("#stages li[aria-current] progress")?.value > 0`)
	a.shot("watch-importing")
	a.press("Cancel")
	a.press("Yes, cancel")
	a.says("Support can bring it back until")
	a.shot("watch-canceled")
	operator := &author{window: browser.window(t), rig: r, t: t, name: "admin"}
	operator.do(chromedp.Navigate(r.URLs[0] + "/signin?user=admin&next=/watch/" + string(id)))
	operator.says("It can be restored until")
	operator.press("Restore")
	r.stage(r.as("me"), id, video.Uploading, pageTimeout)
	a.until("it goes on", `document.querySelector("#notice").innerText === "Uploading"`)
	a.press("Cancel")
	a.press("Yes, cancel")
	a.says("Support can bring it back until")
	operator.press("Delete")
	operator.press("Yes, delete")
	r.erased(id, workTimeout)
	operator.until("it says that it is over", `/deleted|brought back/i.test(document.querySelector("#notice").innerText)`)
	a.complained()
	operator.complained()
}
