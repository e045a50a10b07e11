package media

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// picture returns the stream to show: of those that can be read the one that players
// take, which is the longest, the one that its file calls the default, the largest. A
// thumbnail beside it is passed over, wherever it stands. The packets say how long a stream is.
func (p *probed) picture(packets *walk) (*probedStream, error) {
	var moving, readable []*probedStream
	stills := 0
	for i := range p.Streams {
		s := &p.Streams[i]
		switch {
		case s.Type != "video":
		case s.thumbnail():
			stills++
		default:
			moving = append(moving, s)
			if slices.Contains(videoCodecs(), s.Codec) {
				readable = append(readable, s)
			}
		}
	}
	best, longest := mostShown(readable, packets), mostShown(moving, packets)
	switch {
	case longest == nil:
		return nil, p.pictureless(stills > 0)
	// A small picture that can be read doesn't stand for the film that can't.
	case best == nil || best != longest && packets.stream(best.Index).length() < packets.stream(longest.Index).length()/2:
		return nil, reject(Unsupported, fmt.Errorf("video codec %q, tag %q", longest.Codec, longest.Tag), fmt.Sprintf(
			"The picture of this video is %s, which can't be read here. Export it as H.264, HEVC, VP9 or AV1.", longest.coding()))
	case packets.stream(best.Index).packets <= 1 && best.image() && p.sounds(packets) == nil:
		return nil, reject(NotAVideo, nil, stillMessage)
	}
	return best, nil
}

// pictureless says what a file without a moving picture is.
func (p *probed) pictureless(still bool) error {
	hears := slices.ContainsFunc(p.Streams, func(s probedStream) bool { return s.Type == "audio" })
	switch {
	case hears:
		return reject(NotAVideo, nil, soundMessage)
	case still:
		return reject(NotAVideo, nil, stillMessage)
	default:
		return reject(NotAVideo, nil, "This file has no moving picture.")
	}
}

// thumbnail reports whether the container itself says that a stream isn't the film.
func (s *probedStream) thumbnail() bool {
	return s.Disposition["attached_pic"]+s.Disposition["still_image"]+s.Disposition["timed_thumbnails"] > 0
}

// image reports whether the codec is one of single pictures.
func (s *probedStream) image() bool { return s.Codec == "mjpeg" || s.Codec == "png" }

// mostShown returns the stream that players show, nil of none.
func mostShown(streams []*probedStream, packets *walk) *probedStream {
	most := 0.0
	for _, s := range streams {
		most = max(most, packets.stream(s.Index).length())
	}
	var long []*probedStream
	for _, s := range streams {
		if packets.stream(s.Index).length() >= most*0.8 { // takes of one film differ by seconds
			long = append(long, s)
		}
	}
	if len(long) == 0 {
		return nil
	}
	return slices.MaxFunc(long, func(a, b *probedStream) int { // the first of equals
		return cmp.Or(
			cmp.Compare(a.Disposition["default"], b.Disposition["default"]),
			cmp.Compare(a.Width*a.Height, b.Width*b.Height))
	})
}

// coding names what a stream is coded in, for its author: by ffmpeg's name, else by
// the container's.
func (s *probedStream) coding() string {
	tag := strings.TrimFunc(s.Tag, func(r rune) bool { return r <= ' ' || r > '~' })
	switch {
	case tag == "dav1":
		return "coded as Dolby Vision AV1 (dav1)"
	case s.Codec != "" && s.Codec != "unknown" && s.Codec != "none":
		return "coded as " + s.Codec
	case tag != "" && !strings.Contains(tag, "["):
		return fmt.Sprintf("coded in a way that this file calls %q", tag)
	default:
		return "coded in an unknown way"
	}
}

// sounds returns the sound streams that hold anything, in the file's order. What is
// declared without a single packet, as by recorders whose microphone was off, is none.
func (p *probed) sounds(packets *walk) (all []*probedStream) {
	for i := range p.Streams {
		if s := &p.Streams[i]; s.Type == "audio" && packets.stream(s.Index).packets > 0 {
			all = append(all, s)
		}
	}
	return all
}

// sound returns the stream to hear, or nil: of those that can be read the one that its
// file calls the default, else the first. unread names the coding where none can be.
func (p *probed) sound(packets *walk) (best *probedStream, unread string) {
	all := p.sounds(packets)
	var readable []*probedStream
	for _, s := range all {
		if s.Channels > 0 && audioCodec(s.Codec) {
			readable = append(readable, s)
		}
	}
	if len(readable) == 0 {
		if len(all) > 0 {
			unread = all[0].coding()
		}
		return nil, unread
	}
	return slices.MaxFunc(readable, func(a, b *probedStream) int {
		return cmp.Compare(a.Disposition["default"], b.Disposition["default"])
	}), ""
}
