package media

import (
	"os"
	"strings"
	"testing"
)

func TestCodecs(t *testing.T) {
	t.Parallel()
	const stream = " -f mpegts -mpegts_pmt_start_pid 0x1000 -mpegts_start_pid 0x100"
	for want, made := range map[string][]string{
		"avc1.64001f":           args(picture("320x180", "25", 1), "-c:v libx264 -pix_fmt yuv420p -profile:v high -level 3.1"+stream),
		"avc1.4d4028,mp4a.40.2": args(picture("320x180", "25", 1), sound(1), "-c:v libx264 -pix_fmt yuv420p -profile:v main -level 4.0 -c:a aac"+stream),
		"avc1.42c00d":           args(picture("320x180", "25", 1), "-c:v libx264 -pix_fmt yuv420p -profile:v baseline -level 1.3"+stream),
		"mp4a.40.2":             args(sound(1), "-c:a aac"+stream),
	} {
		data, err := os.ReadFile(clip(t, strings.ReplaceAll(want, ",", "-")+".ts", made...))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := (Segment{Data: data}).Codecs(); got != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
		// Whatever is cut off or broken, the answer is right or none.
		for cut := 0; cut < min(len(data), 40*packetSize); cut += 37 {
			if got, err := (Segment{Data: data[:cut]}).Codecs(); err == nil && got != want {
				t.Errorf("%q of the first %d bytes", got, cut)
			}
			broken := append([]byte(nil), data[:min(len(data), 40*packetSize)]...)
			for i := cut; i < min(cut+8, len(broken)); i++ {
				broken[i] = 0xff
			}
			_, _ = Segment{Data: broken}.Codecs() // it must not panic
		}
	}
	if got, err := (Segment{}).Codecs(); err == nil {
		t.Errorf("%q of nothing", got)
	}
}
