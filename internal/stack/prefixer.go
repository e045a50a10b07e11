package stack

import (
	"bytes"
	"fmt"
	"io"
)

// prefixer writes whole lines with the name of who wrote them in front. Its
// Write never fails: an unreadable terminal is no reason to lose the log.
type prefixer struct {
	to     io.Writer // nil for nobody
	prefix string
	rest   []byte // a line whose end has not come yet
}

func (w *prefixer) Write(p []byte) (int, error) {
	if w.to == nil {
		return len(p), nil
	}
	w.rest = append(w.rest, p...)
	for {
		end := bytes.IndexByte(w.rest, '\n')
		if end < 0 {
			return len(p), nil
		}
		fmt.Fprintf(w.to, "%s | %s\n", w.prefix, w.rest[:end])
		w.rest = w.rest[end+1:]
	}
}
