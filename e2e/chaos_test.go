package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// scale is how much chaos there is.
type scale struct {
	people  int
	largest int64         // bytes
	chaos   time.Duration // how long things break
	sending time.Duration // how long an upload would take without that
	settled time.Duration // until all is as it should be after that
}

var (
	brief = scale{people: 8, largest: 20_000_000, chaos: 12 * time.Second, sending: 5 * time.Second, settled: 3 * time.Minute}
	full  = scale{people: 50, largest: 287_000_000, chaos: 4 * time.Minute, sending: 90 * time.Second, settled: 6 * time.Minute}
)

// Many upload at once while gateways, workers, stores and the Temporal server die
// and come back, and while the networks between them are cut, slow and unreliable;
// some pause, some cancel. In the end every file is in all three stores, byte for
// byte, or was canceled and has left nothing. The seed chooses the database; a
// soak goes through both.
func TestChaos(t *testing.T) {
	t.Parallel()
	seed := seedOf()
	t.Logf("seed %d", seed)
	databases := []string{"SQLite", "PostgreSQL"}
	if soaking() {
		for _, database := range databases {
			t.Run(database, func(t *testing.T) { chaos(t, full, seed, database) })
		}
		return
	}
	database := databases[seed%2]
	t.Run(database, func(t *testing.T) { chaos(t, brief, seed, database) })
}

func chaos(t *testing.T, size scale, seed uint64, database string) {
	lines := map[string]*line{}
	options := withRaceDetector(t, stack.Options{
		Separate: true, Gateways: 2, Workers: 2, Reach: reachedBy(t, "primary", lines),
		Env: []string{"REELFLOW_MAX_OPEN_UPLOADS=0"},
	})
	var r *rig
	if database == "PostgreSQL" {
		r, _ = onPostgres(t, options)
	} else {
		r = start(t, options)
	}
	i := r.insider()
	for n := range 3 {
		lines[fmt.Sprint("gateway-", n)] = newLine(t, i.URLs[n%2])
	}
	people := i.crowd(size, seed, lines)

	breaking, calm := context.WithTimeout(i.ctx, size.chaos)
	defer calm()
	var chaos, crowd sync.WaitGroup
	chaos.Go(func() { i.breakPrograms(breaking, rand.New(rand.NewPCG(seed, 1))) })
	chaos.Go(func() { i.breakNetworks(breaking, rand.New(rand.NewPCG(seed, 2)), lines) })
	living, end := context.WithTimeout(i.ctx, size.chaos+size.settled)
	defer end()
	for _, p := range people {
		crowd.Go(func() { p.live(living) })
	}
	crowd.Wait()
	chaos.Wait() // for what comes after an upload has its share of it
	i.outcome(people, size.settled)
}

// breakPrograms kills or freezes one program after the other, and brings it back.
func (i *insider) breakPrograms(ctx context.Context, chance *rand.Rand) {
	victims := append(append([]*stack.Process{}, i.Gateways...), i.Workers...)
	for _, store := range []string{"primary", "backup-a", "backup-b", "temporal"} {
		victims = append(victims, i.Parts[store])
	}
	for ctx.Err() == nil {
		p := victims[chance.IntN(len(victims))]
		away := time.Duration(chance.IntN(1000)) * time.Millisecond
		var err error
		if chance.IntN(4) == 0 {
			err = p.Freeze()
			time.Sleep(2 * away)
			i.note(err, p.Thaw(), p.Name, "frozen", 2*away)
		} else {
			err = p.Kill()
			time.Sleep(away)
			i.note(err, p.Restart(i.ctx), p.Name, "killed", away)
		}
		pass(ctx, time.Duration(200+chance.IntN(800))*time.Millisecond)
	}
}

// breakNetworks makes one line bad for a while, and then another.
func (i *insider) breakNetworks(ctx context.Context, chance *rand.Rand, lines map[string]*line) {
	for ctx.Err() == nil {
		name := "primary"
		if chance.IntN(4) > 0 {
			name = fmt.Sprint("gateway-", chance.IntN(len(lines)-1))
		}
		l, while := lines[name], time.Duration(100+chance.IntN(900))*time.Millisecond
		switch what := chance.IntN(5); {
		case what == 0:
			l.slow(int64(64<<10 + chance.IntN(2<<20)))
			pass(ctx, while)
			l.slow(0)
		case what == 1:
			l.reset(while / 4)
			pass(ctx, while)
			l.clear("reset")
		case what == 2:
			l.late(while / 4)
			pass(ctx, while)
			l.clear("late")
		case what == 3 && name != "primary":
			l.lead(i.URLs[chance.IntN(len(i.URLs))])
		default:
			l.cut(while / 2)
		}
		pass(ctx, time.Duration(chance.IntN(400))*time.Millisecond)
	}
}

func (i *insider) note(harm, mended error, name, what string, long time.Duration) {
	i.t.Logf("%s was %s for %v", name, what, long)
	if harm != nil || mended != nil {
		i.t.Errorf("%s was %s and is not back: %v, %v", name, what, harm, mended)
	}
}

// pass waits, at most until ctx ends.
func pass(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// person is somebody who uploads one file.
type person struct {
	*insider
	client *client.Client
	name   string
	file   *synthetic
	pauses []float64 // at these parts of the file
	cancel float64   // at this part; above 1 for never
	rate   int64

	id       video.ID
	canceled bool
}

// crowd are people with files of all sizes, the first of nothing, the second of the largest.
func (i *insider) crowd(size scale, seed uint64, lines map[string]*line) []*person {
	i.t.Helper()
	chance := rand.New(rand.NewPCG(seed, 3))
	short, err := os.ReadFile(clip(i.t, 1, 64, false))
	i.must(err)
	smallest := int64(len(short) + 8)
	var people []*person
	for n := range size.people {
		bytes := int64(float64(smallest) * math.Pow(float64(size.largest)/float64(smallest), chance.Float64()))
		if n < 2 {
			bytes = []int64{0, size.largest}[n]
		}
		name := fmt.Sprint("person-", n)
		c := i.connect(lines[fmt.Sprint("gateway-", n%3)].url(), "dev:"+name)
		p := &person{insider: i, client: c, name: name, file: newSynthetic(short, bytes, uint64(n)), cancel: 2}
		p.rate = max(p.file.size/int64(size.sending.Seconds()), 10_000)
		switch fate := chance.IntN(10); {
		case n < 2: // one is refused, and the largest arrives
		case fate < 3:
			p.cancel = chance.Float64()
		case fate < 6:
			for range 1 + chance.IntN(3) {
				p.pauses = append(p.pauses, chance.Float64())
			}
		}
		people = append(people, p)
	}
	return people
}

// live is all that a person does.
func (p *person) live(ctx context.Context) {
	v, err := p.begin(ctx)
	switch {
	case p.file.size == 0 && video.CodeOf(err) == video.Invalid:
		return
	case err != nil || p.file.size == 0:
		p.t.Errorf("%s with %d bytes: %v", p.name, p.file.size, err)
		return
	}
	p.id = v.ID
	var sent sync.WaitGroup
	sending, stop := context.WithCancel(ctx)
	sent.Go(func() {
		u := &client.Upload{Client: p.client, URL: v.UploadURL(), File: p.file, Size: p.file.size, Rate: p.rate}
		// Whatever else is in the way passes; that it doesn't shows in the end.
		if err := u.Run(sending); err != nil && video.CodeOf(err) != video.Gone && ctx.Err() == nil {
			p.t.Errorf("%s with %d bytes: %v", p.name, p.file.size, err)
		}
	})
	p.interfere(ctx)
	sent.Wait()
	stop()
}

// begin makes the video once, however often it has to ask.
func (p *person) begin(ctx context.Context) (v client.Video, err error) {
	err = p.insist(ctx, func() error {
		wanted := map[string]any{"title": p.name, "source": map[string]any{"size": p.file.size, "sha256": p.file.sum()}}
		return p.client.Call(ctx, http.MethodPost, "/v1/videos", wanted, &v, "Idempotency-Key", p.name)
	})
	return v, err
}

// insist asks until there is an answer that will not be another one later.
func (p *person) insist(ctx context.Context, ask func() error) error {
	for {
		err := ask()
		if code := video.CodeOf(err); err == nil || ctx.Err() != nil || code != video.Unavailable && code != video.Internal {
			return err
		}
		pass(ctx, 200*time.Millisecond)
	}
}

// interfere pauses and cancels where that was planned, or as soon after as it is noticed.
func (p *person) interfere(ctx context.Context) {
	reached := func(part float64) bool {
		var v client.Video
		if p.insist(ctx, func() (err error) { v, err = p.client.Video(ctx, p.id); return err }) != nil {
			return true
		}
		return v.Upload == nil || float64(v.Upload.Offset) >= part*float64(p.file.size)
	}
	command := func(c video.Command) error {
		return p.insist(ctx, func() error {
			_, err := p.client.Command(ctx, p.id, c, video.CommandBody{})
			return err
		})
	}
	for _, part := range p.pauses {
		for !reached(part) && ctx.Err() == nil {
			pass(ctx, 100*time.Millisecond)
		}
		// Refused when it has been published before.
		if command(video.Pause) == nil {
			pass(ctx, 500*time.Millisecond)
			if err := command(video.Resume); err != nil && ctx.Err() == nil && video.CodeOf(err) != video.Conflict {
				p.t.Errorf("%s can't resume: %v", p.name, err)
			}
		}
	}
	if p.cancel > 1 {
		return
	}
	for !reached(p.cancel) && ctx.Err() == nil {
		pass(ctx, 100*time.Millisecond)
	}
	err := command(video.Cancel)
	p.canceled = err == nil || video.CodeOf(err) == video.Gone
	if !p.canceled && video.CodeOf(err) != video.Conflict {
		p.t.Errorf("%s can't cancel: %v", p.name, err)
	}
}

// outcome judges by what the stores hold.
func (i *insider) outcome(people []*person, atMost time.Duration) {
	i.t.Helper()
	kept := map[string]bool{}
	for _, p := range people {
		switch {
		case p.file.size == 0:
		case p.id == "":
			i.t.Errorf("%s has no video", p.name)
		case p.canceled:
			i.erased(p.id, atMost)
		default:
			i.stage(i.as(p.name), p.id, video.Published, atMost)
			i.rests(p.id, file{size: p.file.size, sha256: p.file.sum()}, i.stores...)
			kept[p.id.Prefix()] = true
		}
	}
	i.t.Logf("%d of %d were kept", len(kept), len(people))
	for _, store := range i.stores {
		_, err := store.Inventory(i.ctx, "v/", func(e objects.Entry) error {
			if id, _, _ := strings.Cut(strings.TrimPrefix(e.Key, "v/"), "/"); !kept[video.ID(id).Prefix()] {
				i.t.Errorf("%s has %s %s of no video", store.Name(), e.Kind, e.Key)
			}
			return nil
		})
		i.must(err)
	}
}

// synthetic is a file that needs no room: a real video with free space behind it,
// whose content is made when it is read.
type synthetic struct {
	begin []byte
	size  int64
	block [1 << 20]byte
	sum   func() string
}

func newSynthetic(short []byte, size int64, seed uint64) *synthetic {
	s := &synthetic{size: size}
	if padding := size - int64(len(short)); padding >= 8 {
		s.begin = append(append(s.begin, short...), 0, 0, 0, 0)
		binary.BigEndian.PutUint32(s.begin[len(short):], uint32(padding))
		s.begin = append(s.begin, "free"...)
	}
	chance := rand.New(rand.NewPCG(seed, 4))
	for n := 0; n < len(s.block); n += 8 {
		binary.NativeEndian.PutUint64(s.block[n:], chance.Uint64())
	}
	s.sum = sync.OnceValue(func() string {
		hash := sha256.New()
		io.Copy(hash, io.NewSectionReader(s, 0, s.size)) // neither side fails
		return hex.EncodeToString(hash.Sum(nil))
	})
	return s
}

// ReadAt repeats the block, each time turned by another byte.
func (s *synthetic) ReadAt(p []byte, at int64) (n int, err error) {
	for n < len(p) && at < s.size {
		if at < int64(len(s.begin)) {
			c := copy(p[n:], s.begin[at:])
			n, at = n+c, at+int64(c)
			continue
		}
		round, within := at/int64(len(s.block)), at%int64(len(s.block))
		c := copy(p[n:n+int(min(int64(len(p)-n), s.size-at))], s.block[within:])
		for k := range p[n : n+c] {
			p[n+k] ^= byte(round)
		}
		n, at = n+c, at+int64(c)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
