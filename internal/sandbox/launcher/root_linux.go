package launcher

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"
)

// System calls of the mount API of Linux 5.2 and 5.12, which have these numbers on every
// architecture, and their flags (linux/mount.h).
const (
	sysOpenTree     = 428
	sysMoveMount    = 429
	sysFsopen       = 430
	sysFsconfig     = 431
	sysFsmount      = 432
	sysMountSetattr = 442

	atFdcwd           = ^uintptr(99) // -100
	atEmptyPath       = 0x1000
	atRecursive       = 0x8000
	openTreeClone     = 1
	cloexec           = 1
	moveMountFromFile = 4 // MOVE_MOUNT_F_EMPTY_PATH
	fsconfigSetString = 1
	fsconfigCreate    = 6

	readOnly = 1 // MOUNT_ATTR_…
	noSuid   = 2
	noDev    = 4
	noExec   = 8
)

// mountPoint is a directory of every system on which a new root is put before it becomes the root.
const mountPoint = "/proc"

// tree is a part of the old root that is taken over into the new one, in the same place.
type tree struct {
	path       string
	attributes uint64
	fd         int
	directory  bool
}

// changeRoot makes a root of an empty file system in memory, with the trees that the program
// needs, and lets go of the old one.
func (p *process) changeRoot() error {
	defer syscall.Umask(syscall.Umask(0o022)) // who the program becomes walks the new directories, too
	trees, err := p.openTrees()
	if err != nil {
		return err
	}
	root, err := newRoot()
	if err != nil {
		return err
	}
	for _, t := range trees {
		if err := t.place(root); err != nil {
			return fmt.Errorf("%s: %w", t.path, err)
		}
	}
	if err := setAttributes(root, readOnly|noSuid|noDev, 0); err != nil {
		return err
	}
	if err := syscall.Fchdir(root); err != nil {
		return fmt.Errorf("enter the new root: %w", err)
	}
	// The old root comes to lie on the new one, and is taken off (pivot_root(2)).
	if err := syscall.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := syscall.Unmount(".", syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the old root: %w", err)
	}
	return step("enter the new root", syscall.Chdir("/"))
}

// openTrees makes copies of what is mounted in the places that the program may see.
func (p *process) openTrees() ([]tree, error) {
	var trees []tree
	for _, path := range p.Visible {
		trees = append(trees, tree{path: path, attributes: readOnly | noSuid | noDev})
	}
	for _, path := range p.Devices {
		trees = append(trees, tree{path: path, attributes: noSuid | noExec})
	}
	if p.Dir != "" {
		trees = append(trees, tree{path: p.Dir, attributes: noSuid | noDev | noExec})
	}
	for i := range trees {
		if err := trees[i].open(); err != nil {
			return nil, fmt.Errorf("%s: %w", trees[i].path, err)
		}
	}
	return trees, nil
}

func (t *tree) open() error {
	var err error
	t.fd, err = call("open_tree", sysOpenTree, atFdcwd, uintptr(unsafe.Pointer(cString(t.path))), openTreeClone|atRecursive|syscall.O_CLOEXEC)
	if err != nil {
		return err
	}
	var found syscall.Stat_t
	if err := syscall.Fstat(t.fd, &found); err != nil {
		return fmt.Errorf("stat: %w", err)
	}
	t.directory = found.Mode&syscall.S_IFMT == syscall.S_IFDIR
	return setAttributes(t.fd, t.attributes, atRecursive)
}

func (t *tree) place(root int) error {
	at := strings.TrimPrefix(t.path, "/")
	if err := makeAll(root, filepath.Dir(at)); err != nil {
		return err
	}
	if err := makePlace(root, at, t.directory); err != nil {
		return err
	}
	return moveMount(t.fd, uintptr(root), at)
}

// makeAll makes a directory with those above it.
func makeAll(root int, path string) error {
	made := ""
	for part := range strings.SplitSeq(path, "/") {
		made = filepath.Join(made, part)
		if err := makePlace(root, made, true); err != nil {
			return err
		}
	}
	return nil
}

// makePlace makes an empty file or directory. One that exists is fine.
func makePlace(root int, path string, directory bool) error {
	if directory {
		if err := syscall.Mkdirat(root, path, 0o755); err != nil && !errors.Is(err, syscall.EEXIST) {
			return fmt.Errorf("mkdir: %w", err)
		}
		return nil
	}
	fd, err := syscall.Openat(root, path, syscall.O_CREAT|syscall.O_RDONLY|syscall.O_CLOEXEC, 0o644)
	if err != nil {
		return fmt.Errorf("make a file: %w", err)
	}
	return syscall.Close(fd)
}

// newRoot mounts an empty file system on mountPoint.
func newRoot() (int, error) {
	context, err := call("fsopen", sysFsopen, uintptr(unsafe.Pointer(cString("tmpfs"))), cloexec)
	if err != nil {
		return -1, err
	}
	if _, err := call("fsconfig", sysFsconfig, uintptr(context), fsconfigSetString,
		uintptr(unsafe.Pointer(cString("size"))), uintptr(unsafe.Pointer(cString("1m"))), 0); err != nil {
		return -1, err
	}
	if _, err := call("fsconfig", sysFsconfig, uintptr(context), fsconfigCreate, 0, 0, 0); err != nil {
		return -1, err
	}
	root, err := call("fsmount", sysFsmount, uintptr(context), cloexec, noSuid|noDev)
	if err != nil {
		return -1, err
	}
	return root, moveMount(root, atFdcwd, mountPoint)
}

func moveMount(mount int, to uintptr, path string) error {
	_, err := call("move_mount", sysMoveMount, uintptr(mount), uintptr(unsafe.Pointer(cString(""))),
		to, uintptr(unsafe.Pointer(cString(path))), moveMountFromFile)
	return err
}

// setAttributes sets attributes of a mount, with flags atRecursive also of those in it.
func setAttributes(mount int, attributes uint64, flags uintptr) error {
	request := struct{ set, clear, propagation, namespace uint64 }{set: attributes}
	_, err := call("mount_setattr", sysMountSetattr, uintptr(mount), uintptr(unsafe.Pointer(cString(""))), atEmptyPath|flags,
		uintptr(unsafe.Pointer(&request)), unsafe.Sizeof(request))
	return err
}
