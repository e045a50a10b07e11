package turns

import (
	"sync/atomic"
	"time"
)

// lately is how long somebody counts who has done something: a player comes again.
const lately = time.Second

// Others are requests that need no turn. The zero value is nobody. Its methods may be called
// from many goroutines.
type Others struct {
	begun atomic.Int64 // and not ended
	last  atomic.Int64 // when one ended, in Unix nanoseconds
}

// Begin counts one, until end is called.
func (o *Others) Begin() (end func()) {
	o.begun.Add(1)
	return func() {
		o.last.Store(time.Now().UnixNano())
		o.begun.Add(-1)
	}
}

func (o *Others) atWork() bool {
	return o == nil || o.begun.Load() > 0 || time.Since(time.Unix(0, o.last.Load())) < lately
}
