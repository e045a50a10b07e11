package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/reelflow/reelflow/internal/receipts"
	"github.com/reelflow/reelflow/video"
)

// fakeGateway is as much of a gateway as the command line talks to. Who sees a video and
// what can be asked of it, the tables of package video decide. The scripts of testdata
// pass against the real gateway, too; those of testdata/fake ask by the title of a video
// for what a real one doesn't do when it is asked.
type fakeGateway struct {
	mu       sync.Mutex
	videos   map[video.ID]*fakeVideo
	requests map[string]video.ID // by Idempotency-Key
	order    []video.ID
	streams  int // of events that were begun
	signer   receipts.Key
}

type fakeVideo struct {
	video.State
	id      video.ID
	owner   string
	title   string
	reviews bool
	names   []string // of its reviewers
	waits   bool     // for its time
	body    []byte
	size    int64
	tries   int // PATCHes so far
	failure *video.Rejection
}

func newFakeGateway() *fakeGateway {
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	return &fakeGateway{
		videos: map[video.ID]*fakeVideo{}, requests: map[string]video.ID{},
		signer: receipts.Key{ID: "fake", Public: private.Public().(ed25519.PublicKey), Private: private},
	}
}

func (g *fakeGateway) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/videos", g.create)
	mux.HandleFunc("HEAD /v1/uploads/{id}", g.head)
	mux.HandleFunc("PATCH /v1/uploads/{id}", g.patch)
	mux.HandleFunc("GET /v1/videos/{id}", g.with(func(w http.ResponseWriter, r *http.Request, v *fakeVideo) { g.answer(w, r, 200, v) }))
	mux.HandleFunc("GET /v1/videos/{id}/events", g.events)
	mux.HandleFunc("POST /v1/videos/{id}/{command}", g.with(g.command))
	mux.HandleFunc("DELETE /v1/videos/{id}", g.with(func(w http.ResponseWriter, r *http.Request, v *fakeVideo) {
		v.Stage, v.Ending = video.Purged, video.ByDeletion
		g.answer(w, r, 202, v)
	}))
	mux.HandleFunc("GET /v1/me/videos", g.list)
	mux.HandleFunc("GET /v1/receipts/{id}", g.receipt)
	mux.HandleFunc("GET /v1/receipts/key", g.receiptKeys)
	for _, address := range []string{"/v1/videos/{id}/playback", "/watch/{id}", "/embed/{id}", "/play/{id}/x/master.m3u8", "/media/{id}/720p/x.ts"} {
		mux.HandleFunc("GET "+address, g.with(func(w http.ResponseWriter, r *http.Request, v *fakeVideo) { g.answer(w, r, 200, v) }))
	}
	return mux
}

func refuse(w http.ResponseWriter, status int, code video.Code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"status": status, "code": code, "detail": detail})
}

func refuseWith(w http.ResponseWriter, err error) {
	e, ok := errors.AsType[*video.Error](err)
	if !ok {
		e = video.Errorf(video.Invalid, "%v", err)
	}
	refuse(w, map[video.Code]int{video.NotFound: 404, video.Gone: 410, video.Forbidden: 403, video.Conflict: 409, video.Invalid: 400}[e.Code], e.Code, e.Detail)
}

func (g *fakeGateway) create(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var n struct {
		Title     string
		Review    bool
		Reviewers []string
		PublishAt *time.Time `json:"publish_at"`
		Source    struct {
			Size *int64
			URL  string
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
		refuse(w, 400, video.Invalid, err.Error())
		return
	}
	switch {
	case callerOf(r) == "":
		refuse(w, 401, video.Unauthenticated, "Sign in with a token such as dev:me.")
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
		refuse(w, 413, video.TooLarge, fmt.Sprintf("The file has %d bytes; at most 1000000 bytes (1.0 MB) are allowed.", *n.Source.Size))
		return
	}
	key := r.Header.Get("Idempotency-Key")
	id, again := g.requests[key]
	if !again {
		id = video.NewID()
		g.requests[key] = id
		g.order = append(g.order, id)
		v := &fakeVideo{id: id, owner: callerOf(r), title: n.Title, reviews: n.Review || len(n.Reviewers) > 0, names: n.Reviewers, waits: n.PublishAt != nil, size: *n.Source.Size}
		v.Stage = video.Uploading
		if n.Source.URL != "" { // fetched in no time
			v.Stage = video.Published
		}
		g.videos[id] = v
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
		if v == nil {
			v = &fakeVideo{State: video.State{Stage: video.Uploading}}
		}
		if err := v.facts(r).Access().Sees; err != nil {
			if v.Stage == video.Purged { // found in the ledger: there is no row
				err = video.Errorf(video.Gone, "This video has been erased.")
			}
			refuseWith(w, err)
			return
		}
		f(w, r, v)
	}
}

func (g *fakeGateway) answer(w http.ResponseWriter, r *http.Request, status int, v *fakeVideo) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v.document(r))
}

// callerOf is the name in a token, or empty.
func callerOf(r *http.Request) string {
	name, known := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer dev:")
	if !known {
		return ""
	}
	return name
}

// facts are all that decides what a caller may see and ask for.
func (v *fakeVideo) facts(r *http.Request) video.Facts {
	f := video.Facts{State: v.State, Visibility: video.Public}
	caller := callerOf(r)
	if caller != "" && caller == v.owner {
		f.Roles = append(f.Roles, video.Owner)
	}
	if caller == "admin" {
		f.Roles = append(f.Roles, video.Operator)
	}
	if slices.Contains(v.names, caller) {
		f.Roles = append(f.Roles, video.Reviewer)
	}
	f.Decided = slices.ContainsFunc(v.Done, func(c video.Command) bool { return c == video.Approve || c == video.Reject })
	return f
}

func (v *fakeVideo) document(r *http.Request) video.Video {
	base := "http://" + r.Host
	return video.Video{
		ID: v.id, Owner: v.owner, Title: v.title, Stage: v.Stage, Paused: v.Paused, Held: v.Held, Ending: orNull(v.Ending), Failure: v.failure,
		CreatedAt: new(time.Date(2030, 1, 31, 18, 0, 0, 0, time.UTC)), Warnings: []string{}, PurgeAt: v.purgeAt(),
		Actions:  v.Actions(v.facts(r).Roles...),
		Progress: &video.Progress{Stage: v.Stage, Done: int64(len(v.body)), Total: v.size, Unit: "bytes"},
		Upload: &video.Upload{URL: new(base + "/v1/uploads/" + string(v.id)), Offset: int64(len(v.body)), Length: &v.size,
			ExpiresAt: new(time.Date(2030, 2, 1, 18, 0, 0, 0, time.UTC))},
		Replicas: []video.Replica{{Store: "primary", State: "complete", Objects: 1, Bytes: int64(len(v.body))}},
		Links:    video.Links{Watch: base + "/watch/" + string(v.id)},
	}
}

func orNull(e video.Ending) *video.Ending {
	if e == "" {
		return nil
	}
	return &e
}

func (v *fakeVideo) purgeAt() *time.Time {
	if v.Stage == video.Draft || v.Stage == video.Canceled {
		return new(time.Date(2030, 2, 7, 18, 0, 0, 0, time.UTC))
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
	if status == http.StatusOK { // a captive portal
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html>Please accept our terms.</html>")
		return
	}
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
		if complete && v.Stage == video.Uploading {
			v.Stage = video.Processing
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
	case v.Paused, v.Stage == video.Draft:
		return 423
	case v.Stage != video.Uploading:
		return 410
	}
	return 0
}

// admit returns 0 for a PATCH that may come in.
func (g *fakeGateway) admit(r *http.Request) (*fakeVideo, int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.videos[video.ID(r.PathValue("id"))]
	if v != nil && v.Stage == video.Draft {
		return nil, 423
	}
	if v == nil || v.Stage != video.Uploading {
		return nil, 410
	}
	v.tries++
	switch {
	case v.title == "portal" && v.tries == 1:
		return nil, 200
	case v.title == "busy" && v.tries == 1:
		return nil, 503
	case v.title == "held elsewhere" && v.tries == 1:
		return nil, 409
	case v.title == "paused for a while" && v.tries <= 3:
		v.Paused = v.tries < 3 // until then
		return nil, 423
	case v.Paused:
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
		if v.Stage == video.Purged {
			g.mu.Unlock()
			fmt.Fprint(w, "event: gone\ndata: {}\n\n")
			return
		}
		document, _ := json.Marshal(v.document(r))
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
	switch {
	case v.Stage == video.Scheduled && !v.waits:
		v.Stage = video.Published
	case v.Stage != video.Processing:
	case strings.HasPrefix(http.DetectContentType(v.body), "text/"):
		v.Stage, v.Ending = video.Rejected, video.ByRejection
		v.failure = &video.Rejection{Code: "not_a_video", Message: "This is not a video."}
	case v.reviews:
		v.Stage = video.Reviewing
	case v.waits:
		v.Stage = video.Scheduled
	default:
		v.Stage = video.Published
	}
}

func (g *fakeGateway) command(w http.ResponseWriter, r *http.Request, v *fakeVideo) {
	command, err := video.ParseCommand(r.PathValue("command"))
	if err == nil {
		err = v.allowed(command, v.facts(r).Roles)
	}
	var request video.CommandBody
	if err == nil {
		err = json.NewDecoder(r.Body).Decode(&request)
	}
	switch {
	case err != nil:
		refuseWith(w, err)
		return
	case command == video.Cancel && v.title == "stuck":
		g.answer(w, r, 202, v) // on record, and its workflow can't answer
		return
	case !v.Repeats(command):
		v.obey(command, request)
	}
	g.answer(w, r, 200, v)
}

// allowed decides as the gateway does: by the one table.
func (v *fakeVideo) allowed(c video.Command, roles []video.Role) error {
	err := v.Check(c)
	theirs := slices.ContainsFunc(video.Stages, func(stage video.Stage) bool { return video.State{Stage: stage}.Permits(c, roles...) })
	if v.Permits(c, roles...) || theirs && err != nil {
		return err
	}
	return video.Errorf(video.Forbidden, "You may not ask for %q of this video.", string(c))
}

// obey is what a command does that the table allows.
func (v *fakeVideo) obey(command video.Command, request video.CommandBody) {
	switch command {
	case video.Pause, video.Resume:
		v.Paused = command == video.Pause
		if v.Stage == video.Draft {
			v.Stage = video.Uploading
		}
	case video.Cancel:
		v.Stage, v.Ending = video.Canceled, video.ByCancellation
		if request.KeepDraft {
			v.Stage, v.Ending = video.Draft, ""
		} else if v.title == "no grace" {
			v.Stage = video.Purged
		}
	case video.Restore:
		v.Stage, v.Ending, v.Done = video.Uploading, "", append(v.Done, command)
	case video.Approve:
		v.Stage, v.Done = video.Scheduled, append(v.Done, command)
	case video.Publish:
		v.Stage, v.Done = video.Published, append(v.Done, command)
	case video.Hold, video.Release:
		v.Held = command == video.Hold
	case video.Reject:
		v.Stage, v.Ending, v.Done = video.Rejected, video.ByRejection, append(v.Done, command)
		v.failure = &video.Rejection{Code: "reviewer", Message: "A reviewer has rejected it.", Comment: request.Comment}
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
		if v.Stage == video.Purged || v.owner != callerOf(r) || stage != "" && string(v.Stage) != stage {
			continue
		}
		if len(page) == 1 {
			next = strconv.Itoa(len(g.order) - 1 - i)
			break
		}
		page = append(page, v.document(r))
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"videos": page, "next_cursor": next})
}

func (g *fakeGateway) receipt(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.videos[video.ID(r.PathValue("id"))]
	if v == nil || v.Stage != video.Purged {
		refuse(w, 404, video.NotFound, "There is no receipt yet.")
		return
	}
	hidden := time.Date(2030, 2, 1, 0, 0, 0, 0, time.UTC)
	receipt := video.Receipt{VideoSHA256: v.id.Hash(), Reason: v.Ending, HiddenAt: hidden, KeyDestroyedAt: hidden.Add(time.Second),
		Stores: []video.StoreReceipt{{Store: "primary", Removed: video.Counts{Objects: 2, Versions: 3}}}}
	if v.title == "found again" {
		receipt.Stores[0].FoundAfter.Multiparts = 1
	}
	receipt, err := receipts.Sign(receipt, g.signer)
	if err != nil {
		panic(err)
	}
	if v.title == "changed" {
		receipt.Stores[0].Removed.Objects++
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(receipt)
}

func (g *fakeGateway) receiptKeys(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(receipts.NewJWKSet([]receipts.Key{g.signer}))
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
	return hex.EncodeToString(hash[:]), len(v.body), v.Stage == video.Uploading
}
