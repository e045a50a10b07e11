// Package catalogtest gives tests catalogs on SQLite. The schema is made once for all tests of
// a binary, in a file that is kept in memory and copied for each: to make it takes longer than
// most tests. Nothing of it stays: each copy lies in the test's own folder.
package catalogtest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/reelflow/reelflow/internal/catalog"
)

var fresh = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "catalog")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "catalog.db")
	c, err := catalog.Open(context.Background(), "sqlite://"+path)
	if err != nil {
		return nil, err
	}
	if err := c.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// URL is the address of an empty catalog that has its schema.
func URL(t testing.TB) string {
	t.Helper()
	schema, err := fresh()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "catalog.db")
	if err := os.WriteFile(path, schema, 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite://" + path
}

// New opens an empty catalog, until the test ends.
func New(t testing.TB) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(t.Context(), URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
