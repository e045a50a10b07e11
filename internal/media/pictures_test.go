package media

import (
	"bytes"
	"image/jpeg"
	"testing"
)

func TestPictures(t *testing.T) {
	t.Parallel()
	tools := tools(t)
	tests := map[string]struct {
		path                      string
		posterWidth, posterHeight int
		tiles, tileWidth          int
	}{
		"turned":           {turned(t, clip(t, "clip.mp4", args(picture("320x180", "30", 5), sound(5), h264, "-c:a aac")...)), 180, 320, 5, 90},
		"large":            {long(t), 1280, 720, 10, 160},
		"key frames alone": {clip(t, "tiny.mkv", args(picture("64x64", "10", 130), h264)...), 64, 64, 100, 64},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			info := probe(t, tools, test.path)
			poster, err := tools.Poster(t.Context(), file(test.path), info)
			if err != nil {
				t.Fatal(err)
			}
			checkJPEG(t, poster, test.posterWidth, test.posterHeight)
			sprite, layout, err := tools.Previews(t.Context(), file(test.path), info)
			if err != nil {
				t.Fatal(err)
			}
			if layout.Count != test.tiles || layout.TileWidth != test.tileWidth {
				t.Errorf("layout %+v, want %d tiles of width %d", layout, test.tiles, test.tileWidth)
			}
			checkJPEG(t, sprite, layout.Columns*layout.TileWidth, layout.Rows*layout.TileHeight)
		})
	}
}

func checkJPEG(t *testing.T, data []byte, width, height int) {
	t.Helper()
	c, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil || c.Width != width || c.Height != height {
		t.Errorf("%dx%d, %v; want %dx%d", c.Width, c.Height, err, width, height)
	}
}
