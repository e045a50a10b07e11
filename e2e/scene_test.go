package e2e

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

// scenario is what a person does with a client, and what must come of it.
type scenario struct {
	name string
	only string // "node" or "chromium"; in both if empty
	play func(*scene)
}

// scene is one scenario on its way: somebody with clients of one kind, on a line
// of their own to a gateway.
type scene struct {
	*insider
	*director
	kind, user string
	urls       string // where clients in Node.js keep the URLs of uploads
	line       *line
	chance     *rand.Rand
	ended      *ends
	clients    int
}

// ends are videos that are on their way out, with the gateway that knows.
type ends struct {
	mu  sync.Mutex
	ids []video.ID
}

func (e *ends) add(id video.ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ids = append(e.ids, id)
}

// play runs scenarios in one kind of client, beside each other unless they harm
// what others need, and waits until nothing is left of their videos.
func (i *insider) play(t *testing.T, d *director, kind string, beside bool, scenarios []scenario) {
	ended, n := &ends{}, seedOf()
	t.Run(kind, func(t *testing.T) {
		for _, sc := range scenarios {
			if sc.only != "" && sc.only != kind {
				continue
			}
			t.Run(sc.name, func(t *testing.T) {
				if beside {
					t.Parallel()
				}
				t.Logf("seed %d", n)
				sc.play(i.scene(t, d, kind, ended, n))
			})
		}
	})
	for _, id := range ended.ids {
		i.in(t).erased(id, 2*time.Minute)
	}
}

func soaking() bool { return os.Getenv("SOAK") != "" }

// seedOf is what everything random follows from: E2E_SEED where it is set, else
// with SOAK another one each time, and without it always the same.
func seedOf() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("E2E_SEED"), 10, 64); err == nil {
		return n
	}
	if soaking() {
		return uint64(time.Now().UnixNano())
	}
	return 1
}

func (i *insider) scene(t *testing.T, d *director, kind string, ended *ends, seed uint64) *scene {
	name := fnv.New64()
	name.Write([]byte(t.Name()))
	return &scene{
		insider: i.in(t), director: d, kind: kind, user: "u-" + video.NewID().Hash()[:8],
		urls: filepath.Join(t.TempDir(), "urls.json"), line: newLine(t, judged.tap(t, i.URLs[0])), ended: ended,
		chance: rand.New(rand.NewPCG(seed, name.Sum64())),
	}
}

// client starts one more client of the scene's kind.
func (s *scene) client() *tusClient {
	s.t.Helper()
	s.clients++
	name := fmt.Sprintf("%s-%d", s.user, s.clients)
	if s.kind == "chromium" {
		return s.tab(s.t, name)
	}
	return s.node(s.t, name, s.urls)
}

// file makes a file that clients can send.
func (s *scene) file(size int64) file {
	s.t.Helper()
	f := randomFile(s.t, fmt.Sprintf("%s-%d.mp4", s.user, size), size)
	s.director.mu.Lock()
	defer s.director.mu.Unlock()
	s.director.files[filepath.Base(f.path)] = f.path
	return f
}

type options = map[string]any

// send is the order to send a file with a client's own defaults, changed by more.
func (s *scene) send(f file, more ...options) order {
	o := order{Do: "start", File: &sent{Name: filepath.Base(f.path), Path: f.path, Modified: 1_700_000_000_000}, Options: options{
		"endpoint": s.endpoint(),
		"headers":  map[string]string{"Authorization": "Bearer dev:" + s.user},
		"metadata": map[string]string{"filename": filepath.Base(f.path), "filetype": "video/mp4"},
	}}
	for _, m := range more {
		maps.Copy(o.Options, m)
	}
	return o
}

func (s *scene) endpoint() string { return s.line.url() + "/v1/uploads/" }

func (s *scene) api() *client.Client { return s.as(s.user) }

// begun waits until a client knows its upload's URL.
func (s *scene) begun(c *tusClient) (url string, id video.ID) {
	s.t.Helper()
	url = c.await("the upload has a URL", is("url")).URL
	return url, s.idOf(url)
}

// under way waits until bytes have left, and a moment more.
func (s *scene) underWay(c *tusClient) (url string, id video.ID) {
	s.t.Helper()
	url, id = s.begun(c)
	time.Sleep(time.Duration(200+s.chance.IntN(400)) * time.Millisecond)
	return url, id
}

// arrived checks that the file is stored, and then ends its video.
func (s *scene) arrived(url string, f file) {
	s.t.Helper()
	id := s.idOf(url)
	s.rests(id, f)
	s.ends(id)
}

// ends deletes a video; that nothing is left of it is looked at in the end.
func (s *scene) ends(id video.ID) {
	s.t.Helper()
	s.until("the deletion is accepted", time.Minute, func() bool {
		err := s.api().Delete(s.ctx, id)
		return err == nil || video.CodeOf(err) == video.Gone
	})
	s.ended.add(id)
}

// persists waits until an upload has succeeded, with a person behind it who
// starts it again, as often as it takes, after it has given up.
func (s *scene) persists(c *tusClient) string {
	s.t.Helper()
	for again := 0; ; again++ {
		e := c.await("the upload ends", func(e told) bool { return e.Event == "success" || e.Event == "error" })
		if e.Event == "success" {
			return e.URL
		}
		if again == 20 || e.Status >= 400 && e.Status < 500 && e.Status != http.StatusLocked && e.Status != http.StatusConflict {
			s.t.Fatalf("client %s gave up with status %d: %s\n%s", c.name, e.Status, e.Message, c.story())
		}
		time.Sleep(500 * time.Millisecond)
		c.do(order{Do: "resume"})
	}
}

// patch sends bytes by hand; with chunked the server isn't told how many.
func (s *scene) patch(url, offset string, body []byte, chunked bool) *http.Response {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.ctx, http.MethodPatch, url, bytes.NewReader(body))
	s.must(err)
	if chunked {
		request.ContentLength, request.Body = -1, io.NopCloser(bytes.NewReader(body))
	}
	for name, value := range map[string]string{"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream", "Upload-Offset": offset} {
		request.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(request)
	s.must(err)
	s.must(answer.Body.Close())
	return answer
}

// offsetAt is how far an upload is, as HEAD says, which must answer 200.
func (s *scene) offsetAt(url string) string {
	s.t.Helper()
	answer := tus(s.t, http.MethodHead, url)
	if answer.StatusCode != http.StatusOK {
		s.t.Fatalf("HEAD answers %d", answer.StatusCode)
	}
	return answer.Header.Get("Upload-Offset")
}
