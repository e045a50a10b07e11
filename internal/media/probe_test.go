package media

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reelflow/reelflow/video"
)

func TestProbe(t *testing.T) {
	upright := clip(t, "clip.mp4", args(picture("320x180", "30", 2), sound(2), h264, "-c:a aac")...)
	tests := map[string]struct {
		path string
		want Info
	}{
		"mp4": {upright, Info{Container: "mp4", DurationSeconds: 2, Width: 320, Height: 180, VideoCodec: "h264",
			AudioCodec: "aac", HasAudio: true, FrameRate: Rate{30, 1}, OutputRate: Rate{30, 1}, Frames: 60}},
		"turned": {turned(t, upright), Info{Container: "mp4", DurationSeconds: 2, Width: 180, Height: 320, Rotation: 90, VideoCodec: "h264",
			AudioCodec: "aac", HasAudio: true, FrameRate: Rate{30, 1}, OutputRate: Rate{30, 1}, Frames: 60}},
		"hevc": {clip(t, "clip.mov", args(picture("320x180", "24000/1001", 2), "-c:v libx265 -preset ultrafast -x265-params log-level=error -tag:v hvc1")...),
			Info{Container: "mp4", DurationSeconds: 2.002, Width: 320, Height: 180, VideoCodec: "hevc",
				FrameRate: Rate{24000, 1001}, OutputRate: Rate{24000, 1001}, Frames: 48}},
		"vp9": {clip(t, "clip.webm", args(picture("320x180", "25", 2), sound(2), "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus -ac 1")...),
			Info{Container: "matroska", DurationSeconds: 2, Width: 320, Height: 180, VideoCodec: "vp9",
				AudioCodec: "opus", HasAudio: true, FrameRate: Rate{25, 1}, OutputRate: Rate{25, 1}, Frames: 50}},
		"av1": {clip(t, "clip.mkv", args(picture("320x180", "30", 1), "-c:v libaom-av1 -usage realtime -cpu-used 8")...),
			Info{Container: "matroska", DurationSeconds: 1, Width: 320, Height: 180, VideoCodec: "av1",
				FrameRate: Rate{30, 1}, OutputRate: Rate{30, 1}, Frames: 30}},
		// As browsers record: no length anywhere.
		"live webm": {clip(t, "live.webm", args(picture("320x180", "25", 3), sound(3), "-c:v libvpx -deadline realtime -cpu-used 8 -c:a libopus -live 1")...),
			Info{Container: "matroska", DurationSeconds: 3, Width: 320, Height: 180, VideoCodec: "vp8",
				AudioCodec: "opus", HasAudio: true, FrameRate: Rate{25, 1}, OutputRate: Rate{25, 1}, Frames: 75}},
		"fragmented": {clip(t, "fragmented.mp4", args(picture("320x180", "30", 4), h264, "-movflags frag_keyframe+empty_moov+default_base_moof")...),
			Info{Container: "mp4", DurationSeconds: 4, Width: 320, Height: 180, VideoCodec: "h264",
				FrameRate: Rate{30, 1}, OutputRate: Rate{30, 1}, Frames: 120}},
		"fast": {clip(t, "clip.mp4", args(picture("320x180", "240", 1), h264)...), Info{Container: "mp4", DurationSeconds: 1, Width: 320, Height: 180,
			VideoCodec: "h264", FrameRate: Rate{240, 1}, OutputRate: Rate{60, 1}, Frames: 60}},
		"sound longer than picture": {clip(t, "clip.mkv", args(picture("320x180", "30", 2), sound(20), h264, "-c:a aac")...),
			Info{Container: "matroska", DurationSeconds: 20, Width: 320, Height: 180, VideoCodec: "h264",
				AudioCodec: "aac", HasAudio: true, FrameRate: Rate{30, 1}, OutputRate: Rate{30, 1}, Frames: 600, StillFrames: 540}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := probe(t, tools(t), test.path)
			if math.Abs(got.DurationSeconds-test.want.DurationSeconds) > 0.1 || got.Frames-test.want.Frames > 1 || test.want.Frames-got.Frames > 1 {
				t.Errorf("%.3f s and %d frames, want %.3f s and %d", got.DurationSeconds, got.Frames, test.want.DurationSeconds, test.want.Frames)
			}
			got.DurationSeconds, got.Frames = test.want.DurationSeconds, test.want.Frames
			got.StartSeconds, got.VideoStream, got.AudioStream, got.Packets = 0, 0, 0, 0 // TestProduce and TestPublished show that they are right
			got.Colour = Colour{}                                                        // TestColours
			if got != test.want {
				t.Errorf("\n got %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestProbeRejects(t *testing.T) {
	short := clip(t, "clip.mp4", args(picture("320x180", "30", 2), sound(2), h264, "-c:a aac")...)
	still := clip(t, "still.png", args(picture("320x180", "1", 1), "-frames:v 1")...)
	cover := clip(t, "cover.m4a", args(sound(2), "-i", still, "-map 0 -map 1 -c:a aac -c:v png -disposition:v attached_pic")...)
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	if _, err := w.Create("video.mp4"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	whole := read(t, short)
	tests := map[string]struct {
		data []byte
		want Reason
	}{
		"empty":                  {nil, NotAVideo},
		"text":                   {[]byte(strings.Repeat("Once upon a time. ", 999)), NotAVideo},
		"zip":                    {archive.Bytes(), NotAVideo},
		"sound alone":            {read(t, clip(t, "sound.m4a", args(sound(2), "-c:a aac")...)), NotAVideo},
		"sound with cover":       {read(t, cover), NotAVideo},
		"still picture":          {read(t, still), NotAVideo},
		"index cut off":          {whole[:len(whole)*9/10], Damaged},
		"beginning only":         {whole[:40], Damaged},
		"playlist":               {[]byte("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n" + short + "\n#EXT-X-ENDLIST\n"), NotAVideo},
		"list of files":          {[]byte("ffconcat version 1.0\nfile " + short + "\n"), NotAVideo},
		"too long":               {read(t, clip(t, "long.mp4", args(picture("64x64", "10", 12), h264)...)), TooLong},
		"too small":              {read(t, clip(t, "tiny.mp4", args(picture("64x8", "10", 2), h264)...)), Unsupported},
		"picture of a rare kind": {read(t, clip(t, "rare.mkv", args(picture("64x64", "10", 2), "-c:v rawvideo")...)), Unsupported},
	}
	for name, test := range some(tests) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tools := tools(t)
			tools.MaxDuration = 10 * time.Second
			_, err := tools.Probe(t.Context(), inMemory(test.data))
			wantRejection(t, err, test.want)
			if video.CodeOf(err) != video.UnsupportedMedia {
				t.Errorf("code %s", video.CodeOf(err))
			}
		})
	}
}

// A playlist named like a video would have ffmpeg fetch what it names, from
// inside our network. It must not get that far, in any call.
func TestPlaylistFetchesNothing(t *testing.T) {
	t.Parallel()
	tools := tools(t)
	short := clip(t, "clip.mp4", args(picture("320x180", "30", 2), sound(2), h264, "-c:a aac")...)
	info := probe(t, tools, short)
	var fetched atomic.Int32
	neighbour := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fetched.Add(1)
		http.ServeFile(w, r, short)
	}))
	defer neighbour.Close()
	sink := func(string, io.ReadSeeker, int64) error { return errors.New("something came out") }
	for _, list := range some(map[string]string{
		"playlist":      "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n" + neighbour.URL + "/clip.mp4\n#EXT-X-ENDLIST\n",
		"list of files": "ffconcat version 1.0\nfile '" + neighbour.URL + "/clip.mp4'\n",
	}) {
		list := inMemory([]byte(list))
		_, err := tools.Probe(t.Context(), list)
		wantRejection(t, err, NotAVideo)
		wantRejection(t, tools.EncodePiece(t.Context(), list, info, Ladder(info), Pieces(info, PieceLength(info))[0], nil, sink), Damaged)
		if err := tools.EncodeAudio(t.Context(), list, info, nil, sink); err == nil || err.Error() != "something came out" {
			t.Errorf("sound: got %v, want silence", err)
		}
		_, err = tools.Poster(t.Context(), list, info)
		wantRejection(t, err, Damaged)
		_, _, err = tools.Previews(t.Context(), list, info)
		wantRejection(t, err, Damaged)
	}
	if n := fetched.Load(); n > 0 {
		t.Errorf("%d requests reached a neighbour", n)
	}
}

func TestProbePassesErrorsOfSource(t *testing.T) {
	t.Parallel()
	down := video.Errorf(video.Unavailable, "The store is down.")
	_, err := tools(t).Probe(t.Context(), func(context.Context) (io.ReadSeekCloser, error) { return nil, down })
	if !errors.Is(err, down) {
		t.Errorf("got %v, want %v", err, down)
	}
}
