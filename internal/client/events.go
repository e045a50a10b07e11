package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/reelflow/reelflow/video"
)

// Done ends Follow.
var Done = errors.New("done")

// quietTimeout is how long a stream of events may say nothing at all, comments
// included, before it is taken for dead.
const quietTimeout = 75 * time.Second

// Follow calls see with the video now and at each change, until see returns an
// error or ctx ends. It returns nil when see returned Done, and Gone when the
// video is erased. A broken stream is taken up again for as long as it takes.
func (c *Client) Follow(ctx context.Context, id video.ID, see func(Video) error) error {
	for attempt := 0; ; attempt++ {
		var verdict error
		err := c.stream(ctx, id, func(v Video) error {
			attempt, verdict = 0, see(v)
			return verdict
		})
		switch {
		case errors.Is(verdict, Done):
			return nil
		case verdict != nil:
			return verdict
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !passing(err):
			return err
		}
		if err := sleep(ctx, pauseBefore(attempt, err)); err != nil {
			return err
		}
	}
}

// stream is one connection. The end of it without an event `gone` is
// Unavailable: there may be more to see.
func (c *Client) stream(ctx context.Context, id video.ID, see func(Video) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(quietTimeout, cancel)
	defer quiet.Stop()
	answer, err := c.send(ctx, http.MethodGet, address(id)+"/events", nil, "Accept", "text/event-stream")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if err := checkType(answer, "text/event-stream"); err != nil {
		return err
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 4<<20)
	var event event
	for lines.Scan() {
		quiet.Reset(quietTimeout)
		if !event.add(lines.Text()) {
			continue
		}
		if err := event.deliver(see); err != nil {
			return err
		}
		event.reset()
	}
	return video.Errorf(video.Unavailable, "The stream of events broke.").Because(lines.Err())
}

// event is read line by line (https://html.spec.whatwg.org/multipage/server-sent-events.html).
type event struct {
	name string
	data []string
}

func (e *event) reset() { e.name, e.data = "", nil }

// add reports whether the line ends the event.
func (e *event) add(line string) bool {
	field, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch field {
	case "event":
		e.name = value
	case "data":
		e.data = append(e.data, value)
	}
	return line == ""
}

func (e *event) deliver(see func(Video) error) error {
	switch e.name {
	case "video":
		var v Video
		if err := json.Unmarshal([]byte(strings.Join(e.data, "\n")), &v); err != nil {
			return video.Errorf(video.Unavailable, "The gateway's event could not be read.").Because(err)
		}
		return see(v)
	case "gone":
		return video.Errorf(video.Gone, "This video has been erased.")
	}
	return nil
}

// passing reports whether asking again may help.
func passing(err error) bool { return !video.CodeOf(err).Permanent() }

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
