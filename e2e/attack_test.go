package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

const (
	attackLasts = 20 * time.Second
	mostMemory  = 400 << 20 // bytes of the gateway, at any time
	measured    = 4 << 20   // bytes of one measurement
)

// A thousand connections of somebody who means harm cost the gateway a bounded memory,
// and others, who upload and watch beside them, at most half of their rate. This runs
// beside no other test: it measures.
func TestAttack(t *testing.T) {
	o := newOthers(t)
	aim := o.aim()
	before := o.rates(5, 0)
	attack := o.attack(aim)
	beside := o.rates(5, attackLasts)
	attack.stop()
	after := o.rates(5, 0)
	t.Logf("seed %d; bytes a second: before %v, beside %v, after %v; the attackers: %v", aim.Seed, before, beside, after, attack.did)
	for what, rate := range beside {
		// What else the machine does comes and goes: the lower of the two counts.
		if alone := min(before[what], after[what]); rate < alone/2 {
			t.Errorf("%s at %d bytes a second beside the attack, %d without", what, rate, alone)
		}
	}
	if peak := o.memory("VmHWM"); peak > mostMemory {
		t.Errorf("the gateway took %d MB", peak>>20)
	}
	for _, must := range []string{
		"half a head", "nothing", "no body 200", "never reads", "ranges 200", "streams 200", "streams 429", "single bytes 204",
	} {
		if attack.did[must] == 0 {
			t.Errorf("nobody had %q", must)
		}
	}
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
	film, err := os.ReadFile(clip(t, 6, 360, true))
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

// rates are the medians of at least so many measurements, and of all that fit into a time.
func (o *others) rates(least int, within time.Duration) map[string]int {
	o.t.Helper()
	all := map[string][]int{}
	for begun := time.Now(); len(all["upload"]) < least || time.Since(begun) < within; {
		for what, do := range map[string]func(){"upload": o.uploadPiece, "watch": o.watchPiece} {
			at := time.Now()
			do()
			all[what] = append(all[what], int(measured/time.Since(at).Seconds()))
		}
	}
	medians := map[string]int{}
	for what, rates := range all {
		slices.Sort(rates)
		medians[what] = rates[len(rates)/2]
	}
	return medians
}

// uploadPiece does as tus clients do: it sends again what is refused for the moment.
func (o *others) uploadPiece() {
	o.t.Helper()
	for {
		request, err := http.NewRequestWithContext(o.ctx, http.MethodPatch, o.upload, bytes.NewReader(o.bytes))
		o.must(err)
		for name, value := range map[string]string{
			"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream", "Upload-Offset": strconv.FormatInt(o.offset, 10),
		} {
			request.Header.Set(name, value)
		}
		answer, err := http.DefaultClient.Do(request)
		o.must(err)
		o.must(answer.Body.Close())
		switch answer.StatusCode {
		case http.StatusNoContent:
			o.offset += measured
			return
		case http.StatusLocked, http.StatusServiceUnavailable, http.StatusTooManyRequests:
			time.Sleep(100 * time.Millisecond)
		default:
			o.t.Fatalf("a PATCH is answered %d", answer.StatusCode)
		}
	}
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
		Events: "/v1/videos/" + string(o.watched) + "/events", User: "mallory",
	}
	for range 40 {
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
