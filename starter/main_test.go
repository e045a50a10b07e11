package main

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/reelflow/reelflow/internal/commandtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"starter": main})
}

type gatewayKey struct{}

// The scripts of testdata are also a manual of the command line. They are run against
// everything that really runs, too, but for those of testdata/fake.
func TestManual(t *testing.T) { manual(t, "testdata") }

func TestManualOfFaults(t *testing.T) { manual(t, filepath.Join("testdata", "fake")) }

func manual(t *testing.T, dir string) {
	t.Helper()
	commandtest.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			gateway := newFakeGateway()
			server := httptest.NewServer(gateway.handler())
			env.Defer(func() { server.CloseClientConnections(); server.Close() })
			env.Values[gatewayKey{}] = gateway
			env.Setenv("REELFLOW_URL", server.URL)
			env.Setenv("REELFLOW_TOKEN", "dev:me")
			return nil
		},
		Cmds: map[string]commandtest.Command{
			"makevideo": func(ts *testscript.TestScript, _ bool, args []string) { makeVideo(ts, 1, args) },
			"makeother": func(ts *testscript.TestScript, _ bool, args []string) { makeVideo(ts, 2, args) },
			"sent":      waitSent,
			"arrived":   arrived,
			"followed":  waitFollowed,
		},
	})
}

func gatewayOf(ts *testscript.TestScript) *fakeGateway { return ts.Value(gatewayKey{}).(*fakeGateway) }

// makevideo FILE BYTES writes a file of random bytes; makeother one of others.
func makeVideo(ts *testscript.TestScript, which byte, args []string) {
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	content := make([]byte, size)
	rand.NewChaCha8([32]byte{which}).Read(content)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), content, 0o600))
}

// followed N waits until N streams of events have been begun.
func waitFollowed(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	g := gatewayOf(ts)
	begun := func() int {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.streams
	}
	for deadline := time.Now().Add(10 * time.Second); begun() < want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("only %d streams of events were begun", begun())
		}
	}
}

// sent BYTES waits until so many bytes of an upload have arrived, and not all.
func waitSent(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, n, uploading := gatewayOf(ts).newest()
		if n >= want && uploading {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("only %d bytes arrived", n)
		}
	}
}

// arrived FILE checks that the gateway has exactly these bytes.
func arrived(ts *testscript.TestScript, _ bool, args []string) {
	content, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	want := sha256.Sum256(content)
	if sum, n, _ := gatewayOf(ts).newest(); sum != hex.EncodeToString(want[:]) {
		ts.Fatalf("%d bytes arrived, and not those of %s", n, args[0])
	}
}

func TestReceiptsThatProveNothingAreRefused(t *testing.T) {
	for name, receipt := range map[string]string{
		"no receipt":           `<html>`,
		"empty":                `{}`,
		"no stores":            `{"video_sha256":"` + hash + `","reason":"deleted","hidden_at":"2030-01-01T00:00:00Z","key_destroyed_at":"2030-01-01T00:00:01Z"}`,
		"key before hiding":    `{"video_sha256":"` + hash + `","reason":"deleted","hidden_at":"2030-01-01T00:00:01Z","key_destroyed_at":"2030-01-01T00:00:00Z","stores":[{"store":"p"}]}`,
		"something left":       `{"video_sha256":"` + hash + `","reason":"deleted","hidden_at":"2030-01-01T00:00:00Z","key_destroyed_at":"2030-01-01T00:00:01Z","stores":[{"store":"p","found_after":{"versions":1}}]}`,
		"hash of another kind": `{"video_sha256":"ab","reason":"deleted","hidden_at":"2030-01-01T00:00:00Z","key_destroyed_at":"2030-01-01T00:00:01Z","stores":[{"store":"p"}]}`,
	} {
		if _, err := checkReceipt([]byte(receipt), ""); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	whole := `{"video_sha256":"` + hash + `","reason":"deleted","hidden_at":"2030-01-01T00:00:00Z","key_destroyed_at":"2030-01-01T00:00:01Z","stores":[{"store":"p"}]}`
	if _, err := checkReceipt([]byte(whole), ""); err != nil {
		t.Errorf("a whole receipt: %v", err)
	}
	if _, err := checkReceipt([]byte(whole), "aaaaaaaaaaaaaaaaaaaaaaaaaa"); err == nil {
		t.Error("the receipt of another video was accepted")
	}
}

const hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
