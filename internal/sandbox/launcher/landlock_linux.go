package launcher

import (
	"fmt"
	"syscall"
	"unsafe"
)

// Landlock's system calls, which have these numbers on every architecture, and its rights
// (linux/landlock.h).
const (
	sysLandlockCreateRuleset = 444
	sysLandlockAddRule       = 445
	sysLandlockRestrictSelf  = 446

	landlockVersion   = 1 // LANDLOCK_CREATE_RULESET_VERSION
	rulePathBeneath   = 1
	ruleNetPort       = 2
	netConnect        = 2
	netBindAndConnect = 3
	scopeAll          = 3 // abstract UNIX sockets and signals

	fsExecute    = 1 << 0
	fsWriteFile  = 1 << 1
	fsReadFile   = 1 << 2
	fsReadDir    = 1 << 3
	fsRemoveDir  = 1 << 4
	fsRemoveFile = 1 << 5
	fsMakeDir    = 1 << 7
	fsMakeFile   = 1 << 8
	fsTruncate   = 1 << 14 // since version 3

	fsOfFiles = fsExecute | fsWriteFile | fsReadFile | fsTruncate // all that can be allowed of one file
	oPath     = 0x200000                                          // O_PATH
)

// rights returns the rights on files that a version of Landlock knows. What it knows and isn't
// allowed is refused.
func rights(version int) uint64 {
	switch {
	case version < 2:
		return 1<<13 - 1
	case version == 2: // renames into other directories
		return 1<<14 - 1
	case version < 5: // truncation
		return 1<<15 - 1
	default: // ioctl on devices
		return 1<<16 - 1
	}
}

// prepareLandlock writes down what the program may open and where it may connect. The
// kernel's version may know less than the latest: it then restricts what it knows.
func (p *process) prepareLandlock() error {
	version, err := call("landlock_create_ruleset", sysLandlockCreateRuleset, 0, 0, landlockVersion)
	if err != nil {
		return err
	}
	known := rights(version)
	ruleset := struct{ files, network, scoped uint64 }{files: known}
	size := unsafe.Sizeof(ruleset.files)
	if version >= 4 {
		ruleset.network, size = netBindAndConnect, size+unsafe.Sizeof(ruleset.network)
	}
	if version >= 6 {
		ruleset.scoped, size = scopeAll, size+unsafe.Sizeof(ruleset.scoped)
	}
	p.ruleset, err = call("landlock_create_ruleset", sysLandlockCreateRuleset, uintptr(unsafe.Pointer(&ruleset)), size, 0)
	if err != nil {
		return err
	}
	if version >= 4 {
		if err := p.allowPort(); err != nil {
			return err
		}
	}
	return p.allowFiles(known)
}

func (p *process) allowPort() error {
	rule := struct{ allowed, port uint64 }{netConnect, uint64(p.Port)}
	_, err := call("landlock_add_rule", sysLandlockAddRule, uintptr(p.ruleset), ruleNetPort, uintptr(unsafe.Pointer(&rule)), 0)
	return err
}

func (p *process) allowFiles(known uint64) error {
	for _, path := range p.Visible {
		if err := p.allow(path, known&(fsExecute|fsReadFile|fsReadDir)); err != nil {
			return err
		}
	}
	for _, path := range p.Devices {
		if err := p.allow(path, known&(fsReadFile|fsWriteFile|fsTruncate)); err != nil {
			return err
		}
	}
	if p.Dir == "" {
		return nil
	}
	return p.allow(p.Dir, known&(fsReadFile|fsReadDir|fsWriteFile|fsTruncate|fsMakeFile|fsMakeDir|fsRemoveFile|fsRemoveDir))
}

// allow allows rights on a file, or on all that lies in a directory.
func (p *process) allow(path string, allowed uint64) error {
	fd, err := syscall.Open(path, oPath|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer syscall.Close(fd)
	var found syscall.Stat_t
	if err := syscall.Fstat(fd, &found); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if found.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		allowed &= fsOfFiles
	}
	var rule [12]byte // packed: the rights, and a descriptor
	*(*uint64)(unsafe.Pointer(&rule[0])) = allowed
	*(*int32)(unsafe.Pointer(&rule[8])) = int32(fd)
	_, err = call("landlock_add_rule", sysLandlockAddRule, uintptr(p.ruleset), rulePathBeneath, uintptr(unsafe.Pointer(&rule)), 0)
	return step(path, err)
}

// restrict has the rules hold from now on. It needs dropPrivileges before it.
func (p *process) restrict() error {
	_, err := call("landlock_restrict_self", sysLandlockRestrictSelf, uintptr(p.ruleset), 0)
	return err
}
