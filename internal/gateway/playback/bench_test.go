package playback

import (
	"io"
	"net/http"
	"path"
	"testing"

	"github.com/reelflow/reelflow/video"
)

// BenchmarkServing is what one answer costs, client included.
func BenchmarkServing(b *testing.B) {
	h := open(b)
	f := h.show(video.Public, 4)
	big := h.big(f)
	for name, address := range map[string]string{"segment": big, "playlist": h.play(f.id, Anyone, "720p.m3u8"), "key": h.play(f.id, Anyone, "key/720p/0")} {
		b.Run(name, func(b *testing.B) {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, ReadBufferSize: 64 << 10}}
			defer client.CloseIdleConnections()
			b.SetParallelism(8)
			b.RunParallel(func(run *testing.PB) {
				room := make([]byte, 256<<10)
				for run.Next() {
					got, err := client.Get(address)
					if err != nil {
						b.Error(err)
						return
					}
					_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, got.Body, room)
					if got.Body.Close(); err != nil || got.StatusCode != http.StatusOK {
						b.Error(got.Status, err)
						return
					}
				}
			})
		})
	}
}

// big adds a segment of 1.2 MB, and returns its address.
func (h *theatre) big(f *film) string {
	h.t.Helper()
	h.move(f.id, 3, video.Processing)
	key, _ := h.put(legOf(f, 3), segmentOf(100), noise(1_200_000))
	h.move(f.id, 4, video.Published)
	return h.url + "/media/" + string(f.id) + "/720p/" + path.Base(key)
}
