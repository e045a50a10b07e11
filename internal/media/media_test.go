package media

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/reelflow/reelflow/internal/sandbox"
	"github.com/reelflow/reelflow/video"
)

// TestMain also plays the process that is killed in TestKilledParent.
func TestMain(m *testing.M) {
	if dir := os.Getenv("MEDIA_TEST_WORK"); dir != "" {
		workForever(dir)
	}
	dir, err := os.MkdirTemp("", "media-test-clips-")
	if err != nil {
		panic(err)
	}
	clips.dir = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// clips are made by ffmpeg once for each list of arguments.
var clips struct {
	dir  string
	mu   sync.Mutex
	made map[string]string
}

// clip returns the path of a file made with the given arguments of ffmpeg; name
// gives it its ending.
func clip(t testing.TB, name string, args ...string) string {
	t.Helper()
	clips.mu.Lock()
	defer clips.mu.Unlock()
	key := name + " " + strings.Join(args, " ")
	if path, ok := clips.made[key]; ok {
		return path
	}
	path := filepath.Join(clips.dir, fmt.Sprintf("%d-%s", len(clips.made), name))
	run(t, "ffmpeg", append(append([]string{"-nostdin", "-v", "error", "-y"}, args...), path)...)
	if clips.made == nil {
		clips.made = map[string]string{}
	}
	clips.made[key] = path
	return path
}

// picture and sound are arguments for test signals.
func picture(size string, rate string, seconds float64) []string {
	return []string{"-f", "lavfi", "-i", fmt.Sprintf("testsrc2=s=%s:r=%s:d=%g", size, rate, seconds)}
}

func sound(seconds float64) []string {
	return []string{"-f", "lavfi", "-i", fmt.Sprintf("sine=f=440:r=44100:d=%g", seconds)}
}

func args(parts ...any) []string {
	var all []string
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			all = append(all, strings.Fields(p)...)
		case []string:
			all = append(all, p...)
		}
	}
	return all
}

const h264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 40"

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, stderr.Bytes())
	}
	return string(out)
}

func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// turned returns a copy of an MP4 that asks to be shown turned clockwise by 90
// degrees, as a phone held upright writes it: by the matrix of the picture's
// track header (ISO/IEC 14496-12, 8.3.2).
func turned(t testing.TB, path string) string {
	t.Helper()
	return write(t, "turned.mp4", turnedBy(t, read(t, path), 0, 1<<16, -1<<16, 0))
}

// turnedBy writes the upper left quarter of the matrix in the picture's track header.
func turnedBy(t testing.TB, data []byte, a, b, c, d int32) []byte {
	t.Helper()
	box := bytes.Index(data, []byte("tkhd"))
	if box < 0 || data[box+4] != 0 {
		t.Fatal("no track header of version 0")
	}
	matrix := data[box+44 : box+44+36]
	for i, v := range []int32{a, b, 0, c, d, 0, 0, 0, 1 << 30} {
		binary.BigEndian.PutUint32(matrix[4*i:], uint32(v))
	}
	return data
}

func file(path string) Source {
	return func(context.Context) (io.ReadSeekCloser, error) { return os.Open(path) }
}

func inMemory(data []byte) Source { return text(string(data)) }

var findOnce = sync.OnceValues(Find)

// boxed is the sandbox of all programs in these tests, with what this machine has of it.
var boxed = sync.OnceValues(func() (*sandbox.Sandbox, error) { return sandbox.Open(context.Background(), sandbox.Prefer) })

// tools returns tools with a scratch of the test's own, which must be empty again at its end.
func tools(t testing.TB) *Tools {
	t.Helper()
	once, err := findOnce()
	if err != nil {
		t.Fatal(err)
	}
	found := new(Tools)
	*found = *once
	found.Runner.Scratch = t.TempDir()
	found.Threads = 1
	if found.Runner.Sandbox, err = boxed(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		left, err := os.ReadDir(found.Runner.Scratch)
		if err != nil || len(left) > 0 {
			t.Errorf("left in scratch: %v, %v", left, err)
		}
	})
	return found
}

// bare returns tools without a sandbox, for programs that are scripts: they start others.
func bare(t testing.TB) *Tools {
	t.Helper()
	tools := tools(t)
	tools.Runner.Sandbox = nil
	return tools
}

func probe(t testing.TB, tools *Tools, path string) Info {
	t.Helper()
	info, err := tools.Probe(t.Context(), file(path))
	if err != nil {
		t.Fatalf("probe: %v", err)
	}
	return info
}

func wantRejection(t *testing.T, err error, want Reason) {
	t.Helper()
	r, ok := errors.AsType[*Rejection](err)
	if !ok || r.Code != want {
		t.Fatalf("got %v, want a rejection as %s", err, want)
	}
	if !strings.HasSuffix(r.Message, ".") {
		t.Errorf("message %q is no sentence", r.Message)
	}
}

// product is all that is made of a video.
type product struct {
	info   Info
	ladder []video.Rendition
	pieces []Piece
	mp4    map[string][][]byte // by rendition, the pieces
	audio  []byte
	loss   Loss // in all
}

// lose adds what is lost.
func (p *product) lose(more Loss) error {
	p.loss.Frames += more.Frames
	p.loss.Damaged = p.loss.Damaged || more.Damaged
	p.loss.Sound = p.loss.Sound || more.Sound
	return nil
}

// produce encodes a video in pieces of the given length.
func produce(t testing.TB, tools *Tools, path string, length time.Duration) product {
	t.Helper()
	p := product{info: probe(t, tools, path), mp4: map[string][][]byte{}}
	p.ladder, p.pieces = Ladder(p.info), Pieces(p.info, length)
	for _, piece := range p.pieces {
		err := tools.EncodePiece(t.Context(), file(path), p.info, p.ladder, piece, p.lose,
			func(name string, file io.ReadSeeker, size int64) error {
				data, err := io.ReadAll(file)
				if int64(len(data)) != size {
					t.Errorf("size %d of %d bytes", size, len(data))
				}
				p.mp4[name] = append(p.mp4[name], data)
				return err
			})
		if err != nil {
			t.Fatalf("encode piece %d: %v", piece.Index, err)
		}
	}
	if p.info.HasAudio {
		err := tools.EncodeAudio(t.Context(), file(path), p.info, p.lose, func(_ string, file io.ReadSeeker, _ int64) (err error) {
			p.audio, err = io.ReadAll(file)
			return err
		})
		if err != nil {
			t.Fatalf("encode audio: %v", err)
		}
	}
	return p
}

// segments packages one rendition.
func (p product) segments(t testing.TB, tools *Tools, rendition string) []Segment {
	t.Helper()
	var pieces []Source
	for _, data := range p.mp4[rendition] {
		pieces = append(pieces, inMemory(data))
	}
	var audio Source
	if p.audio != nil {
		audio = inMemory(p.audio)
	}
	var all []Segment
	err := tools.Package(t.Context(), p.info, pieces, audio, func(s Segment) error {
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatalf("package: %v", err)
	}
	return all
}
