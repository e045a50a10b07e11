package vault

// The commands as macOS numbers them (F_OFD_SETLK and F_OFD_GETLK of its <sys/fcntl.h>); they were
// built for it, and run by nobody.
const (
	setLock = 90
	getLock = 92
)
