package media

import (
	"encoding/binary"
	"errors"
	"io"
)

// looksLike returns the container (as Info names it) that begins with such
// bytes, "" where they say nothing: MPEG-TS has no mark to go by.
func looksLike(magic []byte) string {
	switch is := marks(magic); {
	case is(4, "ftyp") || is(4, "moov") || is(4, "mdat") || is(4, "wide"):
		return "mp4"
	case is(0, "\x1a\x45\xdf\xa3"):
		return "matroska"
	case is(0, "RIFF") && is(8, "AVI "):
		return "avi"
	case is(0, "FLV\x01"):
		return "flv"
	case is(0, "\x00\x00\x01\xba"):
		return programStream
	default:
		return ""
	}
}

func marks(magic []byte) func(offset int, mark string) bool {
	return func(offset int, mark string) bool {
		return len(magic) >= offset+len(mark) && string(magic[offset:offset+len(mark)]) == mark
	}
}

// otherwise names what a file is that isn't one of our containers, "" where its first
// bytes say nothing.
func otherwise(magic []byte) (reason Reason, message string) {
	is := marks(magic)
	any := func(offset int, marks ...string) bool {
		for _, mark := range marks {
			if is(offset, mark) {
				return true
			}
		}
		return false
	}
	switch {
	case is(4, "ftyp") && any(8, "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1", "avif", "avis", "jpeg", "crx "),
		any(0, "\xff\xd8\xff", "\x89PNG", "GIF8", "BM", "II*\x00", "MM\x00*", "\x00\x00\x00\x0cJXL ", "\xff\x0a", "8BPS"),
		is(0, "RIFF") && is(8, "WEBP"):
		return NotAVideo, stillMessage
	case any(0, "ID3", "fLaC", "OggS\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00", "#!AMR", "MThd", "\xff\xf1", "\xff\xf9", "\xff\xfb", "\xff\xf3", "\xff\xf2", "caff"),
		is(0, "RIFF") && is(8, "WAVE"), is(0, "FORM") && is(8, "AIF"), is(4, "ftypM4A "):
		if is(0, "OggS") && !is(28, "OpusHead") && !is(28, "\x01vorbis") {
			return Unsupported, strange("an Ogg file")
		}
		return NotAVideo, soundMessage
	case is(0, "\x30\x26\xb2\x75\x8e\x66\xcf\x11"):
		return Unsupported, strange("a Windows Media file (ASF, WMV)")
	case is(0, ".RMF"):
		return Unsupported, strange("a RealMedia file")
	case is(0, "\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02"):
		return Unsupported, strange("an MXF file")
	case any(0, "CWS", "FWS", "ZWS"):
		return Unsupported, strange("a Flash program (SWF)")
	default:
		return "", ""
	}
}

func strange(what string) string {
	return "This is " + what + ", which can't be read here. " + readable
}

// movieBox returns the content of the box moov at the top of an MP4, nil if there is
// none.
func movieBox(source io.ReadSeeker) ([]byte, error) {
	const mostBoxes, largest = 10_000, 32 << 20 // of an index; the largest that a video within our limits needs is far smaller
	at := int64(0)
	for range mostBoxes {
		var head [16]byte
		if _, err := source.Seek(at, io.SeekStart); err != nil {
			return nil, err
		}
		n, err := io.ReadFull(source, head[:])
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, err
		}
		size, start := int64(binary.BigEndian.Uint32(head[:])), int64(8)
		if size == 1 {
			size, start = int64(binary.BigEndian.Uint64(head[8:])), 16
		}
		switch {
		case n < 8:
			return nil, nil
		case string(head[4:8]) == "moov" && size <= largest:
			if _, err := source.Seek(at+start, io.SeekStart); err != nil {
				return nil, err
			}
			return io.ReadAll(io.LimitReader(source, max(0, size-start)))
		case size < start || at > 1<<60:
			return nil, nil // to the end of the file, or nonsense
		}
		at += size
	}
	return nil, nil
}
