package identity

import (
	"context"
	"io"

	"github.com/reelflow/reelflow/internal/objects"
)

// guardedStore is a Store that can be used only once it was found to belong here.
type guardedStore struct {
	store objects.Store
	admit func(context.Context) error
}

var _ objects.Store = (*guardedStore)(nil)

func (g *guardedStore) Name() string { return g.store.Name() }

func (g *guardedStore) Put(ctx context.Context, key string, body []byte, o objects.PutOptions) (string, error) {
	if err := g.admit(ctx); err != nil {
		return "", err
	}
	return g.store.Put(ctx, key, body, o)
}

func (g *guardedStore) Get(ctx context.Context, key, version string, off, n int64) (io.ReadCloser, error) {
	if err := g.admit(ctx); err != nil {
		return nil, err
	}
	return g.store.Get(ctx, key, version, off, n)
}

func (g *guardedStore) Stat(ctx context.Context, key, version string) (objects.Info, error) {
	if err := g.admit(ctx); err != nil {
		return objects.Info{}, err
	}
	return g.store.Stat(ctx, key, version)
}

func (g *guardedStore) Delete(ctx context.Context, key, version string) error {
	if err := g.admit(ctx); err != nil {
		return err
	}
	return g.store.Delete(ctx, key, version)
}

func (g *guardedStore) Inventory(ctx context.Context, prefix string, visit func(objects.Entry) error) (objects.Inventory, error) {
	if err := g.admit(ctx); err != nil {
		return objects.Inventory{}, err
	}
	return g.store.Inventory(ctx, prefix, visit)
}

func (g *guardedStore) Purge(ctx context.Context, prefix string, watch objects.Watch) (objects.Removed, error) {
	if err := g.admit(ctx); err != nil {
		return objects.Removed{}, err
	}
	return g.store.Purge(ctx, prefix, watch)
}

func (g *guardedStore) Ready(ctx context.Context) error {
	if err := g.admit(ctx); err != nil {
		return err
	}
	return g.store.Ready(ctx)
}

func (g *guardedStore) Versioned(ctx context.Context) (bool, error) {
	if err := g.admit(ctx); err != nil {
		return false, err
	}
	return g.store.Versioned(ctx)
}
