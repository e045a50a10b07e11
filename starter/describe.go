package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

// page is a text for people, a line each thing there is to say.
type page struct{ strings.Builder }

func (p *page) line(name, value string) {
	if value = strings.TrimSpace(value); value != "" {
		fmt.Fprintf(p, "%-10s %s\n", name, value)
	}
}

// describe answers where a video is, how much of it, and what one can do.
func describe(v client.Video) string {
	var p page
	p.line("id", string(v.ID))
	p.line("title", v.Title)
	p.line("stage", stageOf(v)+" "+progressOf(v))
	p.line("ending", string(v.Ends()))
	p.line("waits for", v.Waits())
	if v.Overdue {
		p.line("overdue", "the purge takes longer than promised; it goes on until it is done")
	}
	if v.Trouble {
		p.line("trouble", "its work fails, or nobody can do it; it goes on as soon as that is mended")
	}
	if v.Stray {
		p.line("stray", "its workflow was terminated; it waits until somebody resumes, cancels or deletes it")
	}
	p.line("publishes", moment(v.PublishAt))
	p.line(endOf(v))
	if v.Upload != nil && (v.Stage == video.Uploading || setAside(v)) {
		p.line("upload", stored(v))
		p.line("expires", expiry(v))
		p.line("to go on", advice(v))
	}
	if v.Failure != nil {
		p.line("refused", v.Failure.Message)
		p.line("reviewer", v.Failure.Comment)
	}
	for _, warning := range v.Warnings {
		p.line("warning", warning)
	}
	for _, replica := range replicas(v) {
		p.line("store", replica)
	}
	p.line("you can", strings.Join(words(v.Actions), ", "))
	p.line("watch", v.Links.Watch)
	return p.String()
}

// setAside reports whether the video is as it stood when its author gave it up.
func setAside(v client.Video) bool { return v.Stage == video.Draft || v.Stage == video.Canceled }

func words(commands []video.Command) (all []string) {
	for _, c := range commands {
		all = append(all, string(c))
	}
	return all
}

// endOf is what happens at the end of the time that a stage is given, and when;
// a legal hold stops that clock.
func endOf(v client.Video) (name, when string) {
	switch {
	case v.Stage == video.Draft:
		return "kept until", moment(v.PurgeAt)
	case v.Held:
		return "", ""
	case v.Stage == video.Canceled, v.Stage == video.PendingDeletion, v.Stage == video.Rejected:
		return "erased at", moment(v.PurgeAt)
	}
	return "", ""
}

// stored says how much of the upload is on the server, to the byte.
func stored(v client.Video) string {
	u := v.Upload
	switch {
	case u == nil:
		return ""
	case u.Length == nil:
		return humanize.Comma(u.Offset) + " bytes stored"
	case u.Offset == *u.Length:
		return "all " + humanize.Comma(u.Offset) + " bytes stored"
	}
	return fmt.Sprintf("%s of %s bytes stored", humanize.Comma(u.Offset), humanize.Comma(*u.Length))
}

// expiry is when an upload that gets no more bytes is given up.
func expiry(v client.Video) string {
	if v.Stage != video.Uploading || v.Paused {
		return ""
	}
	return moment(v.Upload.ExpiresAt)
}

// advice is how the rest of the bytes can be sent.
func advice(v client.Video) string {
	if !goesOn(v) || v.Stage == video.Uploading && !v.Upload.Stalled {
		return ""
	}
	return fmt.Sprintf("starter upload FILE --video %s", v.ID)
}

// replicas says what each store holds.
func replicas(v client.Video) (all []string) {
	for _, r := range v.Replicas {
		text := fmt.Sprintf("%s: %s, %d objects, %s", r.Store, r.State, r.Objects, bytesOf(r.Bytes))
		if r.VerifiedAt != nil {
			text += ", checked " + r.VerifiedAt.Local().Format(time.DateTime)
		}
		all = append(all, text)
	}
	return all
}

// describeErased answers for a video of which only the receipt remains.
func describeErased(id video.ID, receipt video.Receipt) string {
	var p page
	p.line("id", string(id))
	p.line("stage", string(video.Purged))
	p.line("ending", string(receipt.Reason))
	p.line("hidden", moment(&receipt.HiddenAt))
	p.line("erased", moment(&receipt.KeyDestroyedAt)+", from when on no copy could be read")
	for _, store := range receipt.Stores {
		p.line("store", fmt.Sprintf("%s: %s removed, %s found afterwards", store.Store, countsOf(store.Removed), countsOf(store.FoundAfter)))
	}
	return p.String()
}

// until is the end of a sentence.
func until(t *time.Time) string {
	if t == nil {
		return ""
	}
	return " until " + moment(t)
}

// moment is a time for people, or empty where there is none.
func moment(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Local().Format(time.RFC1123)
}
