package media

import (
	"bytes"
	"context"
	"errors"
	"io"
)

// failing ends the job with the first error of a write; the exit status of a
// program whose pipe broke would hide it.
type failing struct {
	io.Writer
	fail context.CancelCauseFunc
}

func (f failing) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	if err != nil {
		f.fail(err)
	}
	return n, err
}

// tail keeps the last few KiB of what is written to it.
type tail struct{ buf []byte }

func (t *tail) Write(p []byte) (int, error) {
	const keep = 4 << 10
	t.buf = append(t.buf, p[max(0, len(p)-keep):]...)
	t.buf = t.buf[max(0, len(t.buf)-keep):]
	return len(p), nil
}

func (t *tail) String() string { return string(bytes.TrimSpace(t.buf)) }

var errTooMuch = errors.New("program printed more than it may")

// capped collects output up to a limit; beyond it the job fails.
type capped struct {
	bytes.Buffer
	limit int
}

func (c *capped) Write(p []byte) (int, error) {
	if c.Len()+len(p) > c.limit {
		return 0, errTooMuch
	}
	return c.Buffer.Write(p)
}

// lines collects what is written until a line is whole.
type lines struct{ rest []byte }

// write calls take with each whole line. A line without end fails.
func (l *lines) write(b []byte, take func(line string)) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			break
		}
		take(string(line))
		l.rest = rest
	}
	if len(l.rest) > 4<<10 {
		return 0, errTooMuch
	}
	return len(b), nil
}
