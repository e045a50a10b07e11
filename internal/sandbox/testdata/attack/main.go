//go:build linux

// Command attack tries one thing that a program gone bad might try, and exits with 0 if it could. It needs
// nothing but system calls, so that no library stands in the way.
package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	argument := ""
	if len(os.Args) > 2 {
		argument = os.Args[2]
	}
	if err := attacks[os.Args[1]](argument); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

var attacks = map[string]func(string) error{
	"read":             read,
	"list":             func(path string) error { _, err := os.ReadDir(path); return err },
	"stat":             func(path string) error { _, err := os.Stat(path); return err },
	"write":            func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) },
	"large file":       func(path string) error { return os.WriteFile(path, make([]byte, 2<<20), 0o600) },
	"leave by a link":  leaveByLink,
	"connect tcp":      func(port string) error { return connect(syscall.SOCK_STREAM, port) },
	"connect udp":      func(port string) error { return connect(syscall.SOCK_DGRAM, port) },
	"connect unix":     connectUnix,
	"listen":           listen,
	"raw packets":      func(string) error { return socket(syscall.AF_PACKET, syscall.SOCK_RAW) },
	"netlink":          func(string) error { return socket(syscall.AF_NETLINK, syscall.SOCK_RAW) },
	"read environment": func(pid string) error { return read("/proc/" + pid + "/environ") },
	"read memory":      readMemory,
	"ptrace":           ptrace,
	"signal":           func(pid string) error { return syscall.Kill(number(pid), 0) },
	"fork":             fork,
	"threads":          threads,
	"allocate":         allocate,
	"inherit":          inherit,
	"capabilities":     capabilities,
	"new namespace":    func(string) error { return syscall.Unshare(syscall.CLONE_NEWNET) },
	"mount":            mount,
	"change root":      func(string) error { return syscall.Chroot("/usr") },
	"keys":             func(string) error { return call(syscall.SYS_KEYCTL, 0, ^uintptr(1), 1) }, // KEYCTL_GET_KEYRING_ID, which makes one for the process
	"become root":      func(string) error { return call(syscall.SYS_SETRESUID, 0, 0, 0) },
	"outlive":          func(string) error { return call(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, 0, 0) },
	// No attacks:
	"ask":  ask,
	"wait": func(string) error { time.Sleep(time.Minute); return nil },
}

func read(path string) error {
	data, err := os.ReadFile(path)
	if err == nil && len(data) == 0 {
		return fmt.Errorf("%s is empty", path)
	}
	return err
}

func leaveByLink(path string) error {
	if err := os.Symlink(path, "link"); err != nil {
		return err
	}
	return read("link")
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}

func call(trap, a, b, c uintptr) error {
	if _, _, errno := syscall.RawSyscall(trap, a, b, c); errno != 0 {
		return errno
	}
	return nil
}

func socket(family, kind int) error {
	_, err := syscall.Socket(family, kind, 0)
	return err
}

func connect(kind int, port string) error {
	fd, err := syscall.Socket(syscall.AF_INET, kind, 0)
	if err != nil {
		return err
	}
	return syscall.Connect(fd, &syscall.SockaddrInet4{Port: number(port), Addr: [4]byte{127, 0, 0, 1}})
}

// connectUnix takes a path, or @ and an abstract name.
func connectUnix(name string) error {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	return syscall.Connect(fd, &syscall.SockaddrUnix{Name: name})
}

func listen(string) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	return syscall.Listen(fd, 1)
}

func readMemory(pid string) error {
	_, err := os.OpenFile("/proc/"+pid+"/mem", os.O_RDWR, 0)
	return err
}

func ptrace(pid string) error {
	runtime.LockOSThread()
	if err := syscall.PtraceAttach(number(pid)); err != nil {
		return err
	}
	if _, err := syscall.Wait4(number(pid), nil, 0, nil); err != nil {
		return err
	}
	return syscall.PtraceDetach(number(pid))
}

func fork(string) error {
	pid, err := syscall.ForkExec("/bin/true", []string{"true"}, nil)
	if err != nil {
		return err
	}
	_, err = syscall.Wait4(pid, nil, 0, nil)
	return err
}

// threads makes 400 of them. Where there are no more, the Go runtime gives up.
func threads(string) error {
	var made, done sync.WaitGroup
	end := make(chan struct{})
	for range 400 {
		made.Add(1)
		done.Go(func() {
			runtime.LockOSThread()
			made.Done()
			<-end
		})
	}
	made.Wait()
	close(end)
	done.Wait()
	return nil
}

// allocate takes a gigabyte of address space that may be written to.
func allocate(string) error {
	_, err := syscall.Mmap(-1, 0, 1<<30, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_NORESERVE)
	return err
}

func inherit(secret string) error {
	if !strings.Contains(strings.Join(os.Environ(), "\n"), secret) {
		return fmt.Errorf("the environment is %q", os.Environ())
	}
	return nil
}

func capabilities(string) error {
	header := struct {
		version uint32
		pid     int32
	}{version: 0x20080522}
	var sets [6]uint32 // effective, permitted, inheritable, and their upper halves
	if err := call(syscall.SYS_CAPGET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&sets)), 0); err != nil {
		return err
	}
	if sets == [6]uint32{} {
		return fmt.Errorf("there are none")
	}
	return nil
}

func mount(path string) error {
	if err := syscall.Mount("x", path, "tmpfs", 0, ""); err != nil {
		return err
	}
	return syscall.Unmount(path, 0)
}

// ask does what ffmpeg does: it reads its input from a port, keeps it in the scratch directory, and reads it there.
func ask(port string) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: number(port), Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	answer := make([]byte, 100)
	n, err := syscall.Read(fd, answer)
	if err != nil {
		return err
	}
	if err := os.WriteFile("answer", answer[:n], 0o600); err != nil {
		return err
	}
	kept, err := os.ReadFile("answer")
	if err != nil || !bytes.Equal(kept, answer[:n]) {
		return fmt.Errorf("kept %q: %v", kept, err)
	}
	fmt.Printf("%s", kept)
	return nil
}
