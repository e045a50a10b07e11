package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/reelflow/reelflow/video"
)

// fakeGateway is as much of a gateway as the command line talks to. What the
// title says decides what happens to a video, so that scripts can ask for it.
// The same scripts pass against the real one where they don't use such titles.
type fakeGateway struct {
	mu       sync.Mutex
	videos   map[video.ID]*fakeVideo
	requests map[string]video.ID // by Idempotency-Key
	order    []video.ID
	streams  int // of events that were begun
}

type fakeVideo struct {
	id      video.ID
	owner   string
	title   string
	stage   video.Stage
	paused  bool
	held    bool
	ending  video.Ending
	body    []byte
	size    int64
	tries   int // PATCHes so far
	failure *video.Rejection
}

func newFakeGateway() *fakeGateway {
	return &fakeGateway{videos: map[video.ID]*fakeVideo{}, requests: map[string]video.ID{}}
}

func (g *fakeGateway) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/videos", g.create)
	mux.HandleFunc("HEAD /v1/uploads/{id}", g.head)
	mux.HandleFunc("PATCH /v1/uploads/{id}", g.patch)
	mux.HandleFunc("GET /v1/videos/{id}", g.with(func(w http.ResponseWriter, r *http.Request, v *fakeVideo) { g.answer(w, r, 200, v) }))
	mux.HandleFunc("GET /v1/videos/{id}/events", g.events)
	mux.HandleFunc("POST /v1/videos/{id}/{command}", g.with(g.command))
	mux.HandleFunc("DELETE /v1/videos/{id}", g.with(func(w http.ResponseWriter, _ *http.Request, v *fakeVideo) {
		v.stage, v.ending = video.Purged, video.ByDeletion
		w.WriteHeader(202)
	}))
	mux.HandleFunc("GET /v1/me/videos", g.list)
	mux.HandleFunc("GET /v1/receipts/{id}", g.receipt)
	return mux
}

func refuse(w http.ResponseWriter, status int, code video.Code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"status": status, "code": code, "detail": detail})
}

func (g *fakeGateway) create(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var n struct {
		Title  string
		Source struct {
			Size *int64
			URL  string
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
		refuse(w, 400, video.Invalid, err.Error())
		return
	}
	switch {
	case r.Header.Get("Authorization") != "Bearer dev:me":
		refuse(w, 401, video.Unauthenticated, "Sign in first.")
		return
	case strings.Contains(n.Source.URL, "localhost"):
		refuse(w, 400, video.Invalid, "Only public hosts are allowed.")
		return
	case n.Source.URL != "":
		n.Source.Size = new(int64)
	case n.Source.Size != nil && *n.Source.Size == 0:
		refuse(w, 400, video.Invalid, "The file is empty.")
		return
	case *n.Source.Size > 1_000_000:
		refuse(w, 413, video.TooLarge, "The video is larger than the limit of 1 MB.")
		return
	}
	key := r.Header.Get("Idempotency-Key")
	id, again := g.requests[key]
	if !again {
		id = video.NewID()
		g.requests[key] = id
		g.order = append(g.order, id)
		g.videos[id] = &fakeVideo{id: id, owner: "me", title: n.Title, stage: video.Uploading, size: *n.Source.Size}
		if n.Source.URL != "" { // fetched in no time
			g.videos[id].stage = video.Published
		}
	}
	if n.Title == "lost answer" && !again {
		panic(http.ErrAbortHandler)
	}
	g.answer(w, r, 201, g.videos[id])
}

func (g *fakeGateway) with(f func(http.ResponseWriter, *http.Request, *fakeVideo)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		v := g.videos[video.ID(r.PathValue("id"))]
		switch {
		case v == nil:
			refuse(w, 404, video.NotFound, "There is no such video.")
		case v.stage == video.Purged:
			refuse(w, 410, video.Gone, "This video has been erased.")
		default:
			f(w, r, v)
		}
	}
}

func (g *fakeGateway) answer(w http.ResponseWriter, r *http.Request, status int, v *fakeVideo) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v.document("http://" + r.Host))
}

func (v *fakeVideo) document(base string) map[string]any {
	return map[string]any{
		"id": v.id, "owner": v.owner, "title": v.title, "stage": v.stage, "paused": v.paused, "held": v.held, "ending": v.ending, "failure": v.failure,
		"created_at": time.Date(2030, 1, 31, 18, 0, 0, 0, time.UTC), "warnings": []string{}, "purge_at": v.purgeAt(),
		"actions":  v.state().Actions(video.Owner),
		"progress": map[string]any{"stage": v.stage, "done": len(v.body), "total": v.size, "unit": "bytes", "per_second": nil},
		"upload": map[string]any{"url": base + "/v1/uploads/" + string(v.id), "offset": len(v.body), "length": v.size,
			"expires_at": time.Date(2030, 2, 1, 18, 0, 0, 0, time.UTC)},
		"replicas": []any{map[string]any{"store": "primary", "state": "complete", "objects": 1, "bytes": len(v.body)}},
		"links":    map[string]any{"watch": base + "/watch/" + string(v.id)},
	}
}

func (v *fakeVideo) state() video.State {
	return video.State{Stage: v.stage, Paused: v.paused, Ending: v.ending, Held: v.held}
}

func (v *fakeVideo) purgeAt() any {
	if v.stage == video.Draft || v.stage == video.Canceled {
		return time.Date(2030, 2, 7, 18, 0, 0, 0, time.UTC)
	}
	return nil
}

func (g *fakeGateway) head(w http.ResponseWriter, r *http.Request) {
	g.with(func(w http.ResponseWriter, _ *http.Request, v *fakeVideo) {
		w.Header().Set("Upload-Offset", strconv.Itoa(len(v.body)))
		w.Header().Set("Upload-Length", strconv.FormatInt(v.size, 10))
	})(w, r)
}

// patch stores what arrives, a little at a time, also of a request that breaks off.
func (g *fakeGateway) patch(w http.ResponseWriter, r *http.Request) {
	v, status := g.admit(r)
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	buffer := make([]byte, 1000)
	for {
		n, err := r.Body.Read(buffer)
		g.mu.Lock()
		v.body = append(v.body, buffer[:n]...)
		interrupted := v.interrupted()
		stored, complete := len(v.body), int64(len(v.body)) == v.size
		if complete && v.stage == video.Uploading {
			v.stage = video.Processing
		}
		broken := v.title == "drops" && v.tries == 1 && stored >= 2000
		g.mu.Unlock()
		switch {
		case interrupted != 0:
			w.Header().Set("Connection", "close")
			w.WriteHeader(interrupted)
			return
		case broken:
			panic(http.ErrAbortHandler)
		case err == io.EOF:
			w.Header().Set("Upload-Offset", strconv.Itoa(stored))
			w.WriteHeader(204)
			return
		case err != nil:
			return
		}
	}
}

// interrupted is how a PATCH under way ends, or 0 while it goes on.
func (v *fakeVideo) interrupted() int {
	switch {
	case v.paused, v.stage == video.Draft:
		return 423
	case v.stage != video.Uploading:
		return 410
	}
	return 0
}

// admit returns 0 for a PATCH that may come in.
func (g *fakeGateway) admit(r *http.Request) (*fakeVideo, int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.videos[video.ID(r.PathValue("id"))]
	if v != nil && v.stage == video.Draft {
		return nil, 423
	}
	if v == nil || v.stage != video.Uploading {
		return nil, 410
	}
	v.tries++
	switch {
	case v.title == "busy" && v.tries == 1:
		return nil, 503
	case v.title == "held elsewhere" && v.tries == 1:
		return nil, 409
	case v.title == "paused for a while" && v.tries <= 3:
		v.paused = v.tries < 3 // until then
		return nil, 423
	case v.paused:
		return nil, 423
	case r.Header.Get("Upload-Offset") != strconv.Itoa(len(v.body)):
		return nil, 409
	}
	return v, 0
}

// events tells the rest of the story: processing, then how it ends.
func (g *fakeGateway) events(w http.ResponseWriter, r *http.Request) {
	for sent := 0; ; sent++ {
		g.mu.Lock()
		v := g.videos[video.ID(r.PathValue("id"))]
		if v == nil {
			g.mu.Unlock()
			refuse(w, 404, video.NotFound, "There is no such video.")
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		if sent == 1 {
			g.streams++ // its first event has been written
		}
		if v.stage == video.Purged {
			g.mu.Unlock()
			fmt.Fprint(w, "event: gone\ndata: {}\n\n")
			return
		}
		document, _ := json.Marshal(v.document("http://" + r.Host))
		v.advance()
		g.mu.Unlock()
		fmt.Fprintf(w, ": a comment\nevent: video\ndata: %s\n\n", document)
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (v *fakeVideo) advance() {
	if v.stage != video.Processing {
		return
	}
	switch v.title {
	case "refused":
		v.stage, v.failure = video.Rejected, &video.Rejection{Code: "not_a_video", Message: "This is not a video."}
	case "reviewed":
		v.stage = video.Reviewing
	default:
		v.stage = video.Published
	}
}

func (g *fakeGateway) command(w http.ResponseWriter, r *http.Request, v *fakeVideo) {
	command, err := video.ParseCommand(r.PathValue("command"))
	if err == nil {
		err = v.state().Check(command)
	}
	role := video.Owner
	if r.Header.Get("Authorization") == "Bearer dev:admin" {
		role = video.Operator
	}
	switch {
	case err != nil:
		refuse(w, 409, video.CodeOf(err), err.(*video.Error).Detail)
		return
	case !v.state().Permits(command, role) && command != video.Approve && command != video.Reject:
		refuse(w, 403, video.Forbidden, "You may not ask for this.")
		return
	}
	var request video.CommandRequest
	json.NewDecoder(r.Body).Decode(&request)
	if command == video.Cancel && v.title == "stuck" {
		g.answer(w, r, 202, v) // on record, and its workflow can't answer
		return
	}
	v.obey(command, request)
	g.answer(w, r, 200, v)
}

func (v *fakeVideo) obey(command video.Command, request video.CommandRequest) {
	switch command {
	case video.Pause, video.Resume:
		v.paused = command == video.Pause
		if v.stage == video.Draft {
			v.stage = video.Uploading
		}
	case video.Cancel:
		v.stage, v.ending = video.Canceled, video.ByCancellation
		if request.KeepDraft {
			v.stage, v.ending = video.Draft, ""
		} else if v.title == "no grace" {
			v.stage = video.Purged
		}
	case video.Restore:
		v.stage, v.ending = video.Uploading, ""
	case video.Approve:
		v.stage = video.Scheduled
	case video.Publish:
		v.stage = video.Published
	case video.Hold, video.Release:
		v.held = command == video.Hold
	case video.Reject:
		v.stage = video.Rejected
	}
}

// list gives one video a page.
func (g *fakeGateway) list(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	after, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	stage := r.URL.Query().Get("stage")
	page, next := []any{}, any(nil)
	for i := len(g.order) - 1 - after; i >= 0; i-- {
		v := g.videos[g.order[i]]
		if stage != "" && string(v.stage) != stage {
			continue
		}
		if len(page) == 1 {
			next = strconv.Itoa(len(g.order) - 1 - i)
			break
		}
		page = append(page, v.document("http://"+r.Host))
	}
	json.NewEncoder(w).Encode(map[string]any{"videos": page, "next_cursor": next})
}

func (g *fakeGateway) receipt(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.videos[video.ID(r.PathValue("id"))]
	if v == nil || v.stage != video.Purged {
		refuse(w, 404, video.NotFound, "There is no receipt yet.")
		return
	}
	hidden := time.Date(2030, 2, 1, 0, 0, 0, 0, time.UTC)
	receipt := video.Receipt{VideoSHA256: v.id.Hash(), Reason: v.ending, HiddenAt: hidden, KeyDestroyedAt: hidden.Add(time.Second),
		Stores: []video.StoreReceipt{{Store: "primary", Removed: video.Counts{Objects: 2, Versions: 3}}}}
	if v.title == "found again" {
		receipt.Stores[0].FoundAfter.Multiparts = 1
	}
	json.NewEncoder(w).Encode(receipt)
}

// newest returns the hash of what arrived of the newest video, how much that is,
// and whether more is to come.
func (g *fakeGateway) newest() (sum string, n int, uploading bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.order) == 0 {
		return "", 0, false
	}
	v := g.videos[g.order[len(g.order)-1]]
	hash := sha256.Sum256(v.body)
	return hex.EncodeToString(hash[:]), len(v.body), v.stage == video.Uploading
}
