package media

import (
	"bytes"
	"fmt"
)

// Segment is a stretch of a rendition as HLS serves it, not yet encrypted:
// MPEG-TS (ISO/IEC 13818-1) that begins with PAT, PMT and a key frame, so that
// it can be decoded by itself (RFC 8216, section 3.2).
type Segment struct {
	Index    int
	Duration float64 // seconds, exact for its frames
	Data     []byte  // the receiver's to keep
}

// cutter cuts one MPEG-TS stream into segments as it comes: the first of one
// group of pictures, for a quick start, the others of two. It holds one segment
// at a time, and blocks the writer while emit runs.
type cutter struct {
	rate Rate
	emit func(Segment) error

	rest   []byte // an incomplete packet
	tables [2][]byte
	data   []byte
	frames int
	index  int
}

const (
	packetSize = 188
	syncByte   = 0x47
	patPID     = 0
	pmtPID     = 0x1000 // these two as packageArgs demands
	videoPID   = 0x100

	segmentGroups = 2         // groups of pictures in a segment
	largestData   = 256 << 20 // bytes in a segment: far beyond what we encode
)

// Write takes the next bytes of the stream.
func (c *cutter) Write(p []byte) (int, error) {
	c.rest = append(c.rest, p...)
	done := 0
	for ; done+packetSize <= len(c.rest); done += packetSize {
		if err := c.packet(c.rest[done : done+packetSize]); err != nil {
			return 0, err
		}
	}
	c.rest = append(c.rest[:0], c.rest[done:]...)
	return len(p), nil
}

func (c *cutter) packet(p []byte) error {
	if p[0] != syncByte {
		return fmt.Errorf("%w: no packet in segment %d", errUnjoinable, c.index)
	}
	starts := p[1]&0x40 != 0
	switch pid := int(p[1]&0x1f)<<8 | int(p[2]); {
	case pid == patPID || pid == pmtPID:
		// Kept, and written where a segment begins; elsewhere they are superfluous.
		c.tables[min(pid, 1)] = bytes.Clone(p)
		return nil
	case pid < videoPID:
		return nil // names of services, which HLS has no use for
	case pid == videoPID && starts:
		if err := c.frame(randomAccess(p)); err != nil {
			return err
		}
	}
	if len(c.data) > largestData {
		return fmt.Errorf("%w: segment %d is too large", errUnjoinable, c.index)
	}
	c.begin()
	c.data = append(c.data, p...)
	return nil
}

// frame counts a frame that starts, and ends the segment before it if that is
// full. Key frames anywhere but at the head of their group betray pieces that
// were not made to be joined.
func (c *cutter) frame(key bool) error {
	group := gop(c.rate)
	if key != (c.frames%group == 0) {
		return fmt.Errorf("%w: frame %d of segment %d is a key frame: %v", errUnjoinable, c.frames, c.index, key)
	}
	size := group
	if c.index > 0 {
		size *= segmentGroups
	}
	if c.frames == size {
		if err := c.flush(); err != nil {
			return err
		}
	}
	c.frames++
	return nil
}

// begin writes the tables at the head of a segment. Their continuity counters
// go on from segment to segment, as in an uncut stream.
func (c *cutter) begin() {
	if len(c.data) > 0 {
		return
	}
	for _, table := range c.tables {
		if table == nil {
			continue
		}
		table[3] = table[3]&0xf0 | byte(c.index&0x0f)
		c.data = append(c.data, table...)
	}
}

// flush hands out the segment.
func (c *cutter) flush() error {
	segment := Segment{Index: c.index, Duration: c.rate.Seconds(c.frames), Data: c.data}
	c.index++
	c.data, c.frames = nil, 0
	return c.emit(segment)
}

// finish hands out the last segment.
func (c *cutter) finish() error {
	if len(c.rest) > 0 || c.frames == 0 {
		return fmt.Errorf("%w: the stream broke off in segment %d", errUnjoinable, c.index)
	}
	return c.flush()
}

// randomAccess reads the flag that marks key frames, in the adaptation field.
func randomAccess(p []byte) bool {
	hasField := p[3]&0x20 != 0
	return hasField && p[4] > 0 && p[5]&0x40 != 0
}
