package media

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strconv"
)

// protected are the kinds of tracks of a file that are encrypted.
type protected struct{ picture, sound bool }

// protection reads from an MP4's or a Matroska's index which tracks are encrypted:
// ffprobe doesn't say so. A file that has no index, or none that can be found, has no
// protection.
func protection(ctx context.Context, open Source, container string) (protected, error) {
	read := map[string]func(io.ReadSeeker) (protected, error){"mp4": protectedEntries, "matroska": protectedTracks}[container]
	if read == nil {
		return protected{}, nil
	}
	source, err := open(ctx)
	if err != nil {
		return protected{}, fmt.Errorf("read input: %w", err)
	}
	defer source.Close()
	p, err := read(source)
	if err != nil {
		return protected{}, fmt.Errorf("read input: %w", err)
	}
	return p, nil
}

// protectedEntries reads the types of the sample entries (ISO/IEC 14496-12, 8.5.2 and
// 8.12), which are others where a track is encrypted.
func protectedEntries(source io.ReadSeeker) (p protected, err error) {
	index, err := movieBox(source)
	if err != nil {
		return p, err
	}
	const table, entry = 4, 12 // bytes from the type of the table of sample entries to its content, and to the first entry's type
	for at := 0; at+table+entry+4 <= len(index); at++ {
		if string(index[at:at+4]) != "stsd" {
			continue
		}
		switch string(index[at+table+entry : at+table+entry+4]) {
		case "encv", "drmi":
			p.picture = true
		case "enca", "drms":
			p.sound = true
		}
	}
	return p, nil
}

// Elements of Matroska (RFC 9559, section 5.1).
const (
	segmentElement   = 0x18538067
	tracksElement    = 0x1654ae6b
	trackElement     = 0xae
	trackType        = 0x83
	encodingsElement = 0x6d80
	encodingElement  = 0x6240
	encodingType     = 0x5033 // 0: compressed, 1: encrypted
)

// protectedTracks reads the tracks, which stand before the first cluster.
func protectedTracks(source io.ReadSeeker) (p protected, err error) {
	head, err := stretch(source, 0, 1<<20)
	if err != nil {
		return p, err
	}
	for _, track := range elementsAt(head, segmentElement, tracksElement, trackElement) {
		encrypted := false
		for _, value := range elementsAt(track, encodingsElement, encodingElement, encodingType) {
			encrypted = encrypted || bytes.HasSuffix(value, []byte{1})
		}
		for _, kind := range elementsAt(track, trackType) {
			p.picture = p.picture || encrypted && bytes.HasSuffix(kind, []byte{1})
			p.sound = p.sound || encrypted && bytes.HasSuffix(kind, []byte{2})
		}
	}
	return p, nil
}

// elementsAt returns the content of all elements (RFC 8794, section 6) that lie in others
// by such a path, as far as it is there.
func elementsAt(data []byte, path ...uint64) (found [][]byte) {
	if len(path) == 0 {
		return [][]byte{data}
	}
	for len(data) > 0 {
		id, width := variable(data, true)
		size, more := variable(data[width:], false)
		if width == 0 || more == 0 {
			break
		}
		content := data[width+more:]
		if unknown := uint64(1)<<(7*more) - 1; size < unknown { // else it lasts to the end
			content = content[:min(size, uint64(len(content)))]
		}
		if id == path[0] {
			found = append(found, elementsAt(content, path[1:]...)...)
		}
		data = data[width+more+len(content):]
	}
	return found
}

// variable reads an integer of variable length (RFC 8794, section 4), with the bits that
// tell its length or without; the length is 0 if it isn't there.
func variable(data []byte, marked bool) (value uint64, length int) {
	if len(data) == 0 || data[0] == 0 {
		return 0, 0
	}
	length = bits.LeadingZeros8(data[0]) + 1
	if length > len(data) {
		return 0, 0
	}
	for _, b := range data[:length] {
		value = value<<8 | uint64(b)
	}
	if !marked {
		value &^= 1 << (7 * length)
	}
	return value, length
}

// stretch reads at most so many bytes from a place on.
func stretch(source io.ReadSeeker, at int64, length int) ([]byte, error) {
	if _, err := source.Seek(at, io.SeekStart); err != nil {
		return nil, err
	}
	data := make([]byte, length)
	n, err := io.ReadFull(source, data)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return data[:n], nil
}

// scrambled returns the streams of a transport stream, by their packet identifiers, whose
// packets say that they are scrambled (ISO/IEC 13818-1, section 2.4.3.3): as they come by
// cable and satellite. Half of the packets must, in what is read of the beginning and the middle.
func scrambled(ctx context.Context, open Source) (map[int]bool, error) {
	source, err := open(ctx)
	if err != nil {
		return nil, fmt.Errorf("read input: %w", err)
	}
	defer source.Close()
	end, err := source.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("read input: %w", err)
	}
	all, locked := map[int]int{}, map[int]int{}
	for _, at := range []int64{0, end / 2} {
		data, err := stretch(source, at, 1<<20)
		if err != nil {
			return nil, fmt.Errorf("read input: %w", err)
		}
		for _, p := range transportPackets(data) {
			if p[3]&0x10 == 0 {
				continue // no payload
			}
			all[packetID(p)]++
			if p[3]&0xc0 != 0 {
				locked[packetID(p)]++
			}
		}
	}
	found := map[int]bool{}
	for id, n := range locked {
		found[id] = 2*n >= all[id]
	}
	return found, nil
}

func packetID(p []byte) int { return int(p[1]&0x1f)<<8 | int(p[2]) }

// transportPackets cuts data into packets, which may have four bytes before (M2TS) or
// sixteen behind them. It returns none where it can't be told how.
func transportPackets(data []byte) (all [][]byte) {
	const sure = 5 // packets one behind the other
	for _, size := range []int{packetSize, packetSize + 4, packetSize + 16} {
		for first := 0; first < size && first+sure*size <= len(data); first++ {
			if data[first] != syncByte {
				continue
			}
			in := 1
			for in < sure && data[first+in*size] == syncByte {
				in++
			}
			if in < sure {
				continue
			}
			for at := first; at+packetSize <= len(data) && data[at] == syncByte; at += size {
				all = append(all, data[at:at+packetSize])
			}
			return all
		}
	}
	return nil
}

// encryptedTypes are the types of streams whose samples are encrypted in the way of HLS
// (SAMPLE-AES, FairPlay), as ffprobe writes them, and what they hold.
var encryptedTypes = map[string]string{
	"[219][0][0][0]": "video", "[207][0][0][0]": "audio", "[193][0][0][0]": "audio", "[194][0][0][0]": "audio",
}

// transportLocks tells which kinds of streams of a transport stream are all encrypted.
func (p *probed) transportLocks(scrambled map[int]bool) protected {
	open, locked := map[string]bool{}, map[string]bool{}
	for _, s := range p.Streams {
		id, err := strconv.ParseInt(s.ID, 0, 32)
		kind, encrypted := encryptedTypes[s.Tag]
		switch {
		case encrypted:
			locked[kind] = true
		case err == nil && scrambled[int(id)]:
			locked[s.Type] = true
		default:
			open[s.Type] = true
		}
	}
	return protected{picture: locked["video"] && !open["video"], sound: locked["audio"] && !open["audio"]}
}
