package postgrestest

import "syscall"

// endWithThis makes a program end when this one does, however that ends.
func endWithThis(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGQUIT }
