package media

import (
	"slices"
	"strings"
)

// videoCodecs are those that cameras, phones, editors and browsers write.
func videoCodecs() []string {
	return []string{"h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mpeg2video", "mpeg1video",
		"h263", "flv1", "msmpeg4v3", "mjpeg", "prores", "dnxhd", "cfhd", "dvvideo", "theora", "ffv1", "vc1"}
}

// audioCodecs are theirs; of PCM every kind is taken, and those listed are the
// ones that cameras and editors write.
func audioCodecs() []string {
	return []string{"aac", "mp3", "mp2", "opus", "vorbis", "ac3", "eac3", "dts", "flac", "alac", "amr_nb", "amr_wb",
		"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_u8", "pcm_alaw", "pcm_mulaw"}
}

func audioCodec(name string) bool {
	return strings.HasPrefix(name, "pcm_") || slices.Contains(audioCodecs(), name)
}

const (
	transport     = "mpegts"
	programStream = "mpeg" // MPEG-PS, as ffmpeg names it: DVDs, old cameras
)

// container names what ffprobe calls by all names of its kind.
func container(name string) string {
	switch {
	case strings.Contains(name, "mp4"):
		return "mp4"
	case strings.Contains(name, "matroska"):
		return "matroska"
	default:
		return name
	}
}

// joinable reports whether files of a container may be joined by writing one behind
// the other, so that its clock may jump in the middle. ffmpeg mends that, by the
// streams in use.
func joinable(container string) bool { return container == transport || container == programStream }

// indexed reports whether a container can be entered at an exact frame. The others
// have no index, or none that is to be relied on.
func indexed(container string) bool { return !joinable(container) && container != "flv" }
