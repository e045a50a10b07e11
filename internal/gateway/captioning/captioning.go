// Package captioning keeps the captions of videos: what an author sends is written anew as
// plain WebVTT, sealed, and put into the primary store; then it is copied to the backups, and
// what it replaced is removed from all stores.
//
// An answer says that the captions lie in the primary store and count. The rest is a task
// that the catalog recorded in the same transaction: each gateway looks for tasks that are
// due, so that a gateway may die at any step, and a store that is down gets its copy once it
// is back. Before publication the workflow's own copies take captions along, too; both ask
// the manifest, so that neither does what the other has done. When the life of a video
// ends its tasks are left to the purge, which lists the stores.
package captioning

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/reelflow/reelflow/internal/captions"
	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

const (
	lookEvery = 5 * time.Second  // for tasks of gateways that have died
	claimTime = 2 * time.Minute  // in which no other gateway does the same
	retryWait = 15 * time.Second // before a store that failed is asked again
	storeTime = 30 * time.Second // for one object
	overWait  = 10 * time.Minute // before captions of a video that ends are looked at again
	tasksOnce = 20
)

// Keeper keeps captions. Make it with New; it needs Run for what is left to do after an
// answer. Its methods may be called from many goroutines.
type Keeper struct {
	catalog *catalog.Catalog
	stores  objects.Set
	writer  *manifest.Writer
	log     *slog.Logger
	due     chan struct{} // a task may be due now
	giveUp  time.Duration // how old a write is whose writer is taken for dead
}

// New makes a Keeper of its parts, which stay the caller's.
func New(c *catalog.Catalog, v vault.Vault, stores objects.Set, log *slog.Logger) *Keeper {
	return &Keeper{
		catalog: c, stores: stores, log: log, due: make(chan struct{}, 1), giveUp: catalog.CaptionWriteTime,
		writer: &manifest.Writer{Catalog: c, Vault: v, Primary: stores.Primary, Log: log},
	}
}

// Put makes file the captions of a video in a language, which must be a tag of
// captions.Language; isNew reports that there were none. It fails as captions.Clean and
// catalog.IntendCaption do, and with Unavailable.
func (k *Keeper) Put(ctx context.Context, id video.ID, language string, file []byte) (isNew bool, err error) {
	plain, err := captions.Clean(file)
	if err != nil {
		return false, err
	}
	ctx, done := context.WithTimeout(ctx, storeTime)
	defer done()
	replaced, err := k.writer.PutCaption(ctx, id, language, plain)
	if err != nil && ctx.Err() == context.DeadlineExceeded {
		err = video.Errorf(video.Unavailable, "The captions can't be stored at the moment. Please try again.").Because(err)
	}
	if err == nil {
		k.wake()
	}
	return !replaced, err
}

// Remove takes the captions in a language away. That there are none is no error. It fails as
// catalog.DropCaption does.
func (k *Keeper) Remove(ctx context.Context, id video.ID, language string) error {
	err := k.catalog.DropCaption(ctx, id, language)
	if err == nil {
		k.wake()
	}
	return err
}

func (k *Keeper) wake() {
	select {
	case k.due <- struct{}{}:
	default: // it is awake
	}
}

// Run does what is left to do after answers, of this gateway and of others, until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-k.due:
		}
		if err := k.settleDue(ctx); err != nil && ctx.Err() == nil {
			k.log.Warn("captions not copied or removed yet", "error", err)
		}
	}
}

// settleDue does the tasks that are due. A store that has failed is left alone for the rest.
func (k *Keeper) settleDue(ctx context.Context) error {
	tasks, err := k.catalog.ClaimCaptions(ctx, tasksOnce, claimTime)
	failed := map[string]bool{}
	for _, task := range tasks {
		err = errors.Join(err, k.settle(ctx, task, failed))
	}
	if len(tasks) == tasksOnce {
		k.wake()
	}
	return err
}

// settle does what is to be done about the captions of one video, and takes the task off the
// record if nothing is left.
func (k *Keeper) settle(ctx context.Context, task catalog.CaptionTask, failed map[string]bool) error {
	if err := k.catalog.AbandonCaptions(ctx, task.Video, time.Now().Add(-k.giveUp)); err != nil {
		return err
	}
	rows, err := k.catalog.Objects(ctx, task.Video, catalog.Filter{Kind: catalog.KindCaption})
	if isOver(err) {
		return nil // the task has gone with the video
	}
	if err != nil {
		return err
	}
	left, err := k.settlingOf(rows, failed).all(ctx)
	switch {
	case isOver(err): // it may be restored; else the task goes with the video
		return k.catalog.PutOffCaptions(ctx, task, overWait)
	case err != nil || left:
		return errors.Join(err, k.catalog.PutOffCaptions(ctx, task, retryWait))
	}
	return k.catalog.FinishCaptions(ctx, task)
}

// isOver reports that the life of the video is over, or ends: the purge sees to the rest.
func isOver(err error) bool {
	code := video.CodeOf(err)
	return err != nil && (code == video.Gone || code == video.NotFound)
}

// settling is the work on the captions of one video.
type settling struct {
	*Keeper
	rows   []catalog.Object
	counts map[string]bool // keys that are stored anywhere
	failed map[string]bool // stores, by name
}

func (k *Keeper) settlingOf(rows []catalog.Object, failed map[string]bool) settling {
	s := settling{Keeper: k, rows: rows, counts: map[string]bool{}, failed: failed}
	for _, o := range rows {
		s.counts[o.Key] = s.counts[o.Key] || o.State == catalog.ObjectStored
	}
	return s
}

// all does what can be done now. left reports that something else is to be done later.
func (s settling) all(ctx context.Context) (left bool, err error) {
	for _, o := range s.rows {
		if o.State == catalog.ObjectWriting {
			left = true // under way, or given up later
		}
		if o.State != catalog.ObjectDropping {
			continue
		}
		if done := s.try(ctx, o.Store, &err, func(ctx context.Context, store objects.Store) error { return s.remove(ctx, store, o) }); !done {
			left = true
		}
		if isOver(err) {
			return left, err
		}
	}
	for _, o := range s.rows {
		if o.State != catalog.ObjectStored || o.Store != s.stores.Primary.Name() {
			continue
		}
		for _, backup := range s.stores.Backups {
			if s.has(backup.Name(), o.Key) {
				continue
			}
			if done := s.try(ctx, backup.Name(), &err, func(ctx context.Context, store objects.Store) error { return s.copy(ctx, store, o) }); !done {
				left = true
			}
			if isOver(err) {
				return left, err
			}
		}
	}
	return left, err
}

func (s settling) has(store, key string) bool {
	for _, o := range s.rows {
		if o.Store == store && o.Key == key && o.State == catalog.ObjectStored {
			return true
		}
	}
	return false
}

// try works on one store, unless that has failed before, and adds what fails to errs.
func (s settling) try(ctx context.Context, name string, errs *error, work func(context.Context, objects.Store) error) (done bool) {
	if s.failed[name] {
		return false
	}
	store, err := s.stores.ByName(name)
	if err == nil {
		ctx, stop := context.WithTimeout(ctx, storeTime)
		err = work(ctx, store)
		stop()
	}
	if isOver(err) {
		*errs = err
		return false
	}
	if err != nil {
		if place := video.PlaceOf(err); place == "" || place == name { // else the fault is the original's
			s.failed[name] = true
		}
		*errs = errors.Join(*errs, err)
	}
	return err == nil
}

// remove deletes captions that don't count from their store, then their row. One whose key
// counts is a copy that was given up, under the key of what was copied since.
func (s settling) remove(ctx context.Context, store objects.Store, o catalog.Object) error {
	if !s.counts[o.Key] {
		if err := manifest.Remove(ctx, store, o, o.Version != ""); err != nil {
			return err
		}
	}
	return s.catalog.ForgetCaption(ctx, o)
}

// copy copies captions to a backup. Those that were replaced meanwhile have a later task.
func (s settling) copy(ctx context.Context, to objects.Store, o catalog.Object) error {
	body, err := s.read(ctx, o)
	if err != nil {
		return err
	}
	err = s.writer.CopyCaption(ctx, to, o, body)
	if video.CodeOf(err) == video.Conflict && err != nil {
		return nil
	}
	return err
}

// read reads captions as they lie in the primary store. They may have been replaced since
// they were listed; else something is wrong with the store.
func (s settling) read(ctx context.Context, o catalog.Object) ([]byte, error) {
	wrong := video.Errorf(video.Unavailable, "Captions can't be read from the store %q.", o.Store).At(o.Store)
	body, err := s.stores.Primary.Get(ctx, o.Key, o.Version, 0, o.Size)
	if err != nil {
		return nil, wrong.Because(err)
	}
	defer body.Close()
	sealed := make([]byte, o.Size)
	if _, err = io.ReadFull(body, sealed); err != nil {
		return nil, wrong.Because(err)
	}
	if sum := sha256.Sum256(sealed); string(sum[:]) != string(o.SHA256) {
		return nil, wrong
	}
	return sealed, nil
}
