//go:build unix && !linux

package sandbox

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"syscall"

	"github.com/reelflow/reelflow/internal/sandbox/launcher"
)

// find finds nothing: only Linux has the layers.
func find(context.Context) *Sandbox {
	s := &Sandbox{}
	for _, layer := range []launcher.Layer{launcher.Namespaces, launcher.Root, launcher.Landlock, launcher.Seccomp} {
		s.lacks = append(s.lacks, Lack{layer, errors.New("only Linux has it")})
	}
	return s
}

// start gives the program a process group of its own. Only Linux lets one process limit another.
func (b *Box) start(cmd *exec.Cmd, _ Limits) (net.Listener, error) {
	cmd.Env, cmd.SysProcAttr = launcher.Environment(), &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return b.listener, nil
}
