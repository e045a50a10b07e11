package activities

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// tree is a part of a store that the audit looks into: its root, and the characters,
// in the order of their bytes, of the names right below it.
type tree struct{ root, letters string }

var (
	videosTree  = tree{"v/", "234567abcdefghijklmnopqrstuvwxyz"}
	ledgersTree = tree{"ledger/v/", "0123456789abcdef"}
)

// checkLedgers compares the records of erasures that lie in the stores with the
// vault's. One that the vault lacks shows that the vault was restored from a backup:
// keys that were destroyed are there again, and nothing may go by it.
func (a *audit) checkLedgers(ctx context.Context) error {
	return a.eachStore(ctx, ledgersTree, func(store objects.Store, names []string) error {
		for _, name := range names {
			if err := a.checkRecord(ctx, store.Name(), name); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *audit) checkRecord(ctx context.Context, store, name string) error {
	hash, isRecord := strings.CutSuffix(name, ".json")
	if !isRecord || len(hash) != 64 || strings.Trim(hash, ledgersTree.letters) != "" {
		return nil // not one of ours
	}
	_, known, err := a.Vault.Ledger(ctx, hash)
	if err != nil || known {
		return err
	}
	err = video.Errorf(video.Internal, "The store %q has the record of an erasure that the key vault lacks: the vault is older than the stores. "+
		"Nothing is audited until the right vault is back; only if that is lost for good: starter adopt vault.", store)
	a.Log.Error("the audit stops", "why", err.Error(), "record", hash)
	return err
}

// lookIntoStores erases once more what stores hold of erased videos: what a writer
// that was frozen has put there late, and what a store restored from a backup brings
// back. What nobody knows may be the catalog's fault, and is left.
func (a *audit) lookIntoStores(ctx context.Context) error {
	return a.eachStore(ctx, videosTree, func(store objects.Store, names []string) error {
		return a.compare(ctx, store, names)
	})
}

// compare decides what becomes of the prefixes that a store's listing shows.
func (a *audit) compare(ctx context.Context, store objects.Store, names []string) error {
	var ids []video.ID
	strange := 0
	for _, name := range names {
		if id, err := video.ParseID(name); err == nil {
			ids = append(ids, id)
		} else {
			strange++
		}
	}
	rows, err := a.Catalog.AuditedOf(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, there := rows[id]; there {
			continue // its own life sees to it
		}
		record, erased, err := a.Vault.Ledger(ctx, id.Hash())
		switch {
		case err != nil:
			return err
		case !erased:
			strange++
		case !record.KeyDestroyedAt.IsZero():
			if err := a.eraseAgain(ctx, store, id, record); err != nil {
				return err
			}
		}
	}
	if strange > 0 {
		a.Report.UnknownObjects += strange
		a.Log.Error("a store holds what neither catalog nor ledger knows; it is left alone", "store", store.Name(), "prefixes", strange)
	}
	return nil
}

// eraseAgain purges what came back of an erased video, and records that it was there
// before it is removed. The store may have lost its copy of the ledger's record, too.
func (a *audit) eraseAgain(ctx context.Context, store objects.Store, id video.ID, record vault.Record) error {
	a.Log.Warn("a store holds something of an erased video; it is erased again", "store", store.Name(), "video", id)
	books := a.Catalog.SeenAgain(ctx, record.VideoSHA256, store.Name())
	if books != nil {
		return books
	}
	err := a.erase(ctx, record, id, store, objects.Watch{Found: func(found objects.Inventory) error {
		if found.Empty() {
			books = a.Catalog.ErasedAgain(ctx, record.VideoSHA256, store.Name())
		} else {
			books = a.Catalog.Reappeared(ctx, record.VideoSHA256, store.Name(), counts(found))
		}
		return books
	}})
	if books != nil {
		return books
	}
	if e, ok := errors.AsType[*video.Error](err); ok && e.Reason != "" && e.Reason != video.ReasonThrottled {
		return a.failed(id, video.Errorf(video.Internal, "What came back can't be erased.").Because(err)) // nor tomorrow, perhaps: the rest of the store is looked at
	}
	if err != nil {
		return &storeFailed{err}
	}
	a.Report.Erased++
	return nil
}

// eachStore goes through a stretch of a tree in each store. One that is down doesn't
// keep the audit from the others.
func (a *audit) eachStore(ctx context.Context, t tree, visit func(objects.Store, []string) error) error {
	stores := a.Stores.All()
	// An attempt that died had gone through those up to this one; -1 for none.
	last := slices.IndexFunc(stores, func(s objects.Store) bool { return s.Name() == a.Place })
	for _, store := range stores[last+1:] {
		err := a.walk(ctx, store, t, visit)
		if _, down := errors.AsType[*storeFailed](err); down && ctx.Err() == nil {
			a.Log.Warn("the audit can't look into a store", "store", store.Name(), "error", err)
			if !slices.Contains(a.Report.Unreachable, store.Name()) {
				a.Report.Unreachable = append(a.Report.Unreachable, store.Name())
			}
		} else if err != nil {
			return err
		}
		a.Place = store.Name()
		a.reached()
	}
	return nil
}

// storeFailed is an error of a store, as against one of the catalog or the vault.
type storeFailed struct{ cause error }

func (e *storeFailed) Error() string { return e.cause.Error() }
func (e *storeFailed) Unwrap() error { return e.cause }

// walk goes through a tree from where the last audit stopped, to its end or until it
// has done enough.
func (a *audit) walk(ctx context.Context, store objects.Store, t tree, visit func(objects.Store, []string) error) error {
	kept, err := a.Catalog.AuditProgress(ctx, t.root+store.Name())
	if err != nil {
		return err
	}
	if kept.Place == "" {
		kept.Through = time.Now() // when this walk began, in however many audits it ends
	}
	w := &stretch{audit: a, tree: t, store: store, kept: kept, saved: kept.Place, left: a.entries, end: time.Now().Add(a.time), visit: visit}
	switch err := w.under(ctx, t.root); {
	case errors.Is(err, errEnough):
		return w.keep(ctx)
	case err != nil:
		return err
	}
	if t == videosTree && !w.kept.Through.IsZero() {
		if err := a.Catalog.NotSeenSince(ctx, store.Name(), w.kept.Through); err != nil {
			return err
		}
	}
	w.kept.Place = "" // the next begins anew
	return w.keep(ctx)
}

// stretch is one walk through a tree. A listing can't be resumed in its middle, so
// one that is too long is divided by the next character of the names.
type stretch struct {
	*audit
	tree
	store objects.Store
	kept  catalog.AuditProgress // its place is the prefix that was gone through last
	saved string                // the place that the catalog knows
	left  int                   // entries
	end   time.Time
	visit func(objects.Store, []string) error
}

var (
	errEnough  = errors.New("enough for one audit")
	errTooLong = errors.New("too long for one listing")
)

// keep makes the present place the one that another walk goes on from.
func (w *stretch) keep(ctx context.Context) error {
	if w.kept.Place == w.saved {
		return nil
	}
	w.saved = w.kept.Place
	return w.Catalog.SaveAuditProgress(ctx, w.kept)
}

// under goes through what begins with a prefix.
func (w *stretch) under(ctx context.Context, prefix string) error {
	after := w.kept.Place
	switch {
	case prefix == after || prefix < after && !strings.HasPrefix(after, prefix):
		return nil // gone through before
	case after != "" && strings.HasPrefix(after, prefix):
		return w.below(ctx, prefix) // it was divided
	case w.left <= 0 || time.Now().After(w.end):
		return errEnough
	}
	names, err := w.list(ctx, prefix)
	if errors.Is(err, errTooLong) {
		return w.below(ctx, prefix)
	}
	if err != nil {
		return &storeFailed{err}
	}
	if err := w.visit(w.store, names); err != nil {
		return err
	}
	w.kept.Place = prefix
	if len(names) == 0 || prefix == w.root {
		return nil // cheap to list again, or the end
	}
	return w.keep(ctx)
}

func (w *stretch) below(ctx context.Context, prefix string) error {
	for _, letter := range w.letters {
		if err := w.under(ctx, prefix+string(letter)); err != nil {
			return err
		}
	}
	return nil
}

// list returns the names right below the root that begin with a prefix. One that
// fits a single name is divided no further, however much lies under that.
func (w *stretch) list(ctx context.Context, prefix string) ([]string, error) {
	names, entries := map[string]bool{}, 0
	_, err := w.store.Inventory(ctx, prefix, func(e objects.Entry) error {
		if entries++; entries > w.listing {
			return errTooLong
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(e.Key, w.root), "/")
		names[name] = true
		return nil
	})
	if err != nil && !(errors.Is(err, errTooLong) && len(prefix) >= len(w.root)+idStart) {
		return nil, err
	}
	w.left -= entries
	return slices.Sorted(maps.Keys(names)), nil
}
