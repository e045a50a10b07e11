package gateway

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/playback"
	"github.com/reelflow/reelflow/video"
)

// mutants is how many mutated requests are sent: a tenth of them, always the same,
// unless SOAK asks for all, which are others each time.
func mutants() (n int, seed uint64) {
	if os.Getenv("SOAK") != "" {
		return 4000, rand.Uint64()
	}
	return 400, 1
}

// Whatever somebody sends: it is never our fault, nothing of another person's is
// changed, and nothing of it is shown.
func TestMutatedRequests(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	faults := errorsOf{make(chan string, 100)}
	s.Gateway.log = faults.log()
	m := s.mutator()
	before := m.victims()
	n, seed := mutants()
	t.Logf("%d requests of seed %d", n, seed)
	var wait sync.WaitGroup
	for worker := range 8 {
		wait.Go(func() {
			for i := worker; i < n; i += 8 {
				m.send(rand.New(rand.NewPCG(seed, uint64(i))), i)
			}
		})
	}
	wait.Wait()
	t.Logf("answers: %v", m.statuses)
	if m.statuses[200] < n/20 || m.statuses[404] < n/20 || m.statuses[400] < n/20 {
		t.Error("the requests are too odd, or not odd enough, to find anything")
	}
	for id, was := range before {
		if is := m.victims()[id]; is != was {
			t.Errorf("a video of another person was changed:\n%s\n%s", was, is)
		}
	}
	close(faults.found)
	for fault := range faults.found {
		t.Errorf("a fault of ours: %s", fault)
	}
	if got := s.request("", "GET", "/readyz", ""); got.status != 200 {
		t.Errorf("not ready any more: %d %s", got.status, got.body)
	}
}

// raw is a request as text.
type raw struct {
	method, path string
	headers      [][2]string
	body         string
}

func (r raw) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\n", r.method, r.path)
	for _, h := range r.headers {
		fmt.Fprintf(&text, "%s: %s\r\n", h[0], h[1])
	}
	return text.String() + "\r\n" + r.body
}

// mutator knows good requests, and what makes them odd. It acts for mallory, and
// for nobody; the videos of others it knows by their ids.
type mutator struct {
	*site
	host     string
	others   []video.ID // who must not notice anything
	secrets  []string   // of theirs
	requests []raw
	odd      []string // for any place

	mu       sync.Mutex
	statuses map[int]int // how often each was the answer
}

const theirSecret = "what only its owner may read"

func (s *site) mutator() *mutator {
	s.t.Helper()
	m := &mutator{site: s, host: strings.TrimPrefix(s.url, "http://"), secrets: []string{theirSecret}, statuses: map[int]int{}}
	for _, stage := range []video.Stage{video.Uploading, video.Published, video.Draft, video.PendingDeletion} {
		v := s.made("owner", `{"title":"`+theirSecret+`","visibility":"private","allow_download":true,"source":{"size":1000,"filename":"`+theirSecret+`"}}`)
		if stage == video.Uploading {
			s.tus("", "PATCH", *v.Upload.URL, "0123456789", "Upload-Offset", "0")
		}
		if stage == video.Published {
			s.packaged(v.ID)
		}
		s.move(v.ID, stage)
		m.others = append(m.others, v.ID)
		m.secrets = append(m.secrets, (*v.Upload.URL)[len(s.url):])
	}
	own := s.made("mallory", `{"source":{"size":1000}}`)
	public := s.in(video.Published, "public")
	s.packaged(public)
	m.requests = m.good(own, public)
	m.odd = m.oddities(own, public)
	return m
}

// good are requests that make sense, for mallory to spoil.
func (m *mutator) good(own video.Video, public video.ID) (all []raw) {
	upload := (*own.Upload.URL)[len(m.url):]
	tus := [][2]string{{"Tus-Resumable", "1.0.0"}, {"Content-Type", "application/offset+octet-stream"}}
	add := func(method, path, body string, headers ...[2]string) {
		all = append(all, raw{method, path, append([][2]string{{"Host", m.host}, {"Authorization", "Bearer dev:mallory"}}, headers...), body})
	}
	add("POST", "/v1/videos", `{"title":"a","hashtags":["b"],"publish_delay":"1m","source":{"size":10,"sha256":"`+strings.Repeat("0", 64)+`"}}`, [2]string{"Content-Type", "application/json"}, [2]string{"Idempotency-Key", "k"})
	add("POST", "/v1/uploads/", "", append(tus, [2]string{"Upload-Length", "10"}, [2]string{"Upload-Metadata", metadata("filename", "a.mp4", "title", "é")})...)
	add("POST", "/v1/uploads/", "hello", append(tus, [2]string{"Upload-Defer-Length", "1"})...)
	add("HEAD", upload, "", tus...)
	add("PATCH", upload, "hello", append(tus, [2]string{"Upload-Offset", "0"}, [2]string{"Upload-Checksum", "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00="})...)
	add("POST", upload, "hello", append(tus, [2]string{"Upload-Offset", "0"}, [2]string{"X-HTTP-Method-Override", "PATCH"})...)
	add("PATCH", upload, "hello", [2]string{"Upload-Draft-Interop-Version", "6"}, [2]string{"Upload-Offset", "0"}, [2]string{"Upload-Complete", "?0"}, [2]string{"Content-Type", "application/partial-upload"})
	add("OPTIONS", "/v1/uploads/", "", [2]string{"Origin", "https://x.example"}, [2]string{"Access-Control-Request-Method", "POST"})
	for _, id := range append(slices.Clone(m.others), own.ID, public) {
		for _, path := range []string{"", "/events", "/playback"} {
			add("GET", "/v1/videos/"+string(id)+path, "")
		}
		for _, c := range []video.Command{video.Pause, video.Resume, video.Cancel, video.Approve, video.Publish, video.Hold} {
			add("POST", "/v1/videos/"+string(id)+"/"+string(c), `{"keep_draft":true}`, [2]string{"Content-Type", "application/json"})
		}
		add("DELETE", "/v1/videos/"+string(id), "")
		add("POST", "/v1/uploads/", "", append(tus, [2]string{"Upload-Length", "1000"}, [2]string{"Upload-Metadata", metadata("video_id", string(id))})...)
		add("GET", "/watch/"+string(id), "", [2]string{"Accept", "text/html"})
		add("GET", "/play/"+string(id)+"/"+m.players.Token(public, playback.Insider, time.Now().Add(time.Hour))+"/source", "", [2]string{"Range", "bytes=0-9"})
	}
	for _, path := range []string{"/v1/me/videos?stage=uploading&limit=5", "/v1/me/drafts?cursor=MSBh", "/v1/users/owner/videos", "/@owner", "/v1/receipts/" + string(own.ID),
		"/openapi.json", "/docs", "/", "/signin?next=/docs", "/signin/callback?code=a&state=b", "/assets/page.css", "/healthz"} {
		add("GET", path, "")
	}
	return all
}

func (m *mutator) oddities(own video.Video, public video.ID) []string {
	odd := []string{"", "0", "-1", "1", "999", "1000", "18446744073709551616", "9223372036854775807", "1e9", "0x10", "NaN", " ", "\t", "%00", "%2e%2e%2f", "..", "//", "é", "\xff\xfe",
		"'; DROP TABLE videos; --", "{}", "[]", "null", `{"a":{"a":{"a":[[[[]]]]}}}`, strings.Repeat("A", 5000), strings.Repeat("9", 400), "bytes=0-0,5-", "bytes=-99999999999999999999",
		"sha1 AAAA", "crc32 AAAAAA==", "md5", "?1", "?0", "1.0.0", "0.2.2", "application/json", "text/html", "application/offset+octet-stream", "video_id " + strings.Repeat("QQ", 40),
		"Bearer dev:mallory", "Bearer x.y.z", "Basic Og==", string(own.ID), string(public), string(video.NewID()), strings.ToUpper(string(public)), "\x00", "a\x01b", "100-continue", "https://evil.example"}
	for _, id := range m.others {
		odd = append(odd, string(id), metadata("video_id", string(id)))
	}
	return odd
}

var (
	methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "\x01"}
	names   = []string{"Tus-Resumable", "Upload-Length", "Upload-Offset", "Upload-Metadata", "Upload-Defer-Length", "Upload-Checksum", "Upload-Concat", "Upload-Complete",
		"Upload-Incomplete", "Upload-Draft-Interop-Version", "X-HTTP-Method-Override", "Content-Type", "Range", "If-Range", "If-None-Match", "Idempotency-Key", "Authorization", "Cookie",
		"Origin", "Sec-Fetch-Site", "Access-Control-Request-Method", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "Last-Event-ID", "Accept", "Accept-Encoding", "Host", "Expect"}
)

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

// mutate spoils a good request in up to four places.
func (m *mutator) mutate(rng *rand.Rand) raw {
	r := pick(rng, m.requests)
	r.headers = slices.Clone(r.headers)
	for range 1 + rng.IntN(1+rng.IntN(4)) { // mostly in one
		switch rng.IntN(9) {
		case 0:
			r.method = pick(rng, methods)
		case 1:
			parts := strings.Split(r.path, "/")
			parts[rng.IntN(len(parts))] = strings.ReplaceAll(pick(rng, m.odd), " ", "%20")
			r.path = "/" + strings.TrimPrefix(strings.Join(parts, "/"), "/")
		case 2:
			r.path += pick(rng, []string{"?cursor=", "?limit=", "?stage=", "/", "?%", "#", "?next=//"}) + strings.ReplaceAll(pick(rng, m.odd), " ", "+")
		case 3:
			r.headers = append(r.headers, [2]string{pick(rng, names), pick(rng, m.odd)})
		case 4:
			r.headers[rng.IntN(len(r.headers))][1] = pick(rng, m.odd)
		case 5:
			at := 1 + rng.IntN(len(r.headers)-1) // a request without a host is no request
			r.headers = slices.Delete(r.headers, at, at+1)
			r.headers = append(r.headers, [2]string{"X-Request-ID", "1"})
		case 6:
			r.body = spoil(rng, r.body)
		case 7:
			r.body += pick(rng, m.odd)
		case 8:
			r.body = pick(rng, m.requests).body
		}
	}
	return r
}

func spoil(rng *rand.Rand, text string) string {
	data := []byte(text)
	for range 1 + rng.IntN(3) {
		if len(data) == 0 {
			return pick(rng, []string{"x", "{", strings.Repeat("\x00", 2000)})
		}
		switch at := rng.IntN(len(data)); rng.IntN(3) {
		case 0:
			data[at] = byte(rng.IntN(256))
		case 1:
			data = data[:at]
		case 2:
			data = slices.Insert(data, at, data[at:]...)
		}
	}
	return string(data)
}

// framed says how long the body is, or sends it in chunks.
func framed(rng *rand.Rand, r raw) raw {
	if rng.IntN(4) == 0 {
		r.headers = append(r.headers, [2]string{"Transfer-Encoding", "chunked"})
		chunk := ""
		if r.body != "" {
			chunk = fmt.Sprintf("%x\r\n%s\r\n", len(r.body), r.body)
		}
		r.body = chunk + "0\r\n\r\n"
		return r
	}
	r.headers = append(r.headers, [2]string{"Content-Length", fmt.Sprint(len(r.body))})
	return r
}

// send sends one mutant, or a part of one, and judges the answer.
func (m *mutator) send(rng *rand.Rand, i int) {
	r := framed(rng, m.mutate(rng))
	text := r.String()
	conn, err := net.Dial("tcp", m.host)
	if err != nil {
		m.t.Error(err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if rng.IntN(20) == 0 { // hangs up in the middle
		_, _ = io.WriteString(conn, text[:rng.IntN(len(text))])
		return
	}
	go io.WriteString(conn, text) // the answer may come before the end
	status, body, err := receive(conn, r.method)
	if err != nil {
		m.t.Errorf("request %d has no answer: %v\n%.600q", i, err, text)
		return
	}
	m.mu.Lock()
	m.statuses[status]++
	m.mu.Unlock()
	if status >= http.StatusInternalServerError && status != http.StatusNotImplemented { // 501: the server's own, of a transfer encoding
		m.t.Errorf("request %d: %d %.300s\n%.600q", i, status, body, text)
	}
	for _, secret := range m.secrets {
		if strings.Contains(body, secret) {
			m.t.Errorf("request %d was told a secret: %d %.300s\n%.600q", i, status, body, text)
		}
	}
}

// receive reads an answer; of a stream, what comes in its first moment.
func receive(conn net.Conn, method string) (status int, body string, err error) {
	reader := bufio.NewReader(conn)
	for {
		answer, err := http.ReadResponse(reader, &http.Request{Method: method})
		if err != nil {
			return 0, "", err
		}
		if answer.StatusCode < 200 && answer.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		if strings.HasPrefix(answer.Header.Get("Content-Type"), "text/event-stream") {
			_ = conn.SetDeadline(time.Now().Add(100 * time.Millisecond))
		}
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20)) // cut off is an answer too
		return answer.StatusCode, string(text), nil
	}
}

// victims is everything that the catalog has of other people's videos.
func (m *mutator) victims() map[video.ID]string {
	m.t.Helper()
	all := map[video.ID]string{}
	for _, id := range m.others {
		row, err := m.catalog.Video(m.t.Context(), id)
		if err != nil {
			m.t.Fatal(err)
		}
		control, err := m.catalog.ControlOf(m.t.Context(), id)
		if err != nil {
			m.t.Fatal(err)
		}
		upload, err := m.catalog.UploadOf(m.t.Context(), id)
		if err != nil {
			m.t.Fatal(err)
		}
		objects, err := m.catalog.Objects(m.t.Context(), id, catalog.Filter{})
		if err != nil {
			m.t.Fatal(err)
		}
		text, err := json.Marshal([]any{row, control, upload, objects})
		if err != nil {
			m.t.Fatal(err)
		}
		all[id] = string(text)
	}
	return all
}
