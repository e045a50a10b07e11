package media

import (
	"bytes"
	"fmt"
	"strings"
)

// Types of streams in a program map table (ISO/IEC 13818-1, table 2-34).
const (
	adtsType = 0x0f // AAC
	h264Type = 0x1b
)

// Codecs names what the segment holds as HLS's attribute CODECS wants it
// (RFC 6381), so that a player can tell at once whether it is able to play it:
// "avc1.64001f,mp4a.40.2". It fails with Internal for what Package never makes.
func (s Segment) Codecs() (string, error) {
	var codecs []string
	for _, kind := range s.streamTypes() {
		switch kind {
		case h264Type:
			profile, found := s.profile()
			if !found {
				return "", internal(fmt.Errorf("codecs: segment %d begins without its parameters", s.Index))
			}
			codecs = append(codecs, fmt.Sprintf("avc1.%x", profile))
		case adtsType:
			codecs = append(codecs, "mp4a.40.2") // AAC-LC is all that EncodeAudio makes
		default:
			return "", internal(fmt.Errorf("codecs: segment %d has a stream of type %#x", s.Index, kind))
		}
	}
	if len(codecs) == 0 {
		return "", internal(fmt.Errorf("codecs: segment %d lists no stream", s.Index))
	}
	return strings.Join(codecs, ","), nil
}

// streamTypes reads the program map table (ISO/IEC 13818-1, section 2.4.4.9).
func (s Segment) streamTypes() (types []byte) {
	const head, entry, checksum = 12, 5, 4 // bytes
	table := s.payload(pmtPID, 1)
	if len(table) == 0 || len(table) <= int(table[0]) {
		return nil
	}
	table = table[1+int(table[0]):] // after the pointer
	if len(table) < head {
		return nil
	}
	end := min(len(table), 3+length12(table[1:])) - checksum
	for at := head + length12(table[10:]); at+entry <= end; at += entry + length12(table[at+3:]) {
		types = append(types, table[at])
	}
	return types
}

// length12 reads a length of 12 bits, which these tables have behind 4 others.
func length12(b []byte) int { return int(b[0]&0x0f)<<8 | int(b[1]) }

// profile returns profile, constraints and level of the picture, which lead its
// sequence parameter set (ITU-T H.264, section 7.3.2.1.1).
func (s Segment) profile() (profile []byte, found bool) {
	const set, searched = 7, 64 // the NAL unit's type; packets: it stands before the first slice
	picture := s.payload(videoPID, searched)
	for {
		_, after, more := bytes.Cut(picture, []byte{0, 0, 1})
		if !more || len(after) < 4 {
			return nil, false
		}
		if after[0]&0x1f == set {
			return after[1:4], true
		}
		picture = after
	}
}

// payload joins what the first packets of a stream carry.
func (s Segment) payload(pid, packets int) (joined []byte) {
	for data := s.Data; len(data) >= packetSize && packets > 0; data = data[packetSize:] {
		p := data[:packetSize]
		if int(p[1]&0x1f)<<8|int(p[2]) != pid {
			continue
		}
		from := 4
		if p[3]&0x20 != 0 { // an adaptation field
			from += 1 + int(p[4])
		}
		if p[3]&0x10 != 0 && from < packetSize {
			joined = append(joined, p[from:]...)
		}
		packets--
	}
	return joined
}
