package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

// sender sends a file and shows how far it is, and why it isn't getting further.
type sender struct {
	shell   *shell
	gateway *client.Client
	id      video.ID
	upload  *client.Upload
	show    display
	quiet   *time.Timer
	stop    context.CancelCauseFunc
}

// quietAfter is how long no byte may move before that is said.
const quietAfter = 15 * time.Second

func newSender(s *shell, gateway *client.Client, v client.Video, file *content, show display) *sender {
	d := &sender{shell: s, gateway: gateway, id: v.ID, show: show}
	d.upload = &client.Upload{
		Client: gateway, URL: v.UploadURL(), File: file.file, Size: file.size, Announce: v.Upload.Length == nil,
		Sent: d.sent, Waits: d.waits, Unchanged: file.unchanged,
	}
	return d
}

// run returns once every byte is stored. It fails with Conflict when the video
// was set aside as a draft, else as client.Upload does.
func (d *sender) run() error {
	ctx, stop := context.WithCancelCause(d.shell.ctx)
	defer stop(nil)
	d.stop = stop
	d.quiet = time.AfterFunc(quietAfter, func() {
		d.show.Waits("stalled", fmt.Sprintf("no byte has moved for %v. %s", quietAfter, byItself))
	})
	defer d.quiet.Stop()
	err := d.upload.Run(ctx)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (d *sender) sent(offset int64) {
	d.quiet.Reset(quietAfter)
	d.show.Sent(offset, d.upload.Size)
}

const byItself = "It goes on by itself once the connection is back; Ctrl-C leaves it for later."

// waits tells a pause, which people can end, from what ends by itself, and from a
// draft, for which it is pointless to wait. All of them are HTTP status 423.
func (d *sender) waits(why error) {
	if why == nil {
		return // the next byte says so
	}
	d.quiet.Stop()
	switch client.StatusOf(why) {
	case http.StatusLocked:
	case 0:
		d.show.Waits("waiting for the network", explain(d.shell.ctx, why)+" "+byItself)
		return
	default:
		d.show.Waits("stalled", explain(d.shell.ctx, why)+" "+byItself)
		return
	}
	v, err := d.gateway.Video(d.shell.ctx, d.id)
	switch {
	case err == nil && v.Stage == video.Draft:
		d.stop(video.Errorf(video.Conflict, "The upload was canceled and kept as a draft."))
	case err == nil && !v.Paused:
		d.show.Waits("waiting", explain(d.shell.ctx, why))
	default:
		d.show.Waits("paused", fmt.Sprintf("to let it go on:  starter resume %s", d.id))
	}
}
