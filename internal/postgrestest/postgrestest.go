// Package postgrestest runs a private PostgreSQL for tests: a cluster in a
// temporary directory, reached through a socket in it, made at first use and
// removed by Stop. It never outlives the test binary, and a machine without
// PostgreSQL fails the test rather than skipping it.
//
//	var cluster postgrestest.Cluster
//
//	func TestMain(m *testing.M) {
//		code := m.Run()
//		cluster.Stop()
//		os.Exit(code)
//	}
//
//	func TestX(t *testing.T) { url := cluster.Database(t); … }
package postgrestest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Cluster is a PostgreSQL server with data of its own. The zero value is ready:
// it starts when the first database is asked for.
type Cluster struct {
	mu        sync.Mutex
	dir       string
	bin       string
	user      *syscall.Credential // whom the server runs as; nil for the present user
	process   *os.Process
	ended     chan struct{} // closed when the process is gone
	databases int
	schemas   int
}

// patience bounds everything that the server is waited for.
const patience = 30 * time.Second

// Database makes a fresh, empty database and returns its URL. It is dropped,
// whoever is still connected, when the test ends.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ensure(); err != nil {
		t.Fatal(err)
	}
	c.databases++
	name := fmt.Sprintf("test%d", c.databases)
	if err := c.exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return c.url(name)
}

// Schema makes a fresh, empty schema and returns the URL of a database in which it
// is all there is to see. Making and dropping a database writes hundreds of files;
// this writes none, and is as good for whoever needs no other thing of a database
// than tables. Advisory locks are shared with the other schemas. It goes with the cluster.
func (c *Cluster) Schema(t testing.TB) string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ensure(); err != nil {
		t.Fatal(err)
	}
	c.schemas++
	name := fmt.Sprintf("test%d", c.schemas)
	if err := c.exec("CREATE SCHEMA " + name); err != nil {
		t.Fatal(err)
	}
	return c.url("postgres", "search_path", name)
}

// Restart kills the server as a crash would, dropping every connection, and
// starts it again on the same data. Other tests must not use the cluster meanwhile.
func (c *Cluster) Restart(t testing.TB) {
	t.Helper()
	c.Interrupt(t)
	c.Resume(t)
}

// Interrupt kills the server as a crash would, until Resume.
func (c *Cluster) Interrupt(t testing.TB) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.kill(); err != nil {
		t.Fatal(err)
	}
}

// Resume starts the server again after Interrupt.
func (c *Cluster) Resume(t testing.TB) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
}

// Stop ends the server and removes its data. A cluster that never started is no error.
func (c *Cluster) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dir == "" {
		return nil
	}
	if err := c.kill(); err != nil {
		return err
	}
	dir := c.dir
	c.dir = ""
	return os.RemoveAll(dir)
}

// ensure makes the cluster and starts it, once.
func (c *Cluster) ensure() (err error) {
	if c.dir != "" {
		return nil
	}
	if c.bin, err = binaries(); err != nil {
		return err
	}
	if c.user, err = unprivileged(); err != nil {
		return err
	}
	if c.dir, err = os.MkdirTemp("", "pg"); err != nil {
		return err
	}
	if c.user != nil {
		if err := os.Chown(c.dir, int(c.user.Uid), int(c.user.Gid)); err != nil {
			return err
		}
	}
	initdb := c.command("initdb", "-D", c.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return c.start()
}

// start runs the server until it answers. No fsync: a crash of the server alone
// loses nothing, and that of the machine ends the test too.
func (c *Cluster) start() error {
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	server := c.command("postgres", "-D", c.data(), "-k", c.dir, "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=32MB", "-c", "max_connections=200")
	server.Stdout, server.Stderr = log, log
	started := make(chan error)
	c.ended = make(chan struct{})
	go func(ended chan struct{}) {
		defer close(ended)
		// The signal at the parent's death is sent when the thread that started
		// the server ends, so this one must last as long.
		runtime.LockOSThread()
		err := server.Start()
		started <- err
		if err == nil {
			server.Wait() // its end is what Interrupt waits for; how it ended is in the log
		}
	}(c.ended)
	if err := <-started; err != nil {
		return err
	}
	c.process = server.Process
	return c.answers()
}

func (c *Cluster) answers() error {
	deadline := time.Now().Add(patience)
	for {
		err := c.exec("SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-c.ended:
		case <-time.After(20 * time.Millisecond):
			if time.Now().Before(deadline) {
				continue
			}
		}
		log, _ := os.ReadFile(filepath.Join(c.dir, "log")) // best effort: it only explains err
		return fmt.Errorf("postgres does not answer: %w\n%s", err, log)
	}
}

// kill ends the server at once (SIGQUIT, "immediate shutdown"), as a crash would.
func (c *Cluster) kill() error {
	if c.process == nil {
		return nil
	}
	if err := c.process.Signal(syscall.SIGQUIT); err != nil && err != os.ErrProcessDone {
		return err
	}
	select {
	case <-c.ended:
		c.process = nil
		return nil
	case <-time.After(patience):
		return fmt.Errorf("postgres does not end")
	}
}

func (c *Cluster) exec(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// url is the address of a database; settings are pairs of name and value.
func (c *Cluster) url(database string, settings ...string) string {
	query := url.Values{"host": {c.dir}}
	for i := 0; i < len(settings); i += 2 {
		query.Set(settings[i], settings[i+1])
	}
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/" + database, RawQuery: query.Encode()}
	return u.String()
}

func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.user, Setpgid: true}
	endWithThis(cmd.SysProcAttr)
	return cmd
}
