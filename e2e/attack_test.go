package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

const (
	attackLasts = 20 * time.Second
	leastPairs  = 5         // of measurements, however long they take
	leastShare  = 0.1       // a fifth of the promise: machines differ
	mostMemory  = 400 << 20 // bytes of the gateway, at any time
	measured    = 2 << 20   // bytes of a piece
	measuring   = 300 * time.Millisecond
	settling    = time.Second // after which an attack that pauses leaves nothing to be done
)

// A thousand connections of somebody who means harm cost the gateway a bounded memory,
// and others, who upload and watch beside them, at most half of their rate where nothing
// else runs. This runs beside no other test: it measures.
func TestAttack(t *testing.T) {
	o := newOthers(t)
	aim := o.aim()
	t.Logf("before: %v bytes a second", o.rates(settling))
	attack := o.attack(aim)
	shares := attack.compare()
	attack.stop()
	t.Logf("seed %d; shares of their rate that others had: %v; the attackers: %v", aim.Seed, shares, attack.did)
	for what, all := range shares {
		slices.Sort(all)
		median := all[len(all)/2]
		t.Logf("%s has %.2f of its rate beside the attack", what, median)
		if median < leastShare {
			t.Errorf("that is less than %.2f", leastShare)
		}
	}
	peak := o.memory("VmHWM")
	t.Logf("the gateway took at most %d MB", peak>>20)
	if peak > mostMemory {
		t.Errorf("the gateway took %d MB", peak>>20)
	}
	for _, must := range []string{
		"half a head", "nothing", "no body 200", "never reads", "ranges 200", "streams 200", "streams 429",
		"pages 200", "not there 404", "single bytes 204", "single chunks 204", "offset 200",
	} {
		if attack.did[must] == 0 {
			t.Errorf("nobody had %q", must)
		}
	}
}

// compare measures in pairs, with the attackers stopped and with them at work, so that
// what else the machine does takes as much of both. It returns the second as a share of
// the first. Their connections stay all the while.
func (a *underAttack) compare() map[string][]float64 {
	a.t.Helper()
	shares := map[string][]float64{}
	for begun := time.Now(); len(shares["upload"]) < leastPairs || time.Since(begun) < attackLasts; {
		a.signal(syscall.SIGSTOP)
		alone := a.rates(settling)
		a.signal(syscall.SIGCONT)
		beside := a.rates(measuring)
		a.t.Logf("alone %v, beside %v bytes a second", alone, beside)
		for what, rate := range beside {
			shares[what] = append(shares[what], math.Round(100*rate/alone[what])/100)
		}
	}
	return shares
}

// signal sends a signal to the attackers.
func (a *underAttack) signal(s os.Signal) {
	a.t.Helper()
	a.must(a.cmd.Process.Signal(s))
}

// others are those who use a gateway while it is attacked.
type others struct {
	*rig
	segments []string // addresses of what they watch
	download string
	watched  video.ID
	upload   string // URL of what they upload, which never ends
	offset   int64
	bytes    []byte
}

func newOthers(t *testing.T) *others {
	t.Helper()
	o := &others{rig: start(t, stack.Options{Env: []string{"REELFLOW_MAX_BYTES=2000000000"}}), bytes: make([]byte, measured)}
	rand.NewChaCha8([32]byte{1}).Read(o.bytes)
	me := o.as("me")
	film, err := os.ReadFile(clip(t, 3, 360, true))
	o.must(err)
	v, err := me.Create(o.ctx, client.NewVideo{Title: "A clip", AllowDownload: true, Source: client.Source{Size: int64(len(film)), Filename: "a.mp4"}})
	o.must(err)
	o.must((&client.Upload{Client: me, URL: v.UploadURL(), File: bytes.NewReader(film), Size: int64(len(film))}).Run(o.ctx))
	o.watched = o.stage(me, v.ID, video.Published, time.Minute).ID
	p, err := me.Playback(o.ctx, v.ID)
	o.must(err)
	o.download = p.Download
	o.segments = o.listed(o.listed(p.HLS)[0])
	endless, err := me.Create(o.ctx, client.NewVideo{Title: "Long", Source: client.Source{Size: 1 << 30, Filename: "b.mp4"}})
	o.must(err)
	o.upload = endless.UploadURL()
	return o
}

// listed are the addresses in a playlist.
func (o *others) listed(playlist string) (addresses []string) {
	o.t.Helper()
	base, err := url.Parse(playlist)
	o.must(err)
	text, err := o.as("").Fetch(o.ctx, playlist)
	o.must(err)
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			address, err := base.Parse(line)
			o.must(err)
			addresses = append(addresses, address.String())
		}
	}
	if len(addresses) == 0 {
		o.t.Fatalf("nothing is listed in %s:\n%s", playlist, text)
	}
	return addresses
}

// rates are how many bytes a second go up and down. The first round, of what is read, is
// for what the gateway still has to do of the time before.
func (o *others) rates(first time.Duration) map[string]float64 {
	o.t.Helper()
	o.rate(o.watchPiece, first)
	return map[string]float64{"upload": o.rate(o.uploadPiece, measuring), "watch": o.rate(o.watchPiece, measuring)}
}

// rate repeats a piece for a while.
func (o *others) rate(piece func(), while time.Duration) float64 {
	o.t.Helper()
	begun, n := time.Now(), 0.0
	for ; time.Since(begun) < while; n++ {
		piece()
	}
	return math.Round(n * measured / time.Since(begun).Seconds())
}

// uploadPiece does as tus clients do: after what is refused for the moment it asks how
// far the upload is, and goes on from there.
func (o *others) uploadPiece() {
	o.t.Helper()
	for end := o.offset + measured; o.offset < end; {
		headers := http.Header{"Content-Type": {"application/offset+octet-stream"}, "Upload-Offset": {strconv.FormatInt(o.offset, 10)}}
		answer := o.tus(http.MethodPatch, headers, o.bytes[:end-o.offset])
		switch answer.StatusCode {
		case http.StatusNoContent:
		case http.StatusLocked, http.StatusServiceUnavailable:
			answer = o.tus(http.MethodHead, http.Header{}, nil)
		default:
			o.t.Fatalf("a PATCH is answered %d", answer.StatusCode)
		}
		var err error
		o.offset, err = strconv.ParseInt(answer.Header.Get("Upload-Offset"), 10, 64)
		o.must(err)
	}
}

// tus sends a request about the upload, and returns its answer without the body.
func (o *others) tus(method string, headers http.Header, body []byte) *http.Response {
	o.t.Helper()
	request, err := http.NewRequestWithContext(o.ctx, method, o.upload, bytes.NewReader(body))
	o.must(err)
	request.Header = headers
	request.Header.Set("Tus-Resumable", "1.0.0")
	answer, err := http.DefaultClient.Do(request)
	o.must(err)
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		said, _ := io.ReadAll(answer.Body) // for the log alone
		o.t.Logf("a %s is answered %d: %s", method, answer.StatusCode, said)
	}
	return answer
}

func (o *others) watchPiece() {
	o.t.Helper()
	for i, sum := 0, int64(0); sum < measured; i++ {
		request, err := http.NewRequestWithContext(o.ctx, http.MethodGet, o.segments[i%len(o.segments)], nil)
		o.must(err)
		sum += o.answered(request, http.StatusOK)
	}
}

// answered sends a request and returns how many bytes its answer has.
func (o *others) answered(request *http.Request, status int) int64 {
	o.t.Helper()
	answer, err := http.DefaultClient.Do(request)
	o.must(err)
	defer answer.Body.Close()
	n, err := io.Copy(io.Discard, answer.Body)
	if o.must(err); answer.StatusCode != status {
		o.t.Fatalf("%s is answered %d", request.Method, answer.StatusCode)
	}
	return n
}

// memory reads a value of the gateway's from the kernel (proc_pid_status(5)), in bytes.
func (o *others) memory(field string) int64 {
	o.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", o.Gateways[0].Pid()))
	if os.IsNotExist(err) {
		o.t.Log("this system doesn't tell what memory a process takes")
		return 0
	}
	o.must(err)
	for line := range strings.Lines(string(status)) {
		if name, value, _ := strings.Cut(line, ":"); name == field {
			kilobytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			o.must(err)
			return kilobytes << 10
		}
	}
	o.t.Fatalf("no %s in:\n%s", field, status)
	return 0
}

// aim makes what the attackers need: they have an account of their own.
func (o *others) aim() aim {
	o.t.Helper()
	gateway, err := url.Parse(o.URLs[0])
	o.must(err)
	path := func(address string) string { return strings.TrimPrefix(address, o.URLs[0]) }
	a := aim{
		Seed: seedOf(), Address: gateway.Host, Segment: path(o.segments[0]), Download: path(o.download), Page: "/watch/" + string(o.watched),
		Video: "/v1/videos/" + string(o.watched), Events: "/v1/videos/" + string(o.watched) + "/events", User: "mallory",
	}
	for range 24 {
		v, err := o.as(a.User).Create(o.ctx, client.NewVideo{Title: "x", Source: client.Source{Size: 1 << 20, Filename: "x.mp4"}})
		o.must(err)
		a.Uploads = append(a.Uploads, path(v.UploadURL()))
	}
	return a
}

// underAttack is a process that attacks.
type underAttack struct {
	*others
	cmd  *exec.Cmd
	in   io.Closer
	said *bufio.Reader
	did  map[string]int // how often what came of an attack
}

// attack starts the attackers, in a process that leaves the processor to others, and
// returns once all of them have a connection.
func (o *others) attack(at aim) *underAttack {
	o.t.Helper()
	encoded, err := json.Marshal(at)
	o.must(err)
	a := &underAttack{others: o, cmd: exec.CommandContext(o.ctx, "nice", "-n", "19", os.Args[0])}
	a.cmd.Env = append(os.Environ(), aimVariable+"="+string(encoded))
	a.cmd.Stderr = o.t.Output()
	a.in, err = a.cmd.StdinPipe()
	o.must(err)
	out, err := a.cmd.StdoutPipe()
	o.must(err)
	a.said = bufio.NewReader(out)
	o.must(a.cmd.Start())
	if line, err := a.said.ReadString('\n'); err != nil || line != "ready\n" {
		o.t.Fatalf("the attackers said %q, %v", line, err)
	}
	if files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", o.Gateways[0].Pid())); err == nil && len(files) > 0 && len(files) < attackers/2 {
		o.t.Errorf("the gateway has %d files open: that is no attack", len(files))
	}
	return a
}

// stop ends the attack, and has the attackers say what they did.
func (a *underAttack) stop() {
	a.t.Helper()
	a.must(a.in.Close())
	a.must(json.NewDecoder(a.said).Decode(&a.did))
	a.must(a.cmd.Wait())
}
