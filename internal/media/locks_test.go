package media

import (
	"bytes"
	"errors"
	"testing"
)

// scrambledTS returns a transport stream whose packets of these streams are scrambled.
func scrambledTS(t *testing.T, ts []byte, streams ...int) []byte {
	t.Helper()
	ts = bytes.Clone(ts)
	for p := ts; len(p) >= packetSize; p = p[packetSize:] {
		for _, id := range streams {
			if packetID(p) != id || p[3]&0x10 == 0 {
				continue
			}
			p[3] |= 0x80 // by the even key
			from := 4
			if p[3]&0x20 != 0 {
				from += 1 + int(p[4])
			}
			for i := from; i < packetSize; i++ {
				p[i] ^= byte(i*31 + 7)
			}
		}
	}
	return ts
}

// sampleAES returns a transport stream that says, in its program map, that its samples are
// encrypted in the way of HLS.
func sampleAES(t *testing.T, ts []byte) []byte {
	t.Helper()
	ts = bytes.Clone(ts)
	for p := ts; len(p) >= packetSize; p = p[packetSize:] {
		if packetID(p) != pmtPID {
			continue
		}
		table := p[5:packetSize] // behind the head and the pointer
		size := 3 + length12(table[1:])
		for at := 12 + length12(table[10:]); at+5 <= size-4; at += 5 + length12(table[at+3:]) {
			switch table[at] {
			case h264Type:
				table[at] = 0xdb
			case adtsType:
				table[at] = 0xcf
			}
		}
		sum := uint32(0xffffffff) // ISO/IEC 13818-1, annex A
		for _, b := range table[:size-4] {
			sum ^= uint32(b) << 24
			for range 8 {
				if sum&(1<<31) != 0 {
					sum = sum<<1 ^ 0x04c11db7
				} else {
					sum <<= 1
				}
			}
		}
		copy(table[size-4:], []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	}
	return ts
}

// encryptedMatroska writes the mark of encryption in the place of a track's number of
// another kind, TrackUID; tracks are counted from 0.
func encryptedMatroska(t *testing.T, mkv []byte, track int) []byte {
	t.Helper()
	mkv = bytes.Clone(mkv)
	at := 0
	for range track + 1 {
		next := bytes.Index(mkv[at:], []byte{0x73, 0xc5, 0x88})
		if next < 0 {
			t.Fatal("no TrackUID of 8 bytes")
		}
		at += next + 3
	}
	copy(mkv[at-3:], []byte{0x6d, 0x80, 0x88, 0x62, 0x40, 0x85, 0x50, 0x33, 0x40, 0x01, 0x01})
	return mkv
}

// What is protected is told as that, by its container's own marks, and sound alone that
// is protected costs the sound.
func TestProtected(t *testing.T) {
	const soundPID = videoPID + 1
	ts := read(t, clip(t, "clip.ts", source(small, "-c:a aac")...))
	m2ts := bytes.Buffer{}
	for p := scrambledTS(t, ts, videoPID, soundPID); len(p) >= packetSize; p = p[packetSize:] {
		m2ts.Write(append([]byte{0, 0, 0, 0}, p[:packetSize]...))
	}
	mkv := read(t, clip(t, "clip.mkv", source(small, "-c:a aac")...))
	mp4 := read(t, clip(t, "clip.mp4", source(small, "-c:a aac")...))
	for name, c := range some(map[string]struct {
		data  []byte
		sound bool // alone
	}{
		"scrambled TS":      {data: scrambledTS(t, ts, videoPID, soundPID)},
		"scrambled picture": {data: scrambledTS(t, ts, videoPID)},
		"scrambled M2TS":    {data: m2ts.Bytes()},
		"SAMPLE-AES":        {data: sampleAES(t, ts)},
		"FairPlay in MP4":   {data: bytes.Replace(mp4, []byte("avc1\x00\x00"), []byte("drmi\x00\x00"), 1)},
		"Matroska":          {data: encryptedMatroska(t, mkv, 0)},
		"scrambled sound":   {data: scrambledTS(t, ts, soundPID), sound: true},
		"sound in Matroska": {data: encryptedMatroska(t, mkv, 1), sound: true},
		"FairPlay's sound":  {data: bytes.Replace(mp4, []byte("mp4a\x00\x00"), []byte("drms\x00\x00"), 1), sound: true},
	}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			info, err := tools(t).Probe(t.Context(), inMemory(c.data))
			rejected, is := errors.AsType[*Rejection](err)
			switch {
			case c.sound && (err != nil || info.HasAudio || info.Faults.UnreadSound != "encrypted"):
				t.Errorf("got %+v, %v", info, err)
			case !c.sound && (!is || rejected.Code != Unsupported || rejected.Message != protectedMessage):
				t.Errorf("got %+v, %v", info, err)
			}
		})
	}
}
