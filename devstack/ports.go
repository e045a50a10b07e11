package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// How long an address or folder may still be held by a predecessor that is going away.
const handover = 3 * time.Second

// Free ports are taken from below the ranges from which Linux (32768) and macOS (49152) give ports to outgoing
// connections. So no connection of another program can take the port, neither before the server listens there nor
// while the part is down between two runs.
const (
	firstPort = 20000
	lastPort  = 32000
)

// ports hold addresses for servers that insist on opening their listeners themselves.
type ports struct {
	held   []net.Listener
	claims []net.PacketConn
}

// take holds an address until release and returns it with its port. Port 0 stands for a free one. An address in use
// is a refusal that names the flag to change.
func (p *ports) take(addr, flag string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if port == "0" {
		return p.takeFree(host)
	}
	for deadline := time.Now().Add(handover); ; time.Sleep(50 * time.Millisecond) {
		l, err := net.Listen("tcp", addr)
		switch {
		case err == nil:
			p.held = append(p.held, l)
			return addr, nil
		case !errors.Is(err, syscall.EADDRINUSE):
			return "", refusal{fmt.Sprintf("cannot listen on %s: %v; choose another address with --%s", addr, err, flag)}
		case time.Now().After(deadline):
			return "", refusal{fmt.Sprintf("%s is in use by another program; choose another address with --%s", addr, flag)}
		}
	}
}

// takeFree holds a free port. The UDP port of the same number is kept until close as a claim that other devstacks
// heed, because the TCP port is nobody's for a moment between release and the server's own listening.
func (p *ports) takeFree(host string) (string, error) {
	for range 100 {
		addr := net.JoinHostPort(host, strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort)))
		claim, err := net.ListenPacket("udp", addr)
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			_ = claim.Close()
			continue
		}
		p.held, p.claims = append(p.held, l), append(p.claims, claim)
		return addr, nil
	}
	return "", fmt.Errorf("no free port on %s", host)
}

// release lets the servers listen on the addresses taken.
func (p *ports) release() {
	for _, l := range p.held {
		_ = l.Close() // nothing was ever accepted here
	}
	p.held = nil
}

// close gives up everything.
func (p *ports) close() {
	p.release()
	for _, c := range p.claims {
		_ = c.Close() // nothing was ever read here
	}
}

// lockFile keeps other devstacks away until the file returned is closed, or this process ends in any way. It makes the
// folder of the file; the file itself stays.
func lockFile(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, refusal{fmt.Sprintf("cannot keep state: %v; choose another folder with --dir", err)}
	}
	lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, refusal{fmt.Sprintf("cannot keep state: %v; choose another folder with --dir", err)}
	}
	for deadline := time.Now().Add(handover); ; time.Sleep(50 * time.Millisecond) {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return lock, nil
		}
		if time.Now().After(deadline) {
			return nil, refusal{fmt.Sprintf("%s is held by another devstack (%v); choose another folder with --dir", path, err)}
		}
	}
}
