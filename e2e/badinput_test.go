package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// Files that can't become a video, and the code that their author reads.
var refused = map[string]struct {
	file func(t *testing.T) string
	want []string // any of them
}{
	"text named .mp4":                   {textNamedMP4, []string{"not_a_video"}},
	"truncated before its index":        {func(t *testing.T) string { return truncated(t, indexLast(t)) }, []string{"damaged", "not_a_video"}},
	"longer than REELFLOW_MAX_DURATION": {func(t *testing.T) string { return clip(t, 25, 96, false) }, []string{"too_long"}},
}

// A film whose end is missing is published as far as players show it, and its author is
// told what is missing.
func TestATruncatedFilmIsPublished(t *testing.T) {
	t.Parallel()
	r := shared(t)
	id, said, code := r.starterUpload(truncated(t, clip(t, 6, 270, false)))
	now, err := r.as("me").Video(r.ctx, id)
	r.must(err)
	if code != 0 || now.Stage != video.Published {
		t.Fatalf("it is %s, failure %+v; starter upload exits with %d and says:\n%s", now.Stage, now.Failure, code, said)
	}
	if warned := strings.Join(now.Warnings, "\n"); !strings.Contains(warned, "missing") {
		t.Errorf("its author is warned of %q", now.Warnings)
	}
}

// What is no video is refused with a reason that its author can act on. Bytes
// and key are gone at once, the reason can be read for a while, then all is gone.
func TestRefusedFiles(t *testing.T) {
	t.Parallel()
	for name, test := range refused {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := shared(t)
			id, said, code := r.starterUpload(test.file(t))
			now, err := r.as("me").Video(r.ctx, id)
			r.must(err)
			if now.Stage != video.Rejected || now.Failure == nil {
				t.Fatalf("it is %s, failure %+v", now.Stage, now.Failure)
			}
			if code != 1 || !strings.Contains(said, "the video was refused: "+now.Failure.Message) {
				t.Errorf("starter upload exits with %d and says:\n%s", code, said)
			}
			if want := strings.Join(test.want, " "); !strings.Contains(want, now.Failure.Code) || !strings.HasSuffix(now.Failure.Message, ".") {
				t.Errorf("failure %+v, want the code %s", now.Failure, want)
			}
			r.until("no byte is left", 10*time.Second, func() bool { return r.inventory(id) == "" })
			if _, err := r.as("me").Video(r.ctx, id); err != nil {
				t.Errorf("its author can't read the reason: %v", err)
			}
			if _, err := r.as("somebody").Video(r.ctx, id); err == nil {
				t.Error("a stranger sees a rejected video")
			}
			r.erased(id, time.Minute)
			if code := get(t, r.URLs[0]+"/v1/videos/"+string(id)); code != http.StatusGone {
				t.Errorf("after its time the video answers %d, want 410", code)
			}
			r.wantReceipt(id, video.ByRejection)
		})
	}
}

// What arrives must be what was announced.
func TestOtherBytesThanAnnounced(t *testing.T) {
	t.Parallel()
	r := shared(t)
	me := r.as("me")
	v, u := r.announce(me, clip(t, 4, 270, false))
	other := make([]byte, u.Size)
	u.File = bytes.NewReader(other)
	r.must(u.Run(r.ctx))
	now := r.stage(me, v.ID, video.Rejected, time.Minute)
	if now.Failure == nil || now.Failure.Code != "damaged" || !strings.Contains(now.Failure.Message, "SHA-256") {
		t.Errorf("failure: %+v", now.Failure)
	}
	r.must(me.Delete(r.ctx, v.ID)) // its author has read the reason
	r.erased(v.ID, time.Minute)
}

// Requests that can't be granted, the problem that answers each, and a word that
// its detail must hold for whoever has to act on it.
func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	r := shared(t)
	v, _ := r.announce(r.as("me"), clip(t, 4, 270, false))
	here, big := "/v1/videos/"+string(v.ID), `{"source":{"size":8000001}}`
	for _, test := range []struct {
		method, path, body, token string
		status                    int
		code                      video.Code
		detail                    string
	}{
		{"POST", "/v1/videos", big, "dev:me", 413, video.TooLarge, "8000000"},
		{"POST", "/v1/videos", `{"source":{"size":0}}`, "dev:me", 400, video.Invalid, "empty"},
		{"POST", "/v1/videos", `{"visibility":"loud"}`, "dev:me", 400, video.Invalid, "visibility"},
		{"POST", "/v1/videos", `{`, "dev:me", 400, video.Invalid, ""},
		{"POST", "/v1/videos", `{}`, "", 401, video.Unauthenticated, ""},
		{"POST", "/v1/videos", `{}`, "nonsense", 401, video.Unauthenticated, "dev:"},
		{"GET", "/v1/videos/" + string(video.NewID()), "", "dev:me", 404, video.NotFound, ""},
		{"GET", "/v1/videos/x", "", "dev:me", 404, video.NotFound, ""},
		{"GET", here, "", "dev:somebody", 404, video.NotFound, ""},
		{"GET", here + "/playback", "", "dev:me", 409, video.Conflict, ""},
		{"POST", here + "/pause", "", "dev:somebody", 404, video.NotFound, ""},
		{"POST", here + "/fly", "", "dev:me", 404, video.NotFound, `no command "fly"`},
		{"POST", here + "/publish", "", "dev:me", 409, video.Conflict, "uploading"},
		{"DELETE", "/v1/videos/" + string(video.NewID()), "", "dev:me", 404, video.NotFound, ""},
		{"GET", "/v1/receipts/" + string(v.ID), "", "", 404, video.NotFound, ""},
		{"HEAD", "/v1/uploads/" + string(video.NewID()), "", "", 404, "", ""},
	} {
		status, problem := r.problem(test.method, test.path, test.body, test.token)
		what := fmt.Sprintf("%s %s %s as %q", test.method, test.path, test.body, test.token)
		if status != test.status || problem.Code != test.code || !strings.Contains(problem.Detail, test.detail) {
			t.Errorf("%s: %d %q %q, want %d %q with %q", what, status, problem.Code, problem.Detail, test.status, test.code, test.detail)
		}
		if test.method != "HEAD" && len(problem.Detail) < 10 {
			t.Errorf("%s: the detail %q says too little", what, problem.Detail)
		}
	}
	r.must(r.as("me").Delete(r.ctx, v.ID))
	r.erased(v.ID, time.Minute)
}

// By tus, too: what is too large is refused before a byte flows, or where the
// length comes late at the byte that is one too many; an empty file is rejected.
func TestRefusedByTus(t *testing.T) {
	t.Parallel()
	r := shared(t)
	endpoint, token := r.URLs[0]+"/v1/uploads/", "Bearer dev:me"
	if a := tus(t, "POST", endpoint, "Authorization", token, "Upload-Length", "8000001"); a.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d, want 413", a.StatusCode)
	}
	if a := tus(t, "POST", endpoint, "Upload-Length", "1000"); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %d, want 401", a.StatusCode)
	}
	if a := tus(t, "POST", endpoint, "Authorization", token); a.StatusCode != http.StatusBadRequest {
		t.Errorf("without a length: %d, want 400", a.StatusCode)
	}
	a := tus(t, "POST", endpoint, "Authorization", token, "Upload-Length", "0")
	id := video.ID(a.Header.Get("Reelflow-Video"))
	if a.StatusCode != http.StatusCreated {
		if a.StatusCode != http.StatusBadRequest || id != "" {
			t.Errorf("an empty file: %d, video %q; want 400, or 201 and a rejection", a.StatusCode, id)
		}
		return
	}
	now := r.stage(r.as("me"), id, video.Rejected, time.Minute)
	if now.Failure == nil || !strings.Contains(now.Failure.Message, "empty") {
		t.Errorf("an empty file: %+v", now.Failure)
	}
	r.must(r.as("me").Delete(r.ctx, id))
	r.erased(id, time.Minute)
}

// Somebody mistyped a store's key. Whoever looks is told so, what was sent before
// is kept, and once the settings are mended everything goes on by itself.
func TestWrongStoreCredentials(t *testing.T) {
	t.Parallel()
	r := start(t, stack.Options{Roles: []string{"control", "media"}, Workers: 2})
	me := r.as("me")
	var wrong []string
	for _, setting := range r.Env() {
		if name, _, _ := strings.Cut(setting, "="); name == "REELFLOW_PRIMARY" || name == "REELFLOW_BACKUPS" {
			setting = strings.ReplaceAll(setting, ":reelflow-local@", ":mistyped@")
		}
		wrong = append(wrong, setting)
	}

	gateway := r.run("starter", append(wrong, "REELFLOW_HTTP_ADDR=127.0.0.1:0"), "serve")
	ready := strings.TrimPrefix(gateway.first, "ready ")
	if answer, err := me.Fetch(r.ctx, ready+"/readyz"); err != nil || !strings.Contains(string(answer), `"degraded":["store","transfer"]`) {
		t.Errorf("/readyz says %s, %v", answer, err)
	}
	v, u := r.announce(me, clip(t, 6, 270, false))
	bad := r.connect(ready, "dev:me")
	half := *u
	half.Client, half.URL, half.Patience = bad, strings.Replace(u.URL, r.URLs[0], ready, 1), 3*time.Second
	if err := half.Run(r.ctx); video.CodeOf(err) != video.Unavailable {
		t.Errorf("through a gateway with wrong credentials the upload ended with %v, want unavailable", err)
	}
	gateway.stop()
	if log := gateway.log(); !strings.Contains(log, "refuses the credentials") || strings.Contains(log, "mistyped") {
		t.Errorf("the gateway's log should name the reason, and no secret:\n%s", log)
	}
	r.must(u.Run(r.ctx))

	worker := r.run("worker", wrong, "--role", "transfer")
	r.until("its owner sees what it waits for", time.Minute, func() bool {
		now, err := me.Video(r.ctx, v.ID)
		return err == nil && now.Stage == video.Publishing && strings.Contains(now.Waits(), "which is down since")
	})
	worker.stop()
	if log := worker.log(); !strings.Contains(log, "refuses the credentials") || strings.Contains(log, "mistyped") {
		t.Errorf("the worker's log should name the reason, and no secret:\n%s", log)
	}
	r.run("worker", r.Env(), "--role", "transfer")
	r.publishedAndErased(me, v.ID, unharmed)
}

func textNamedMP4(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "text.mp4")
	if err := os.WriteFile(path, bytes.Repeat([]byte("This is not a video. "), 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// truncated is the first two thirds of a file.
func truncated(t *testing.T, path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(t.TempDir(), "truncated.mp4")
	if err := os.WriteFile(short, data[:len(data)*2/3], 0o600); err != nil {
		t.Fatal(err)
	}
	return short
}

// indexLast is a clip that has its index at the end, as cameras write it.
func indexLast(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "index-last.mp4")
	out, err := exec.Command("ffmpeg", "-v", "error", "-i", clip(t, 6, 270, false), "-c", "copy", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// starterUpload runs `starter upload` and returns the id that it printed first,
// all that it said, and its exit code.
func (r *rig) starterUpload(path string) (id video.ID, said string, code int) {
	r.t.Helper()
	out, code := r.starter("upload", path)
	first, _, _ := strings.Cut(out, "\n")
	id, err := video.ParseID(first)
	if err != nil {
		r.t.Fatalf("starter upload printed no id:\n%s", out)
	}
	return id, out, code
}

// starter runs the command line to its end.
func (r *rig) starter(args ...string) (said string, code int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(root(r.t), "bin", "starter"), args...)
	command.Env = append(r.Env(), "XDG_STATE_HOME="+r.t.TempDir())
	out, err := command.CombinedOutput()
	if command.ProcessState == nil {
		r.t.Fatal(err)
	}
	return string(out), command.ProcessState.ExitCode()
}

type problem struct {
	Code   video.Code
	Detail string
	Reason string
}

func (r *rig) problem(method, path, body, token string) (int, problem) {
	r.t.Helper()
	return r.problemAt(r.URLs[0], method, path, body, token)
}

func (r *rig) problemAt(base, method, path, body, token string) (int, problem) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.ctx, method, base+path, strings.NewReader(body))
	r.must(err)
	request.Header.Set("Tus-Resumable", "1.0.0") // means nothing elsewhere
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(request)
	r.must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	r.must(err)
	var p problem
	if len(text) > 0 {
		if err := json.Unmarshal(text, &p); err != nil || answer.Header.Get("Content-Type") != "application/problem+json" {
			r.t.Errorf("%s %s answers %s %s", method, path, answer.Header.Get("Content-Type"), text)
		}
	}
	return answer.StatusCode, p
}
