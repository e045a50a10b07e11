package main

import "syscall"

// endWithThis makes a program, and so its workers, end when this one does, however that ends.
func endWithThis() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }
