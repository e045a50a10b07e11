package main

import (
	"fmt"
	"net/http"
	"os"
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
}

// quietAfter is how long no byte may move before that is said.
const quietAfter = 15 * time.Second

func newSender(s *shell, gateway *client.Client, v client.Video, file *os.File, size int64, show display) *sender {
	d := &sender{shell: s, gateway: gateway, id: v.ID, show: show}
	d.upload = &client.Upload{
		Client: gateway, URL: v.Upload.URL, File: file, Size: size, Announce: v.Upload.Length == nil,
		Sent: d.sent, Waits: d.waits,
	}
	return d
}

func (d *sender) run() error {
	d.quiet = time.AfterFunc(quietAfter, func() {
		d.show.Waits("stalled", fmt.Sprintf("no byte has moved for %v. %s", quietAfter, byItself))
	})
	defer d.quiet.Stop()
	return d.upload.Run(d.shell.ctx)
}

func (d *sender) sent(offset int64) {
	d.quiet.Reset(quietAfter)
	d.show.Sent(offset, d.upload.Size)
}

const byItself = "It goes on by itself once the connection is back; Ctrl-C leaves it for later."

// waits tells a pause, which people can end, from what ends by itself. Both a
// pause and another connection that has the upload are HTTP status 423.
func (d *sender) waits(why error) {
	if why == nil {
		return // the next byte says so
	}
	d.quiet.Stop()
	if client.StatusOf(why) != http.StatusLocked {
		d.show.Waits("stalled", explain(d.shell.ctx, why)+" "+byItself)
		return
	}
	if v, err := d.gateway.Video(d.shell.ctx, d.id); err == nil && !v.Paused {
		d.show.Waits("waiting", explain(d.shell.ctx, why))
		return
	}
	d.show.Waits("paused", fmt.Sprintf("to let it go on:  starter resume %s", d.id))
}
