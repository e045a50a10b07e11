package playback

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/video"
)

// Playlists are HLS as in RFC 8216, segments encrypted by AES-128 with a key each. All
// addresses in them are relative to the viewer's own, which holds the token, but those
// of segments: they are the same for everyone, so that caches can keep them. So is the
// text, which is written once.

const (
	playlistType = "application/vnd.apple.mpegurl"
	cuesType     = "text/vtt; charset=utf-8"
)

const (
	masterName        = "master"
	playlistExtension = ".m3u8"
)

func (s *Server) servePlaylist(w http.ResponseWriter, r *http.Request, at seen) error {
	name, ok := strings.CutSuffix(r.PathValue("playlist"), playlistExtension)
	if !ok {
		return problem.NothingHere()
	}
	p, err := s.facts.of(r.Context(), at.id, at.Revision)
	if err != nil {
		return err
	}
	text, ok := p.playlists[name]
	if !ok {
		return problem.NothingHere()
	}
	return s.write(w, playlistType, text)
}

// serveCues sends the layout of the preview image as WebVTT.
func (s *Server) serveCues(w http.ResponseWriter, r *http.Request, at seen) error {
	p, err := s.facts.of(r.Context(), at.id, at.Revision)
	if err != nil {
		return err
	}
	if len(p.cues) == 0 {
		return problem.NothingHere()
	}
	return s.write(w, cuesType, p.cues)
}

// masterPlaylist lists the renditions of which there are segments, the best first.
// Each of them may be watched with the captions in any of the languages.
func masterPlaylist(row catalog.Video, renditions map[string][]catalog.Object, languages []string) (string, error) {
	known := map[string]video.Rendition{}
	if len(row.Renditions) > 0 {
		var all []video.Rendition
		if err := json.Unmarshal(row.Renditions, &all); err != nil {
			return "", err
		}
		for _, r := range all {
			known[r.Name] = r
		}
	}
	peaks := map[string]int{} // bits a second
	for name, segments := range renditions {
		if len(segments) > 0 {
			peaks[name] = peakBitrate(segments)
		}
	}
	names := make([]string, 0, len(peaks))
	for name := range peaks {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(peaks[b], peaks[a]), cmp.Compare(a, b))
	})
	var out strings.Builder
	out.WriteString("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n" + captionMedia(languages))
	group := ""
	if len(languages) > 0 {
		group = fmt.Sprintf(",SUBTITLES=%q", captionsGroup)
	}
	for _, name := range names {
		fmt.Fprintf(&out, "#EXT-X-STREAM-INF:BANDWIDTH=%d", peaks[name])
		out.WriteString(attributesOf(known[name]) + group + "\n" + name + ".m3u8\n")
	}
	return out.String(), nil
}

// peakBitrate is the largest bit rate of any segments in a row that last at least half a
// target duration (RFC 8216, section 4.1), in bits a second, rounded up. A shorter last segment
// isn't judged by itself: it is little more than a key frame.
func peakBitrate(segments []catalog.Object) int {
	half := targetDuration(segments) / 2
	peak := 0.0
	for first := range segments {
		size, length := 0.0, 0.0
		for _, s := range segments[first:] {
			size += float64(8 * s.Size)
			length += s.Duration
			if length >= half {
				break
			}
		}
		if length >= half || first == 0 {
			peak = max(peak, size/max(length, 0.001))
		}
	}
	return int(math.Ceil(peak))
}

// targetDuration is that of the longest segment, in whole seconds.
func targetDuration(segments []catalog.Object) float64 {
	longest := 1.0
	for _, s := range segments {
		longest = max(longest, s.Duration)
	}
	return math.Ceil(longest)
}

// attributesOf is what a master playlist says of a rendition beside its bandwidth, as
// far as it is known (RFC 8216, section 4.3.4.2).
func attributesOf(r video.Rendition) (all string) {
	if r.Codecs != "" {
		all += fmt.Sprintf(",CODECS=%q", r.Codecs)
	}
	if r.Width > 0 {
		all += fmt.Sprintf(",RESOLUTION=%dx%d", r.Width, r.Height)
	}
	if r.FrameRate > 0 {
		all += fmt.Sprintf(",FRAME-RATE=%.3f", r.FrameRate)
	}
	return all
}

// mediaPlaylist lists the segments of one rendition, in their order.
func mediaPlaylist(segments []catalog.Object) string {
	var out strings.Builder
	fmt.Fprintf(&out, "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n",
		int(targetDuration(segments)))
	for _, s := range segments {
		fmt.Fprintf(&out, "#EXT-X-KEY:METHOD=AES-128,URI=\"key/%s/%d\",IV=0x%x\n#EXTINF:%.6f,\n%s\n",
			s.Rendition, s.Index, s.IV, s.Duration, segmentPath(s))
	}
	out.WriteString("#EXT-X-ENDLIST\n")
	return out.String()
}

// segmentPath is the address of a segment: it ends in the random name that the
// object has in the store, so it can't be guessed from the id.
func segmentPath(s catalog.Object) string {
	return "/media/" + string(s.Video) + "/" + s.Rendition + "/" + path.Base(s.Key)
}

// previewCues is WebVTT (https://www.w3.org/TR/webvtt1/) of a cue for each tile of the
// preview image, whose text leads to the tile by a media fragment
// (https://www.w3.org/TR/media-frags/#naming-space). The last one lasts until the end.
// It is empty if there are no tiles.
func previewCues(p video.Previews, duration float64) string {
	if p.Count <= 0 || p.Columns <= 0 || p.IntervalSeconds <= 0 {
		return ""
	}
	var out strings.Builder
	out.WriteString("WEBVTT\n")
	for i := range p.Count {
		from := float64(i) * p.IntervalSeconds
		to := from + p.IntervalSeconds
		if i == p.Count-1 {
			to = max(duration, from+0.001)
		}
		fmt.Fprintf(&out, "\n%s --> %s\npreview/0.jpg#xywh=%d,%d,%d,%d\n",
			cueTime(from), cueTime(to), i%p.Columns*p.TileWidth, i/p.Columns*p.TileHeight, p.TileWidth, p.TileHeight)
	}
	return out.String()
}

func cueTime(seconds float64) string {
	ms := int64(math.Round(seconds * 1000))
	return fmt.Sprintf("%02d:%02d:%02d.%03d", ms/3600000, ms/60000%60, ms/1000%60, ms%1000)
}
