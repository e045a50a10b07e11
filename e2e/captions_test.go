package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/video"
)

const (
	englishVTT = "WEBVTT\n\n00:00.000 --> 00:02.000\nThe first words\n\n00:02.000 --> 00:30.000\n<b>The second</b> words\n"
	frenchSRT  = "1\r\n00:00:00,000 --> 00:00:30,000\r\nLes premiers mots\r\n"
)

// An author adds captions on the page of a video, a viewer reads them while it plays, and
// after the deletion no store holds anything of them.
func TestCaptionsOnThePages(t *testing.T) {
	t.Parallel()
	r := shared(t)
	me := r.as("captioner")
	id := r.upload(me, clip(t, 15, 270, false)).ID
	browser := chromium(t)
	address := r.URLs[0]
	owning := browser.window(t)
	owning.do(chromedp.Navigate(address + "/signin?user=captioner&next=/watch/" + string(id)))
	owning.captions(id, "fr", frenchSRT) // while it is processed, or soon after
	r.stage(me, id, video.Published, workTimeout)
	owning.captions(id, "en", englishVTT)
	owning.named()
	owning.fits()
	run[bool](owning, `(() => { document.querySelector("#own-captions").scrollIntoView(); return true })()`)
	owning.shot("captions-owner")

	watching := browser.window(t)
	watching.do(chromedp.Navigate(address + "/watch/" + string(id)))
	watching.plays("captions-off")
	const shown = `[...document.querySelector("#player").textTracks].filter(t => t.mode === "showing").flatMap(t => [...(t.activeCues ?? [])]).map(c => c.text).join()`
	if text := run[string](watching, shown); text != "" {
		t.Errorf("without anybody's wish it shows %q", text)
	}
	watching.until("there are two languages", `document.querySelector("#captions select").options.length === 2`)
	run[bool](watching, `(() => { const s = document.querySelector("#captions select"); s.value = "en"; return true })()`)
	watching.presses("Captions", "\r")
	watching.until("the second words are shown", shown+` === "<b>The second</b> words"`)
	watching.shot("captions-on")
	run[bool](watching, `(() => { const s = document.querySelector("#captions select"); s.value = "fr"; s.dispatchEvent(new Event("change")); return true })()`)
	watching.until("the French words are shown", shown+` === "Les premiers mots"`)
	watching.do(chromedp.Reload())
	watching.until("the choice holds", shown+` === "Les premiers mots" && document.querySelector("#captions button").getAttribute("aria-pressed") === "true"`)
	watching.presses("Captions", " ")
	watching.until("none are shown", shown+` === ""`)

	r.until("every store has both", pageTimeout, func() bool { return r.captionObjects(id) == 6 })
	owning.says("English")
	run[bool](owning, `(() => { document.querySelector("#own-captions li:last-child button").click(); return true })()`)
	watching.until("the page of the viewer has one less", `document.querySelector("#captions select").options.length === 1`)
	r.until("no store has the removed ones", pageTimeout, func() bool { return r.captionObjects(id) == 3 })
	owning.complained()
	watching.complained()
	owning.press("Delete")
	owning.press("Yes, delete")
	r.erased(id, workTimeout)
}

// captions adds some by the form of an author's page.
func (w *window) captions(id video.ID, language, text string) {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), string(id)+"."+language)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.until("there is a form for captions", `document.querySelector("#own-captions")?.checkVisibility() && (document.querySelector("#own-captions").open = true)`)
	w.do(chromedp.SetUploadFiles("#own-captions input[type=file]", []string{path}))
	run[bool](w, `(() => { document.querySelector("#own-captions [name=language]").value = "`+language+`"; return true })()`)
	w.press("Add captions")
	w.until("they are listed", `document.querySelector("#own-captions li [lang=`+language+`]") !== null`)
}

// captionObjects counts the captions of a video in all stores.
func (r *rig) captionObjects(id video.ID) (n int) {
	r.t.Helper()
	for _, store := range r.stores {
		_, err := store.Inventory(r.ctx, id.Prefix(), func(e objects.Entry) error {
			if e.Kind == objects.Version && strings.HasPrefix(e.Key, id.Prefix()+"captions/") {
				n++
			}
			return nil
		})
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return n
}
