package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	aimVariable = "E2E_AIM" // set for the process of the attackers: their aim
	attackers   = 1000      // each with a connection
	startsEvery = 4 * time.Millisecond
)

// aim is what attackers aim at: all but the first two and User are paths.
type aim struct {
	Seed                                   uint64
	Address, User                          string
	Segment, Download, Page, Video, Events string
	Uploads                                []string
}

// assault is an attack under way.
type assault struct {
	aim
	mu  sync.Mutex
	did map[string]int
}

// ways to attack: each uses a connection until it is of no more use.
var ways = []func(*assault, *attacker){
	readsNothing: (*assault).neverRead,
	(*assault).sendNothing, (*assault).sendHalfAHead, (*assault).sendNoBody,
	(*assault).askForRanges, (*assault).openStreams, (*assault).askForPages, (*assault).askForWhatIsNotThere,
	(*assault).sendSingleBytes, (*assault).sendSingleChunks, (*assault).sendNoneOfMany,
}

const readsNothing = 0 // index in ways

// attacker is one connection of them.
type attacker struct {
	net.Conn
	in     *bufio.Reader
	number int
	chance *rand.Rand
}

// attackAsTold attacks what the environment says until standard input ends. It says
// when all have begun, and in the end what came of it.
func attackAsTold() error {
	a := &assault{did: map[string]int{}}
	if err := json.Unmarshal([]byte(os.Getenv(aimVariable)), &a.aim); err != nil {
		return err
	}
	var begun sync.WaitGroup
	begun.Add(attackers)
	for number := range attackers {
		go a.keepAttacking(number, sync.OnceFunc(begun.Done))
		time.Sleep(startsEvery)
	}
	begun.Wait()
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return json.NewEncoder(os.Stdout).Encode(a.did)
}

// keepAttacking comes back, some time after the gateway got rid of a connection.
func (a *assault) keepAttacking(number int, begun func()) {
	chance := rand.New(rand.NewPCG(a.Seed, uint64(number)))
	// Those who read nothing have a system that takes next to nothing for them.
	narrow := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	for {
		way, dialer := chance.IntN(len(ways)), &net.Dialer{}
		if way == readsNothing {
			dialer = &narrow
		}
		conn, err := dialer.Dial("tcp", a.Address)
		if begun(); err == nil {
			ways[way](a, &attacker{conn, bufio.NewReader(conn), number, chance})
			conn.Close()
		}
		think(chance)
	}
}

// think lets some time pass: the attack is one by number, not by haste.
func think(chance *rand.Rand) {
	time.Sleep(200*time.Millisecond + time.Duration(chance.IntN(300))*time.Millisecond)
}

func (a *assault) note(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.did[what]++
}

// send sends the head of a request, and reports whether the connection took it.
func (a *assault) send(c *attacker, line string, headers ...string) bool {
	_, err := io.WriteString(c, line+" HTTP/1.1\r\nHost: "+a.Address+"\r\n"+strings.Join(append(headers, "\r\n"), "\r\n"))
	return err == nil
}

// answer reads an answer to its end, notes its status, and returns it; nil at the
// connection's end.
func (a *assault) answer(c *attacker, what, method string) *http.Response {
	got, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		return nil
	}
	a.note(fmt.Sprint(what, " ", got.StatusCode))
	_, err = io.Copy(io.Discard, got.Body)
	if got.Body.Close() != nil || err != nil || got.Close {
		return nil
	}
	return got
}

func (a *assault) sendNothing(c *attacker) {
	a.note("nothing")
	io.Copy(io.Discard, c)
}

func (a *assault) sendHalfAHead(c *attacker) {
	a.note("half a head")
	io.WriteString(c, "GET "+a.Page+" HTTP/1.1\r\nHost: ")
	io.Copy(io.Discard, c)
}

func (a *assault) sendNoBody(c *attacker) {
	lines := []string{"GET " + a.Page, "GET /healthz", "POST /signout", "POST /v1/videos", "GET /nothing", "GET " + a.Segment, "PATCH " + a.Uploads[0]}
	a.send(c, lines[c.chance.IntN(len(lines))], "Content-Length: 100")
	a.answer(c, "no body", "GET")
}

// neverRead asks, many times at once, until nothing goes out any more.
func (a *assault) neverRead(c *attacker) {
	a.note("never reads")
	paths := []string{a.Page, a.Segment, a.Download, "/openapi.json"}
	for path, n := paths[c.chance.IntN(len(paths))], 5; ; n = 1 {
		for range n {
			if !a.send(c, "GET "+path) {
				return
			}
		}
		think(c.chance)
	}
}

func (a *assault) askForRanges(c *attacker) {
	paths := []string{a.Segment, a.Download}
	for ranges := "Range: bytes=0-0" + strings.Repeat(",9-9,0-0", 3000); ; think(c.chance) {
		if !a.send(c, "GET "+paths[c.chance.IntN(len(paths))], ranges) || a.answer(c, "ranges", "GET") == nil {
			return
		}
	}
}

func (a *assault) openStreams(c *attacker) {
	if !a.send(c, "GET "+a.Events) {
		return
	}
	a.answer(c, "streams", "GET")
}

func (a *assault) askForPages(c *attacker) {
	a.ask(c, "pages", a.Page, a.Video, "/docs", "/v1/videos/x")
}

func (a *assault) askForWhatIsNotThere(c *attacker) {
	a.ask(c, "not there", a.Page+"x", a.Segment+"x", "/play/x", "/v1/uploads/x", "/"+strings.Repeat("x", 4000))
}

// ask asks for one of these paths after the other.
func (a *assault) ask(c *attacker, what string, paths ...string) {
	for ; ; think(c.chance) {
		if !a.send(c, "GET "+paths[c.chance.IntN(len(paths))]) || a.answer(c, what, "GET") == nil {
			return
		}
	}
}

// sendSingleBytes adds to an upload, which others of the attackers do as well, byte by byte.
func (a *assault) sendSingleBytes(c *attacker) {
	a.sendPieces(c, "single bytes", "Content-Length: 1", "x")
}

// sendSingleChunks is sendSingleBytes without saying how many come.
func (a *assault) sendSingleChunks(c *attacker) {
	a.sendPieces(c, "single chunks", "Transfer-Encoding: chunked", "1\r\nx\r\n0\r\n\r\n")
}

// sendNoneOfMany says that much will come.
func (a *assault) sendNoneOfMany(c *attacker) {
	a.sendPieces(c, "none of many", "Content-Length: 900000", "")
}

func (a *assault) sendPieces(c *attacker, what, length, body string) {
	path := a.Uploads[c.number%len(a.Uploads)]
	for ; ; think(c.chance) {
		if !a.send(c, "HEAD "+path, "Tus-Resumable: 1.0.0") {
			return
		}
		at := a.answer(c, "offset", "HEAD")
		if at == nil {
			return
		}
		if !a.send(c, "PATCH "+path, "Tus-Resumable: 1.0.0", "Content-Type: application/offset+octet-stream",
			"Upload-Offset: "+at.Header.Get("Upload-Offset"), length) {
			return
		}
		if _, err := io.WriteString(c, body); err != nil || a.answer(c, what, "PATCH") == nil {
			return
		}
	}
}
