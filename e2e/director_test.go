package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// director tells tus clients what to do, and hears what happens to them: clients
// in Node.js, each a process of its own, and in tabs of one Chromium, whose pages
// come from here and so are of another origin than the gateways. See clients/.
type director struct {
	server   *httptest.Server
	devtools string // of Chromium

	mu      sync.Mutex
	clients map[string]*tusClient
	files   map[string]string // paths, by name
}

// order is what a client is to do. Options are those of tus-js-client.
type order struct {
	Do        string            `json:"do"`
	File      *sent             `json:"file,omitempty"`
	Options   map[string]any    `json:"options,omitempty"`
	Previous  bool              `json:"previous,omitempty"`  // go on with what the client knows of the file
	AbortAt   *int64            `json:"abortAt,omitempty"`   // bytes
	Stream    bool              `json:"stream,omitempty"`    // of an unknown length
	Checksums map[string]string `json:"checksums,omitempty"` // Upload-Checksum, by the offset of the PATCH
	Terminate bool              `json:"terminate,omitempty"`
	URL       string            `json:"url,omitempty"`
}

// sent is a file as clients know it.
type sent struct {
	Name     string `json:"name"`
	Path     string `json:"path"`
	Modified int64  `json:"modified"`
}

// told is what a client tells.
type told struct {
	Event   string            `json:"event"`
	URL     string            `json:"url"`
	Count   int               `json:"count"`
	Method  string            `json:"method"`
	Status  int               `json:"status"`
	Offset  string            `json:"offset"`
	Video   string            `json:"video"`
	Expires string            `json:"expires"`
	Message string            `json:"message"`
	Body    string            `json:"body"`
	Headers map[string]string `json:"headers"`
}

const page = `<!doctype html><meta charset="utf-8"><title>A tus client</title><script type="module" src="/page.js"></script>`

func direct(t *testing.T) *director {
	t.Helper()
	bundle := filepath.Join(root(t), "e2e", "clients", "dist", "page.js")
	if _, err := os.Stat(bundle); err != nil {
		t.Fatal("the tus clients are missing: run `make e2e/clients/dist/page.js`")
	}
	d := &director{clients: map[string]*tusClient{}, files: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders", d.serveOrders)
	mux.HandleFunc("POST /events", d.serveEvents)
	mux.HandleFunc("GET /files/{name}", d.serveFile)
	mux.HandleFunc("GET /page.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, bundle) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, page)
	})
	d.server = httptest.NewServer(mux)
	t.Cleanup(func() {
		d.server.CloseClientConnections()
		d.server.Close()
	})
	return d
}

func (d *director) client(r *http.Request) *tusClient {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clients[r.FormValue("client")]
}

func (d *director) serveOrders(w http.ResponseWriter, r *http.Request) {
	c := d.client(r)
	if c == nil {
		http.NotFound(w, r)
		return
	}
	select {
	case o := <-c.orders:
		json.NewEncoder(w).Encode(o)
	case <-time.After(10 * time.Second):
		w.WriteHeader(http.StatusNoContent)
	case <-r.Context().Done():
	}
}

func (d *director) serveEvents(w http.ResponseWriter, r *http.Request) {
	c := d.client(r)
	var e told
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil || c == nil {
		http.Error(w, "no such client or event", http.StatusBadRequest)
		return
	}
	c.hear(e)
}

func (d *director) serveFile(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	path := d.files[r.PathValue("name")]
	d.mu.Unlock()
	http.ServeFile(w, r, path)
}

// tusClient is one client under orders.
type tusClient struct {
	t      *testing.T
	name   string
	kill   func() // without a word
	orders chan order

	mu    sync.Mutex
	told  []told
	seen  int // of told, by await
	heard chan struct{}
}

func (d *director) newClient(t *testing.T, name string) *tusClient {
	c := &tusClient{t: t, name: name, orders: make(chan order, 8), heard: make(chan struct{}, 1)}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clients[name] = c
	return c
}

// node starts a client in Node.js whose URLs of uploads lie in a file.
func (d *director) node(t *testing.T, name, urls string) *tusClient {
	t.Helper()
	c := d.newClient(t, name)
	process := exec.Command("node", "node.js", d.server.URL, name, urls)
	process.Dir = filepath.Join(root(t), "e2e", "clients")
	said := &strings.Builder{}
	process.Stdout, process.Stderr = said, said
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	c.kill = sync.OnceFunc(func() {
		process.Process.Kill()
		process.Wait()
		if said.Len() > 0 {
			t.Logf("client %s said: %s", name, said)
		}
	})
	t.Cleanup(c.kill)
	c.await("the client is there", is("here"))
	return c
}

// tab starts a client in a page.
func (d *director) tab(t *testing.T, name string) *tusClient {
	t.Helper()
	c := d.newClient(t, name)
	target := d.browse(t, http.MethodPut, "new?"+url.QueryEscape(d.server.URL+"/?client="+url.QueryEscape(name)))
	c.kill = sync.OnceFunc(func() { d.browse(t, http.MethodGet, "close/"+target) })
	t.Cleanup(c.kill)
	c.await("the client is there", is("here"))
	return c
}

// browse calls Chromium (https://chromedevtools.github.io/devtools-protocol, HTTP
// endpoints), and returns the id of what it is about.
func (d *director) browse(t *testing.T, method, path string) (id string) {
	t.Helper()
	request, err := http.NewRequest(method, d.devtools+"/json/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	defer answer.Body.Close()
	var target struct{ ID string }
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("chromium answered %s: %s, %v", answer.Status, text, err)
	}
	json.Unmarshal(text, &target) // "Target is closing" is no JSON, and has no id
	return target.ID
}

// chromium starts the browser. It ends with the test.
func (d *director) chromium(t *testing.T) {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium",
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Fatal("Chromium is missing: run `make setup-test`")
	}
	process := exec.Command(path, "--headless", "--remote-debugging-port=0", "--user-data-dir="+t.TempDir(),
		"--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
		"--disable-sync", "--disable-dev-shm-usage", "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
		"--disable-backgrounding-occluded-windows", "about:blank")
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it has children, which go with it
	out, err := process.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-process.Process.Pid, syscall.SIGKILL)
		process.Wait()
	})
	said := bufio.NewScanner(out)
	for said.Scan() {
		if _, address, ok := strings.Cut(said.Text(), "DevTools listening on ws://"); ok {
			host, _, _ := strings.Cut(address, "/")
			d.devtools = "http://" + host
			go io.Copy(io.Discard, out)
			return
		}
	}
	t.Fatal("Chromium did not start")
}

func (c *tusClient) hear(e told) {
	c.mu.Lock()
	c.told = append(c.told, e)
	c.mu.Unlock()
	select {
	case c.heard <- struct{}{}:
	default: // there is news already
	}
}

func (c *tusClient) do(o order) { c.orders <- o }

// patience is for one step of a client, on a machine that has other things to do.
const patience = 90 * time.Second

// await waits for the next event that is wanted, in the order in which they are told.
func (c *tusClient) await(what string, wanted func(told) bool) told {
	c.t.Helper()
	limit := time.After(patience)
	for {
		if e, ok := c.next(wanted); ok {
			return e
		}
		select {
		case <-c.heard:
		case <-limit:
			c.t.Fatalf("client %s: still not so: %s; it has told:\n%s", c.name, what, c.story())
		}
	}
}

func (c *tusClient) next(wanted func(told) bool) (told, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.seen < len(c.told) {
		e := c.told[c.seen]
		c.seen++
		if wanted(e) {
			return e, true
		}
	}
	return told{}, false
}

// count is how many events there have been of a kind.
func (c *tusClient) count(wanted func(told) bool) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.told {
		if wanted(e) {
			n++
		}
	}
	return n
}

func (c *tusClient) story() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var lines []string
	for _, e := range c.told {
		lines = append(lines, strings.TrimSpace(fmt.Sprint(e.Event, " ", e.Method, " ", e.Status, " ", e.Offset, " ", e.URL, " ", e.Message)))
	}
	return strings.Join(lines, "\n")
}

func is(event string) func(told) bool { return func(e told) bool { return e.Event == event } }

func answered(method string, status int) func(told) bool {
	return func(e told) bool { return e.Event == "answer" && e.Method == method && e.Status == status }
}

// succeeds waits for the end of an upload, which must be a good one, and returns its URL.
func (c *tusClient) succeeds() string {
	c.t.Helper()
	e := c.await("the upload ends", func(e told) bool { return e.Event == "success" || e.Event == "error" })
	if e.Event == "error" {
		c.t.Fatalf("client %s failed with status %d: %s\n%s\n%s", c.name, e.Status, e.Message, e.Body, c.story())
	}
	return e.URL
}

// fails waits for the end of an upload, which must be a failure with this status.
func (c *tusClient) fails(status int) told {
	c.t.Helper()
	e := c.await("the upload ends", func(e told) bool { return e.Event == "success" || e.Event == "error" })
	if e.Event != "error" || e.Status != status {
		c.t.Fatalf("client %s ended with %s and status %d, not %d: %s\n%s", c.name, e.Event, e.Status, status, e.Message, c.story())
	}
	return e
}
