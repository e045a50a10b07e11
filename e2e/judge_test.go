package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/openapitest"
)

// judge compares what gateways answer with their own description, /openapi.json, in
// every test: it stands behind the HTTP clients of these tests, behind the proxies between
// a gateway and the pages and the command line, and beside the clients that others wrote.
type judge struct {
	mu       sync.Mutex
	document *openapitest.Document
	gateways map[string]bool // by host
	count    int
	wrong    []string
}

var judged = &judge{gateways: map[string]bool{}}

// judgeAnswers has the answers of the rig's gateways judged, and fails the test for those
// that are wrong. On a stack that tests share each is told of what all have seen.
func (r *rig) judgeAnswers() {
	r.t.Helper()
	r.must(judged.learn(r.URLs))
	r.t.Cleanup(func() {
		for _, wrong := range judged.take() {
			r.t.Error(wrong)
		}
	})
}

func (j *judge) learn(urls []string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, url := range urls {
		j.gateways[strings.TrimPrefix(url, "http://")] = true
	}
	if j.document != nil {
		return nil
	}
	answer, err := (&http.Client{Transport: http.DefaultTransport}).Get(urls[0] + "/openapi.json")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil {
		j.document, err = openapitest.Parse(text)
	}
	return err
}

func (j *judge) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	wrong := j.wrong
	j.wrong = nil
	return wrong
}

func (j *judge) note(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.count++
	if err != nil && !slices.Contains(j.wrong, err.Error()) {
		j.wrong = append(j.wrong, err.Error())
	}
}

// sum ends the run: it says how many answers were judged, and returns its exit code.
func (j *judge) sum() int {
	wrong := j.take()
	fmt.Fprintf(os.Stderr, "%d answers were judged by /openapi.json\n", j.count)
	for _, one := range wrong {
		fmt.Fprintln(os.Stderr, "wrong, and seen after its test:", one)
	}
	return min(1, len(wrong))
}

// over is a transport whose answers are judged.
func (j *judge) over(next http.RoundTripper) http.RoundTripper { return judging{j, next} }

type judging struct {
	*judge
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper. An answer is a gateway's where its host is one,
// or where it has a gateway's X-Request-Id: not what a test puts in its place.
func (t judging) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(request)
	if err != nil {
		return answer, err
	}
	t.mu.Lock()
	document, gateway := t.document, t.gateways[request.URL.Host]
	t.mu.Unlock()
	named := answer.Header.Get("X-Request-Id") != ""
	if gateway && !named {
		t.note(fmt.Errorf("%s %s is answered %d without X-Request-Id", request.Method, request.URL.Path, answer.StatusCode))
	}
	if document == nil || !named || answer.Header.Get("Content-Encoding") != "" {
		return answer, nil
	}
	t.judgeAnswer(document, request, answer)
	return answer, nil
}

func (t judging) judgeAnswer(document *openapitest.Document, request *http.Request, answer *http.Response) {
	said := openapitest.Answer{Method: request.Method, Path: request.URL.Path, Status: answer.StatusCode, ContentType: answer.Header.Get("Content-Type")}
	kind, _, _ := mime.ParseMediaType(said.ContentType) // what can't be read is no JSON
	switch {
	case kind == "text/event-stream":
		answer.Body = &judgedStream{ReadCloser: answer.Body, note: func(event string, data []byte) {
			if err := document.CheckEvent(event, data); err != nil {
				t.note(fmt.Errorf("%s %s: %w", said.Method, said.Path, err))
			}
		}}
	case kind == "application/json", kind == "application/problem+json", strings.HasPrefix(said.Path, "/v1/"):
		body, err := io.ReadAll(answer.Body)
		answer.Body = &replayed{Reader: io.MultiReader(bytes.NewReader(body), failing{err}), Closer: answer.Body}
		if err != nil {
			return // it broke off on its way
		}
		said.Body = body
	}
	t.note(document.Check(said))
}

// replayed is a body that was read already.
type replayed struct {
	io.Reader
	io.Closer
}

// failing fails with an error, if there is one.
type failing struct{ error }

func (f failing) Read([]byte) (int, error) {
	if f.error == nil {
		return 0, io.EOF
	}
	return 0, f.error
}

// judgedStream is a stream of server-sent events that notes each one that passes.
type judgedStream struct {
	io.ReadCloser
	note func(event string, data []byte)
	held []byte // of an event that is not whole yet
}

func (s *judgedStream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.held = append(s.held, p[:n]...)
	for {
		event, rest, whole := bytes.Cut(s.held, []byte("\n\n"))
		if !whole {
			return n, err
		}
		s.held = rest
		if name, data := parseEvent(event); name != "" {
			s.note(name, data)
		}
	}
}

func parseEvent(text []byte) (name string, data []byte) {
	for line := range bytes.Lines(text) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if value, ok := bytes.CutPrefix(line, []byte("event: ")); ok {
			name = string(value)
		}
		if value, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			data = value
		}
	}
	return name, data
}

// A judge who notices nothing would be none.
func TestTheJudgeNotices(t *testing.T) {
	r := shared(t)
	j := &judge{gateways: map[string]bool{}, document: judged.document}
	answers := map[string]string{"/v1/videos/a": `{"id":"a"}`, "/v1/receipts/a": `<html>`, "/v1/none": `{}`}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/v1/none" {
			w.Header().Set("X-Request-Id", "x")
		}
		if r.URL.Path == "/v1/events" {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, ": hello\n\nevent: video\ndata: {\"id\":\"a\"}\n\n")
			return
		}
		_, _ = io.WriteString(w, answers[r.URL.Path])
	}))
	defer server.Close()
	j.gateways[strings.TrimPrefix(server.URL, "http://")] = true
	over := &http.Client{Transport: j.over(http.DefaultTransport)}
	beside := &http.Client{Transport: &http.Transport{}}
	tap := "http://" + j.tap(t, server.URL)
	for _, path := range []string{"/v1/videos/a", "/v1/receipts/a", "/v1/none", "/v1/events"} {
		for url, c := range map[string]*http.Client{server.URL: over, tap: beside} {
			answer, err := c.Get(url + path)
			r.must(err)
			body, err := io.ReadAll(answer.Body)
			r.must(errors.Join(err, answer.Body.Close()))
			if want, there := answers[path]; there && string(body) != want {
				t.Errorf("%s is read as %s", path, body)
			}
			wrong := j.take()
			for end := time.Now().Add(10 * time.Second); len(wrong) == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
				wrong = j.take() // a copy may be judged later
			}
			if len(wrong) != 1 || !strings.Contains(wrong[0], path) {
				t.Errorf("%s: %v", path, wrong)
			}
		}
	}
}
