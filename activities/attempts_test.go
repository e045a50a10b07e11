package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/internal/vault/vaulttest"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// attempt is one run of an activity, known by its context. It can be held before one
// of its writes to catalog, stores or vault, as a process that was frozen there is:
// all its writes from then on wait. Then it goes on, or dies.
type attempt struct {
	context.Context
	holdAt int // counted from 1; 0: never
	end    context.CancelFunc

	mu      sync.Mutex
	writes  int
	dead    bool
	held    chan struct{} // closed when it is held
	release chan struct{}
	done    chan struct{} // closed when it has ended, with err
	err     error
}

type attemptKey struct{}

func newAttempt(ctx context.Context, holdAt int) *attempt {
	a := &attempt{holdAt: holdAt, held: make(chan struct{}), release: make(chan struct{}), done: make(chan struct{})}
	ctx, a.end = context.WithCancel(ctx)
	a.Context = context.WithValue(ctx, attemptKey{}, a)
	return a
}

func (a *attempt) run(work func(context.Context) error) {
	defer close(a.done)
	a.err = work(a)
}

// until waits until the attempt is held or has ended.
func (a *attempt) until() {
	select {
	case <-a.held:
	case <-a.done:
	}
}

// finish lets it go on to its end, or die where it is held.
func (a *attempt) finish(dies bool) error {
	a.mu.Lock()
	a.dead = dies
	a.mu.Unlock()
	if dies {
		a.end()
	}
	close(a.release)
	<-a.done
	return a.err
}

// beforeWrite holds the attempt to which a context belongs, if it has come to that.
func beforeWrite(ctx context.Context) error {
	a, ok := ctx.Value(attemptKey{}).(*attempt)
	if !ok {
		return nil
	}
	a.mu.Lock()
	a.writes++
	n := a.writes
	a.mu.Unlock()
	if a.holdAt == 0 || n < a.holdAt {
		return nil
	}
	if n == a.holdAt {
		close(a.held)
	}
	select {
	case <-a.release:
	case <-ctx.Done(): // its lease was taken
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.dead {
		return context.Canceled
	}
	return nil
}

type heldStore struct{ objects.Store }

func (s heldStore) Put(ctx context.Context, key string, body []byte, o objects.PutOptions) (string, error) {
	if err := beforeWrite(ctx); err != nil {
		return "", err
	}
	return s.Store.Put(ctx, key, body, o)
}

func (s heldStore) Delete(ctx context.Context, key, version string) error {
	if err := beforeWrite(ctx); err != nil {
		return err
	}
	return s.Store.Delete(ctx, key, version)
}

func (s heldStore) Purge(ctx context.Context, prefix string, watch objects.Watch) (objects.Removed, error) {
	if err := beforeWrite(ctx); err != nil {
		return objects.Removed{}, err
	}
	return s.Store.Purge(ctx, prefix, watch)
}

type heldVault struct{ vault.Vault }

func (v heldVault) Destroy(ctx context.Context, intent vault.Intent) (vault.Record, error) {
	if err := beforeWrite(ctx); err != nil {
		return vault.Record{}, err
	}
	return v.Vault.Destroy(ctx, intent)
}

// disturbed is a life in which a second attempt at an activity begins while the first
// is held. As for Temporal, the second one's answer counts; the first is a process
// that was thought dead.
type disturbed struct {
	*rig
	random  *rand.Rand
	writes  map[string]int // of each activity, when nothing disturbs it
	calm    bool           // no second attempts
	epoch   int64
	zombies []*attempt // first attempts that are still held
	story   []string
}

// how is one interleaving of two attempts.
type how struct {
	first, second int  // before which write each is held; 0: never
	late          bool // the first is let go only after later work
	dies          bool // the first never goes on
}

func (h how) String() string {
	s := fmt.Sprintf("first held before write %d, second before %d", h.first, h.second)
	if h.late {
		s += ", first goes on later"
	}
	if h.dies {
		s += ", first dies"
	}
	return s
}

func (d *disturbed) draw(name string) how {
	n := d.writes[name]
	h := how{first: 1 + d.random.IntN(max(1, n)), dies: d.random.IntN(4) == 0}
	if d.random.IntN(2) == 0 {
		h.second = 1 + d.random.IntN(max(1, n)) // the other way round
	} else {
		h.late = d.random.IntN(3) == 0
	}
	return h
}

// leg does a step of the life in a leg of its own.
func (d *disturbed) leg(name string, work func(context.Context, workflows.Leg) error) {
	d.t.Helper()
	d.epoch++
	d.step(name, work)
}

// step does a step of the life, with all that happens beside it.
func (d *disturbed) step(name string, work func(context.Context, workflows.Leg) error) {
	d.t.Helper()
	d.wake(d.random.IntN(3) == 0)
	leg := workflows.Leg{ID: d.id, Epoch: d.epoch}
	if d.calm {
		a := newAttempt(d.ctx, 0)
		a.run(func(ctx context.Context) error { return work(ctx, leg) })
		d.writes[name] = max(d.writes[name], a.writes)
		d.must(a.err)
		return
	}
	var err error
	if d.random.IntN(3) == 0 {
		err = work(d.ctx, leg)
	} else {
		h := d.draw(name)
		d.story = append(d.story, fmt.Sprintf("%s (epoch %d): %v", name, d.epoch, h))
		err = d.twoAttempts(h, func(ctx context.Context) error { return work(ctx, leg) })
	}
	d.insist(name, err, work)
}

func (d *disturbed) twoAttempts(h how, work func(context.Context) error) error {
	first, second := newAttempt(d.ctx, h.first), newAttempt(d.ctx, h.second)
	go first.run(work)
	first.until()
	go second.run(work)
	second.until()
	if h.late {
		d.zombies = append(d.zombies, first)
	} else {
		first.finish(h.dies)
	}
	return second.finish(false)
}

// insist is what the workflow does about a failure. None may say that the video has
// come to its end, or was never there.
func (d *disturbed) insist(name string, err error, work func(context.Context, workflows.Leg) error) {
	d.t.Helper()
	for try := 0; err != nil; try++ {
		d.story = append(d.story, fmt.Sprintf("%s: %v", name, err))
		if try == 5 || video.CodeOf(err).Permanent() && !is(err, video.Conflict) {
			d.t.Fatalf("%s has failed: %v\n%s", name, err, strings.Join(d.story, "\n"))
		}
		if is(err, video.Conflict) { // a later leg, as after a fence
			d.epoch++
			if v, look := d.Catalog.Video(d.ctx, d.id); look == nil && v.Ending != "" {
				_, tell := d.Control(d.ctx, workflows.ControlInput{Leg: workflows.Leg{ID: d.id, Epoch: d.epoch}, State: video.State{Stage: v.Stage, Ending: v.Ending}})
				d.must(tell)
			}
		}
		if name == "CloseReceipt" {
			d.purge(d.ctx)
		}
		err = work(d.ctx, workflows.Leg{ID: d.id, Epoch: d.epoch})
	}
}

// wake lets the first attempts go on that were to do so later.
func (d *disturbed) wake(now bool) {
	if !now {
		return
	}
	for _, z := range d.zombies {
		z.finish(d.random.IntN(4) == 0)
	}
	d.zombies = nil
}

func (d *disturbed) purge(ctx context.Context) {
	for _, store := range d.Stores.All() {
		d.must(d.PurgeReplica(ctx, workflows.StoreInput{Leg: workflows.Leg{ID: d.id, Epoch: d.epoch}, Store: store.Name()}))
	}
}

// made takes the life to its publication.
func (d *disturbed) made(file []byte) {
	d.t.Helper()
	if d.random.IntN(2) == 0 {
		d.importing(-1).file = file
		d.leg("Import", func(ctx context.Context, leg workflows.Leg) error { _, err := d.Import(ctx, leg); return err })
	} else {
		d.uploaded(file, len(file)/5)
	}
	d.leg("CopyAhead", func(ctx context.Context, leg workflows.Leg) error {
		return d.CopyAhead(ctx, workflows.CopyInput{Leg: leg})
	})
	d.leg("SealUpload", func(ctx context.Context, leg workflows.Leg) error { _, err := d.SealUpload(ctx, leg); return err })
	d.step("MergeUpload", func(ctx context.Context, leg workflows.Leg) error { return d.MergeUpload(ctx, leg) })
	var plan video.Plan
	d.leg("Probe", func(ctx context.Context, leg workflows.Leg) error {
		probed, err := d.Probe(ctx, leg)
		if err == nil && ctx.Value(attemptKey{}) == nil {
			plan = probed.Plan
		}
		return err
	})
	v, err := d.Catalog.Video(d.ctx, d.id)
	d.must(err)
	plan, err = planIn(v)
	d.must(err)
	d.epoch++
	for n := range plan.Pieces {
		d.step("EncodePiece", func(ctx context.Context, leg workflows.Leg) error {
			_, err := d.EncodePiece(ctx, workflows.PieceInput{Leg: leg, Piece: n})
			return err
		})
	}
	d.step("EncodeAudio", func(ctx context.Context, leg workflows.Leg) error { _, err := d.EncodeAudio(ctx, leg); return err })
	d.leg("Package", func(ctx context.Context, leg workflows.Leg) error { _, err := d.Package(ctx, leg); return err })
	d.leg("CopyAhead of all", func(ctx context.Context, leg workflows.Leg) error {
		return d.CopyAhead(ctx, workflows.CopyInput{Leg: leg, Whole: true})
	})
	d.epoch++
	for _, store := range d.backups() {
		d.step("CopyReplica", func(ctx context.Context, leg workflows.Leg) error {
			return d.CopyReplica(ctx, workflows.StoreInput{Leg: leg, Store: store})
		})
	}
	d.leg("Publish", func(ctx context.Context, leg workflows.Leg) error {
		return d.Publish(ctx, workflows.PublishInput{Leg: leg, Backups: d.backups()})
	})
}

// hidden hides it, and checks that facts which count are where they count.
func (d *disturbed) hidden(at time.Time) {
	d.t.Helper()
	d.leg("Hide", func(ctx context.Context, leg workflows.Leg) error {
		_, err := d.Hide(ctx, workflows.HideInput{Leg: leg, HiddenAt: at})
		return err
	})
	for _, o := range d.stored(catalog.KindFacts) {
		store, err := d.Stores.ByName(o.Store)
		d.must(err)
		if !slices.Contains(d.factsIn(store), o.Key) {
			d.t.Errorf("%s lacks the facts %s", o.Store, o.Key)
		}
	}
}

// erased takes it to its receipt.
func (d *disturbed) erased(now time.Time) (video.Receipt, workflows.DestroyInput) {
	d.t.Helper()
	end := func(leg workflows.Leg) workflows.DestroyInput {
		return workflows.DestroyInput{Leg: leg, Reason: video.ByDeletion, HiddenAt: now}
	}
	d.step("DestroyKey", func(ctx context.Context, leg workflows.Leg) error { return d.DestroyKey(ctx, end(leg)) })
	for _, store := range d.Stores.All() {
		d.step("PurgeReplica", func(ctx context.Context, leg workflows.Leg) error {
			return d.PurgeReplica(ctx, workflows.StoreInput{Leg: leg, Store: store.Name()})
		})
	}
	var receipt video.Receipt
	var mu sync.Mutex
	d.step("CloseReceipt", func(ctx context.Context, leg workflows.Leg) error {
		r, err := d.closeReceipt(ctx, end(leg))
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			receipt = r
		}
		return err
	})
	return receipt, end(workflows.Leg{ID: d.id, Epoch: d.epoch})
}

// plays checks that what is published is all of the video, as a player gets it, and
// that every backup has the same.
func (d *disturbed) plays() {
	d.t.Helper()
	v, err := d.Catalog.Video(d.ctx, d.id)
	d.must(err)
	plan, _, err := findingsIn(v)
	d.must(err)
	var shown []video.Rendition
	d.must(json.Unmarshal(v.Renditions, &shown))
	if v.Stage != video.Published || len(shown) != len(plan.Ladder) || plan.Previews == nil {
		d.t.Errorf("published as %+v with %+v", v, plan)
	}
	primary, _, err := d.listed(d.ctx, d.id, d.Stores.Primary)
	d.must(err)
	d.must(plan.mustHaveAll(primary))
	if parts := ofKind(primary, catalog.KindPiece, catalog.KindAudio); len(parts) > 0 {
		d.t.Errorf("%d pieces are left", len(parts))
	}
	for _, r := range plan.Ladder {
		if frames := d.frames(ofKind(primary, catalog.KindSegment), r.Name); frames != plan.Info.Frames {
			d.t.Errorf("%s plays %d of %d frames", r.Name, frames, plan.Info.Frames)
		}
	}
	for _, backup := range d.Stores.Backups {
		copies, _, err := d.listed(d.ctx, d.id, backup)
		d.must(err)
		if n := len(lacking(primary, copies)); n > 0 || d.replica(backup.Name()).State != catalog.ReplicaComplete {
			d.t.Errorf("%s lacks %d objects: %+v", backup.Name(), n, d.replica(backup.Name()))
		}
	}
}

// frames decodes a rendition from its encrypted segments, one after the other.
func (d *disturbed) frames(segments []catalog.Object, rendition string) int {
	d.t.Helper()
	var stream []byte
	for i := range len(segments) {
		o, ok := find(segments, rendition, i)
		if !ok {
			break
		}
		sealed, err := d.get(d.ctx, d.Stores.Primary, o)
		d.must(err)
		d.must(d.withKey(d.ctx, d.id, func(k vault.Key) error {
			key, err := k.SegmentKey(rendition, i)
			d.must(err)
			stream = append(stream, vaulttest.DecryptSegment(d.t, key, [16]byte(o.IV), sealed)...)
			return nil
		}))
	}
	file := filepath.Join(d.t.TempDir(), "stream.ts")
	d.must(os.WriteFile(file, stream, 0o600))
	out, err := exec.Command(d.Media.FFprobe, "-v", "error", "-count_frames", "-select_streams", "v:0",
		"-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", file).Output()
	d.must(err)
	n, err := strconv.Atoi(strings.Trim(strings.SplitN(string(out), "\n", 2)[0], ", \r"))
	d.must(err)
	return n
}

// live leads a life from the first byte to the receipt, and checks what came of it.
func (d *disturbed) live(file []byte) {
	d.made(file)
	d.plays()
	now := time.Now().UTC().Truncate(time.Millisecond)
	d.hidden(now)
	before := d.inventory(d.Stores.Backups[0])
	counted := len(d.zombies) == 0 // else more may come
	receipt, end := d.erased(now)
	d.wake(true)
	for _, store := range d.Stores.All() {
		if left := d.inventory(store); !left.Empty() {
			d.t.Errorf("%s still has %+v", store.Name(), left)
		}
	}
	again, err := d.closeReceipt(d.ctx, end)
	if err != nil || fmt.Sprint(again) != fmt.Sprint(receipt) {
		d.t.Errorf("the receipt is %+v, then %+v, %v", receipt, again, err)
	}
	if receipt.VideoSHA256 != d.id.Hash() || receipt.Reason != video.ByDeletion || !receipt.HiddenAt.Equal(end.HiddenAt) || receipt.KeyDestroyedAt.IsZero() ||
		len(receipt.Stores) != 3 || slices.ContainsFunc(receipt.Stores, func(s video.StoreReceipt) bool { return !s.FoundAfter.Empty() || s.Removed.Objects == 0 }) {
		d.t.Errorf("receipt %+v", receipt)
	}
	if removed := receipt.Stores[1].Removed; counted && (removed.Objects != before.Objects || removed.Versions != before.Versions) {
		d.t.Errorf("the receipt counts %+v, the store had %+v", removed, before)
	}
	if _, err := d.Catalog.Video(d.ctx, d.id); !is(err, video.Gone) {
		d.t.Errorf("the video is still there: %v", err)
	}
	if _, err := d.Vault.Lend(d.ctx, d.id); !is(err, video.Gone) {
		d.t.Errorf("the key is still lent: %v", err)
	}
	if d.t.Failed() {
		d.t.Log(strings.Join(d.story, "\n"))
	}
}

func newDisturbed(t *testing.T, seed uint64, writes map[string]int) *disturbed {
	t.Helper()
	d := &disturbed{rig: newRig(t), random: rand.New(rand.NewPCG(seed, 1)), writes: writes}
	d.Vault = heldVault{d.Vault}
	d.Catalog.BeforeWrite = beforeWrite
	store := func(name string) objects.Store {
		if d.random.IntN(3) == 0 {
			return heldStore{objectstest.NewMemoryUnversioned(name)}
		}
		return heldStore{objectstest.NewMemory(name)}
	}
	d.Stores = objects.Set{Primary: store("primary"), Backups: []objects.Store{store("backup-a"), store("backup-b")}}
	return d
}

// Two attempts at every activity, each stopped before any of its writes while the
// other runs to its end or beyond, both ways round: what is published is whole, and
// what is erased is gone. With SOAK in two hundred lives, else in a tenth of them, and in
// one where time is short.
func TestTwoAttemptsAtOnce(t *testing.T) {
	t.Parallel()
	file := smallClip(t)
	writes := map[string]int{}
	for seed := range uint64(2) { // one of them imports
		quiet := newDisturbed(t, seed, writes)
		quiet.calm = true
		quiet.live(file)
	}
	for _, queue := range []string{video.ControlQueue, video.TransferQueue, video.MediaQueue} {
		for name := range (&Activities{}).of(queue) {
			if writes[name] == 0 && !slices.Contains([]string{"Control", "ReadControl", "CheckUpload", "Audit"}, name) {
				t.Errorf("%s was never seen to write: nothing disturbs it", name)
			}
		}
	}
	lives := 20
	switch {
	case os.Getenv("SOAK") != "":
		lives = 200
	case testing.Short():
		lives = 1
	}
	for seed := range uint64(lives) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			newDisturbed(t, seed, writes).live(file)
		})
	}
}

// A package is the work of one attempt: from when a later one has begun, whatever an
// earlier one still wants to write, drop or delete is refused, and what it has put by
// then is taken back. The later one finds all that it needs.
func TestOneAttemptPackages(t *testing.T) {
	t.Parallel()
	file := smallClip(t)
	pack := func(r *rig) func(context.Context) error {
		return func(ctx context.Context) error { _, err := r.Package(ctx, r.leg(4)); return err }
	}
	ready := func(t *testing.T) *disturbed {
		d := newDisturbed(t, 7, nil)
		d.uploaded(file, 100_000)
		_, err := d.Probe(d.ctx, d.rig.leg(2))
		d.must(err)
		d.encoded()
		return d
	}
	calm := newAttempt(t.Context(), 0)
	calm.run(pack(ready(t).rig))
	parts := 3                          // two pieces and the sound
	lastDrop := calm.writes - parts - 1 // before the rows of them go, and they themselves
	moments := []how{
		{first: lastDrop, second: calm.writes / 2}, {first: calm.writes / 2}, // the later one runs to its end first where it isn't held
		{first: 3}, {first: lastDrop}, {first: 3, second: 5}, {first: calm.writes / 2, second: 2}, {first: lastDrop, second: 2},
	}
	if testing.Short() {
		moments = moments[:2]
	}
	for _, h := range moments {
		t.Run(h.String(), func(t *testing.T) {
			t.Parallel()
			d := ready(t)
			first, second := newAttempt(d.ctx, h.first), newAttempt(d.ctx, h.second)
			go first.run(pack(d.rig))
			first.until()
			go second.run(pack(d.rig))
			second.until()
			if err := first.finish(false); !is(err, video.Conflict) {
				t.Errorf("the earlier attempt ends with %v", err)
			}
			d.must(second.finish(false))
			stored := d.primary(catalog.KindSource, catalog.KindSegment, catalog.KindPiece, catalog.KindAudio, catalog.KindPoster, catalog.KindPreview)
			if there := d.inventory(d.Stores.Primary); there.Objects != len(stored) {
				t.Errorf("the store has %+v, the manifest %d objects", there, len(stored))
			}
			if n := d.frames(d.primary(catalog.KindSegment), "64p"); n != d.found().Info.Frames {
				t.Errorf("%d of %d frames play", n, d.found().Info.Frames)
			}
		})
	}
}
