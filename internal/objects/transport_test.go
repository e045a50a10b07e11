package objects

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

const testStall = 150 * time.Millisecond

// connected returns a stallConn and its peer.
func connected(t *testing.T) (*stallConn, net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return &stallConn{near, testStall}, far
}

func TestSilentPeerIsNoticed(t *testing.T) {
	near, _ := connected(t)
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading from a silent peer: %v", err)
	}
	// More than the kernel's buffers take.
	if _, err := near.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("writing to a silent peer: %v", err)
	}
}

// A slow line must not be taken for a dead one: here an upload and the wait for
// its answer, begun before it, both take longer than the bound on silence.
func TestSlowPeerIsWaitedFor(t *testing.T) {
	near, far := connected(t)
	// What lies in the kernel's buffers moves on unseen: keep that little.
	if err := errors.Join(near.Conn.(*net.TCPConn).SetWriteBuffer(64<<10), far.(*net.TCPConn).SetReadBuffer(64<<10)); err != nil {
		t.Fatal(err)
	}
	sent := bytes.Repeat([]byte("upload"), 200<<10)
	answered := make(chan error, 1)
	go func() {
		_, err := near.Read(make([]byte, 1))
		answered <- err
	}()
	go func() {
		left := len(sent)
		for left > 0 {
			n, err := io.CopyN(io.Discard, far, int64(min(left, 100<<10)))
			left -= int(n)
			if err != nil {
				return
			}
			time.Sleep(testStall / 4)
		}
		_, _ = far.Write([]byte("!"))
	}()
	began := time.Now()
	if _, err := near.Write(sent); err != nil {
		t.Fatalf("writing: %v", err)
	}
	if err := <-answered; err != nil {
		t.Fatalf("waiting for the answer: %v", err)
	}
	if took := time.Since(began); took < 2*testStall {
		t.Fatalf("only took %v: this shows nothing", took)
	}
}

// A reader that takes its time is not silence of the peer.
func TestSlowReaderIsLeftAlone(t *testing.T) {
	near, far := connected(t)
	if _, err := far.Write([]byte("ab")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := io.ReadFull(near, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * testStall)
	}
}
