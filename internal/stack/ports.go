package stack

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Free ports come from below the ranges that Linux (from 32768) and macOS (from
// 49152) use for outgoing connections: nobody takes one while its process is
// down between two runs.
const (
	firstPort = 12000
	lastPort  = 19999
)

// claims are free ports, claimed from other stacks by holding the UDP port of
// the same number until close.
type claims []net.PacketConn

func (c *claims) take() (string, error) {
	for range 200 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort+1)))
		claim, err := net.ListenPacket("udp", address)
		if err != nil {
			continue
		}
		if InUse(address) {
			claim.Close() // nothing was read
			continue
		}
		*c = append(*c, claim)
		return address, nil
	}
	return "", errors.New("no free port was found")
}

func (c *claims) close() {
	for _, claim := range *c {
		claim.Close() // nothing was read
	}
	*c = nil
}

// InUse reports whether nobody can listen on the address.
func InUse(address string) bool {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return true
	}
	l.Close() // nothing was accepted
	return false
}

// Address is where a part is to listen, and the setting that moves it.
type Address struct{ Name, Listen, Setting string }

// CheckFree fails at the first address that somebody else holds, and says how
// to choose another.
func CheckFree(addresses ...Address) error {
	for _, a := range addresses {
		if InUse(a.Listen) {
			return fmt.Errorf("%s (%s) is in use by another program; stop that, or choose another address with %s",
				a.Listen, a.Name, a.Setting)
		}
	}
	return nil
}
