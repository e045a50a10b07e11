package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/reelflow/reelflow/internal/stack"
)

// place is where a store is, as other tools want to know it.
type place struct{ endpoint, bucket, user, password string }

func placeOf(s stack.Store) (place, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return place{}, err
	}
	password, _ := u.User.Password()
	return place{s.Endpoint, strings.TrimPrefix(u.Path, "/"), u.User.Username(), password}, nil
}

// aws is the environment by which AWS's SDKs find a store.
func (p place) aws() []string {
	return append(os.Environ(), "AWS_ACCESS_KEY_ID="+p.user, "AWS_SECRET_ACCESS_KEY="+p.password, "AWS_REGION=us-east-1")
}

// timed runs a peer to its end; what it says matters only when it fails.
func (b *bench) timed(env []string, name string, args ...string) (time.Duration, error) {
	cmd := exec.CommandContext(b.ctx, filepath.Join(b.peers, name), args...)
	cmd.Env = env
	begun := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return time.Since(begun), err
}

// s5cmd works on the primary store.
func (b *bench) s5cmd(args ...string) (time.Duration, error) {
	at := b.places[0]
	return b.timed(at.aws(), "s5cmd", append([]string{"--log", "error", "--endpoint-url", at.endpoint}, args...)...)
}

// rclone copies everything under a prefix of the primary to the same prefix of
// the first backup.
func (b *bench) rclone(prefix string) (time.Duration, error) {
	env := append(os.Environ(), "RCLONE_CONFIG=")
	var remotes []string
	for i, name := range []string{"FROM", "TO"} {
		at := b.places[i]
		for key, value := range map[string]string{
			"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": at.endpoint, "REGION": "us-east-1",
			"ACCESS_KEY_ID": at.user, "SECRET_ACCESS_KEY": at.password,
		} {
			env = append(env, "RCLONE_CONFIG_"+name+"_"+key+"="+value)
		}
		remotes = append(remotes, strings.ToLower(name)+":"+at.bucket+"/"+prefix)
	}
	return b.timed(env, "rclone", "copy", "--s3-no-check-bucket", remotes[0], remotes[1])
}

// tusd is the other tus server, on the primary store.
type tusd struct {
	cmd      *exec.Cmd
	said     bytes.Buffer
	endpoint string
}

func (b *bench) startTusd() (*tusd, error) {
	at := b.places[0]
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	t := &tusd{endpoint: "http://" + address + "/files/"}
	t.cmd = exec.CommandContext(b.ctx, filepath.Join(b.peers, "tusd"), "-host", host, "-port", port, "-base-path", "/files/",
		"-s3-bucket", at.bucket, "-s3-endpoint", at.endpoint, "-s3-object-prefix", strings.TrimSuffix(scratchPrefix, "/"), "-verbose=false")
	t.cmd.Env, t.cmd.Dir = append(at.aws(), "TMPDIR="+b.dir), b.dir
	t.cmd.Stdout, t.cmd.Stderr = &t.said, &t.said
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	err = b.until("tusd listens", 20*time.Second, func() (bool, error) { return stack.InUse(address), nil })
	if err != nil {
		t.stop()
		return nil, fmt.Errorf("%w: %s", err, &t.said)
	}
	return t, nil
}

// stop ends it; what is left in the store is the caller's to purge.
func (t *tusd) stop() {
	err := t.cmd.Process.Signal(syscall.SIGKILL)
	if err == nil || errors.Is(err, os.ErrProcessDone) {
		_ = t.cmd.Wait() // it was killed, and says so
	}
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
