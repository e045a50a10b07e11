package facts

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// Run is what Temporal knows of a video's workflow.
type Run struct {
	Known bool        // there is one, open or closed
	Open  bool        // it goes on
	Stage video.Stage // as it shows it; empty where it shows none
	// Completed: it has come to its end, which is a receipt.
	Completed bool
}

// Outcome is what became of a video.
type Outcome string

// The outcomes.
const (
	Made         Outcome = "made"          // its rows were made
	There        Outcome = "there"         // its rows were there
	Erased       Outcome = "erased"        // the ledger has it: it is never made again
	Unpublished  Outcome = "unpublished"   // its run goes on, and is not in a stage that facts tell of
	WithoutFacts Outcome = "without_facts" // a store has something of it, and none has facts
	Failed       Outcome = "failed"        // its facts can't be read, or contradict what else is known
)

// Result is what became of a video, and in words what somebody should know: of one that
// was made, too, when not all of it was found. It is empty where all is well.
type Result struct {
	ID      video.ID
	Outcome Outcome
	Notes   []string
}

// Rebuilder makes the rows of published videos from what the stores, the ledger and
// Temporal have. All fields must be set.
type Rebuilder struct {
	Catalog *catalog.Catalog
	Vault   vault.Vault
	Stores  objects.Set
	// Runs asks Temporal for the run of a video.
	Runs func(context.Context, video.ID) (Run, error)
	// DryRun writes nothing; the outcomes are those that there would be.
	DryRun bool
	// Tell is called for each video, in the order of their ids, by one goroutine.
	Tell func(Result)
}

// atOnce is how many videos are looked at side by side.
const atOnce = 8

// letters are those with which ids can begin, in order. What begins with one is dealt with
// before the next is listed, so that memory holds a part of the ids.
const letters = "234567abcdefghijklmnopqrstuvwxyz"

// Run goes through all videos of which a store has something. It fails with Unavailable when
// a store, the catalog, the vault or Temporal can't be asked: nothing is concluded from
// that. What was made stays, and calling it again goes on; any number of calls may run
// at once. What is wrong with one video keeps it from no other.
func (r *Rebuilder) Run(ctx context.Context) error {
	for _, letter := range letters {
		found, err := r.find(ctx, "v/"+string(letter))
		if err != nil {
			return err
		}
		for ids := range slices.Chunk(slices.Sorted(maps.Keys(found)), 10*atOnce) {
			if err := r.rebuildAll(ctx, ids, found); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Rebuilder) rebuildAll(ctx context.Context, ids []video.ID, found map[video.ID][]copyOf) error {
	results := make([]Result, len(ids))
	group, each := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, id := range ids {
		group.Go(func() (err error) {
			results[i], err = r.rebuild(each, id, found[id])
			return err
		})
	}
	err := group.Wait()
	for _, result := range results {
		if result.Outcome != "" {
			r.Tell(result)
		}
	}
	return err
}

// rebuild makes the rows of one video, if it may.
func (r *Rebuilder) rebuild(ctx context.Context, id video.ID, found []copyOf) (Result, error) {
	result := Result{ID: id}
	_, err := r.Catalog.ControlOf(ctx, id)
	switch {
	case err == nil:
		result.Outcome = There
		return result, nil
	case video.CodeOf(err) == video.Gone:
		result.Outcome = Erased
		return result, nil
	case video.CodeOf(err) != video.NotFound:
		return result, err
	}
	result.Outcome, err = r.erased(ctx, id)
	if err == nil && result.Outcome == "" {
		result.Outcome, err = r.make(ctx, id, found, &result)
	}
	if err != nil && video.CodeOf(err) == video.Internal && ctx.Err() == nil {
		result.Notes = append(result.Notes, detailOf(err))
		result.Outcome, err = Failed, nil
	}
	return result, err
}

// erased asks the ledger: the vault's, and its copies in the stores. A store that knows of an
// erasure which the vault doesn't shows that the vault is an older one.
func (r *Rebuilder) erased(ctx context.Context, id video.ID) (Outcome, error) {
	_, known, err := r.Vault.Ledger(ctx, id.Hash())
	if err != nil {
		return "", err
	}
	if known {
		return Erased, nil
	}
	for _, store := range r.Stores.All() {
		_, err := store.Stat(ctx, id.LedgerKey(), "")
		switch {
		case err == nil:
			return "", video.Errorf(video.Internal, "The store %q has the record of its erasure, and the key vault has not: the vault is older than the stores.", store.Name())
		case video.CodeOf(err) != video.NotFound:
			return "", err
		}
	}
	return "", nil
}

func (r *Rebuilder) make(ctx context.Context, id video.ID, found []copyOf, result *Result) (Outcome, error) {
	run, err := r.Runs(ctx, id)
	if err != nil {
		return "", err
	}
	if run.Open && (run.Stage == "" || !shows(run.Stage)) {
		result.Notes = append(result.Notes, "its workflow says that it is "+string(run.Stage))
		return Unpublished, nil
	}
	if run.Known && !run.Open && !run.Completed && !shows(run.Stage) {
		return "", video.Errorf(video.Internal, "Its workflow was ended in Temporal while it was %s: somebody must decide.", run.Stage)
	}
	if len(found) == 0 {
		if run.Open {
			result.Notes = append(result.Notes, "its workflow says that it is "+string(run.Stage))
		}
		return WithoutFacts, nil
	}
	f, from, err := r.newest(ctx, id, found, run, result)
	if err != nil {
		return "", err
	}
	if run.Known && !run.Open && run.Completed {
		return "", video.Errorf(video.Internal, "Its workflow has come to its end, and the ledger has no record of that.")
	}
	f.follow(run)
	rows := f.rows()
	if err := r.locate(ctx, &rows, from, result); err != nil {
		return "", err
	}
	if r.DryRun {
		return Made, nil
	}
	made, err := r.Catalog.CreateRebuilt(ctx, rows)
	switch {
	case video.CodeOf(err) == video.Gone && err != nil:
		return Erased, nil
	case err != nil:
		return "", ofOneVideo(err)
	case !made:
		return There, nil
	}
	return Made, nil
}

// shows reports whether what Temporal shows of a run is a stage that facts tell of, or nothing.
func shows(stage video.Stage) bool {
	return stage == "" || stage == video.Published || stage == video.PendingDeletion
}

// detailOf is what somebody may be told of an error.
func detailOf(err error) string {
	if known, ok := errors.AsType[*video.Error](err); ok {
		return known.Detail
	}
	return "it could not be read"
}

// ofOneVideo turns a refusal of the catalog into what Run reports of one video.
func ofOneVideo(err error) error {
	if video.CodeOf(err) == video.Unavailable {
		return err
	}
	return video.Errorf(video.Internal, "The catalog refuses its rows.").Because(err)
}

// follow takes over from the run whether the video was deleted: it knows, whatever the facts
// could still be told. Facts that say so count where the run doesn't, for that can only be
// a run that was restored with an older Temporal.
func (f *Facts) follow(run Run) {
	if f.Stage == video.PendingDeletion || run.Stage != video.PendingDeletion || !run.Known {
		return
	}
	f.Stage = video.PendingDeletion
	if f.HiddenAt.IsZero() {
		f.HiddenAt = time.Now() // nobody knows it better; the run knows when the grace ends
	}
}

// copyOf is an object with facts, in one store.
type copyOf struct {
	store      objects.Store
	key        string
	generation int64
}

// find lists what the stores have below a prefix: every video, with the facts of it.
func (r *Rebuilder) find(ctx context.Context, prefix string) (map[video.ID][]copyOf, error) {
	found := map[video.ID][]copyOf{}
	for _, store := range r.Stores.All() {
		_, err := store.Inventory(ctx, prefix, func(e objects.Entry) error {
			name, _, _ := strings.Cut(strings.TrimPrefix(e.Key, "v/"), "/")
			id, err := video.ParseID(name)
			if err != nil {
				return nil // not of a video
			}
			if _, known := found[id]; !known {
				found[id] = nil
			}
			if generation, ok := generationIn(e.Key, id); ok && e.Kind == objects.Object {
				found[id] = append(found[id], copyOf{store, e.Key, generation})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
