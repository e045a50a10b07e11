package launcher

import (
	"fmt"
	"syscall"
	"unsafe"
)

// listen takes the loopback interface into use, the only one that there is, and opens the
// socket on which the program's input is served from outside.
func (p *process) listen() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make a socket: %w", err)
	}
	if err := raiseLoopback(fd); err != nil {
		return err
	}
	address := syscall.SockaddrInet4{Port: p.Port, Addr: [4]byte{127, 0, 0, 1}}
	if err := syscall.Bind(fd, &address); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	if err := syscall.Listen(fd, syscall.SOMAXCONN); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	p.listener = fd
	return nil
}

// raiseLoopback brings the interface up (netdevice(7)).
func raiseLoopback(socket int) error {
	var request struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "lo")
	request.flags = syscall.IFF_UP | syscall.IFF_RUNNING
	_, err := call("bring the loopback interface up", syscall.SYS_IOCTL, uintptr(socket), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request)))
	return err
}
