// Package launcher is the part of a sandbox that runs inside it: a process of the same
// binary under the name Name, which package sandbox starts in new namespaces. Before main it
// takes from itself all that the program doesn't need and becomes the program by execve.
//
// It runs in init, and imports nothing but the standard library, because the other packages of
// a worker take 20 ms to be initialized and this one's turn comes before most of them. In a
// process of any other name it does nothing. It keeps nothing: what it mounts and makes goes
// with its namespaces.
package launcher

// Name is the argv[0] of a launcher; its argv[1] is a Spec as JSON, and the program's arguments
// follow. Descriptor 3 is a stream socket to the one who started it.
const Name = "reelflow-sandbox"

// Layer is a part of a sandbox that a kernel or container may lack.
type Layer string

// The layers, in the order in which they are put on.
const (
	// Namespaces are a user, mount, network, PID, IPC and UTS namespace of the program's own: no
	// network but a socket to its input, no process but itself.
	Namespaces Layer = "namespaces"
	// Root is a root directory in which there is nothing but programs, libraries and the scratch
	// directory. It needs Namespaces.
	Root Layer = "root"
	// Landlock refuses every file but those, and every TCP port but the input's.
	Landlock Layer = "landlock"
	// Seccomp refuses every system call that ffmpeg has no use for.
	Seccomp Layer = "seccomp"
)

// Spec is what a launcher is to do.
type Spec struct {
	Layers  []Layer
	Port    int      // on 127.0.0.1, where the program reads its input; with Namespaces the launcher listens there
	Dir     string   // the scratch directory, the program's working directory
	Visible []string // files and directories, which exist, that it may read and execute
	Devices []string // devices, which exist, that it may read and write
	Become  int      // user and group to become, beside 0 in the namespace; 0: stay who you are
	Limits  []Limit
	Filter  []byte // of Seccomp: struct sock_filter[]
	Program string // absolute path; empty: exit instead of running one
}

// Limit is a resource limit, soft and hard.
type Limit struct {
	Resource int
	Value    uint64
}

// Ready and Go are what launcher and starter tell each other on descriptor 3: the launcher, with its
// listening socket if it has Namespaces, that all is done but the last step, or else a
// layer, a zero byte and what went wrong; the starter that it is still there to watch.
const (
	Ready = "ready"
	Go    = "go"
)
