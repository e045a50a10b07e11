package vault

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/reelflow/reelflow/video"
)

// Every home of roots must do this.
func TestRootHomes(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]func(t *testing.T) string{
		"file":       func(t *testing.T) string { return "file://" + filepath.Join(t.TempDir(), "root") },
		"PostgreSQL": func(t *testing.T) string { return Postgres.Schema(t) },
	} {
		t.Run(name, func(t *testing.T) {
			s := Settings{Root: address(t)}
			home := must(openRootHome(t.Context(), s, treeID{1}))(t)
			defer home.close()
			one, two, three := newRootID(), newRootID(), newRootID()
			want := func(want ...rootID) {
				t.Helper()
				got := must(home.roots(t.Context()))(t)
				compare := func(a, b rootID) int { return bytes.Compare(a[:], b[:]) }
				slices.SortFunc(got, compare)
				slices.SortFunc(want, compare)
				if !slices.Equal(got, want) {
					t.Errorf("roots %v, want %v", got, want)
				}
			}
			want()
			for range 2 {
				must(0, home.add(t.Context(), one, [32]byte{1}))(t)
				must(0, home.add(t.Context(), two, [32]byte{2}))(t)
			}
			want(one, two)
			for range 2 {
				must(0, home.drop(t.Context(), one, three))(t)
			}
			want(two)
			if key, found := must2(home.load(t.Context(), two))(t); !found || key != [32]byte{2} {
				t.Errorf("found %v, %x", found, key)
			}
			if _, found := must2(home.load(t.Context(), one))(t); found {
				t.Error("a root that was dropped is found")
			}
			for range 10 { // there is always room for the next
				must(0, home.add(t.Context(), three, [32]byte{3}))(t)
				must(0, home.drop(t.Context(), three))(t)
			}
			must(0, home.forget(t.Context()))(t)
			want(two)
			again := must(openRootHome(t.Context(), s, treeID{1}))(t)
			defer again.close()
			if key, found := must2(again.load(t.Context(), two))(t); !found || key != [32]byte{2} {
				t.Errorf("opened again: found %v, %x", found, key)
			}
		})
	}
	for _, bad := range []string{"", "ftp://x/y", "file://host/path", "kms://key"} {
		_, err := openRootHome(t.Context(), Settings{Root: bad}, treeID{})
		wantCode(t, err, video.Invalid)
	}
}

// Who is told that nothing can be found any more must not be told so because somebody else
// is at it, who may have begun too early.
func TestForgettingWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	s := Settings{Root: Postgres.Schema(t)}
	home := must(openPostgresRoots(t.Context(), s, treeID{1}))(t)
	defer home.close()
	another := must(home.pool.Acquire(t.Context()))(t)
	defer another.Release()
	must(another.Exec(t.Context(), "SELECT pg_advisory_lock($1)", int64(forgetLock)))(t)
	if done := must(home.tryForget(t.Context()))(t); done {
		t.Error("two are at it at once")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	wantCode(t, home.forget(ctx), video.Unavailable)
	must(another.Exec(t.Context(), "SELECT pg_advisory_unlock($1)", int64(forgetLock)))(t)
	must(0, home.forget(t.Context()))(t)
}

// The same server may be the home of the roots of several trees.
func TestRootsOfTreesAreApart(t *testing.T) {
	t.Parallel()
	s := Settings{Root: Postgres.Schema(t)}
	a, b := must(openRootHome(t.Context(), s, treeID{1}))(t), must(openRootHome(t.Context(), s, treeID{2}))(t)
	defer a.close()
	defer b.close()
	id := newRootID()
	must(0, a.add(t.Context(), id, [32]byte{1}))(t)
	must(0, b.drop(t.Context(), id))(t)
	if roots := must(b.roots(t.Context()))(t); len(roots) > 0 {
		t.Errorf("the other tree has %v", roots)
	}
	if _, found := must2(a.load(t.Context(), id))(t); !found {
		t.Error("another tree dropped it")
	}
}

// Of each root there are two copies in the file: one may be torn, and what is torn is
// cleared with the next drop.
func TestATornBlockOfTheRoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root")
	home := must(openFileRoots(path, treeID{1}))(t)
	one, two := newRootID(), newRootID()
	first, second := [32]byte(bytes.Repeat([]byte{0xab}, 32)), [32]byte(bytes.Repeat([]byte{0xcd}, 32))
	must(0, home.add(t.Context(), one, first))(t)
	must(0, home.add(t.Context(), two, second))(t)
	f := must(os.OpenFile(path, os.O_RDWR, 0))(t)
	defer f.Close()
	for _, block := range []int64{1, 2} { // a copy of each
		must(f.WriteAt([]byte("torn"), block*slotSize+1))(t)
	}
	for id, key := range map[rootID][32]byte{one: first, two: second} {
		if got, found := must2(home.load(t.Context(), id))(t); !found || got != key {
			t.Errorf("found %v, %x", found, got)
		}
	}
	must(0, home.drop(t.Context(), one))(t)
	lookFor(t, filepath.Dir(path), "the root that was dropped", first[:])
	if _, found := must2(home.load(t.Context(), two))(t); !found {
		t.Error("the other is gone")
	}
	_, err := must(openFileRoots(path, treeID{2}))(t).roots(t.Context())
	wantCode(t, err, video.Internal)
}

// A root in a file does for a tree in PostgreSQL, and the destroyed key goes with it.
func TestPostgresVaultWithItsRootInAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := openTest(t, Settings{Address: Postgres.Schema(t), Root: "file://" + filepath.Join(dir, "root")})
	id, beside := video.NewID(), video.NewID()
	must(0, v.Make(t.Context(), id))(t)
	must(0, v.Make(t.Context(), beside))(t)
	sealed := sealUnder(t, v, beside)
	old := v.root.key
	record := must(v.Destroy(t.Context(), Intent{ID: id, Reason: "deleted"}))(t)
	if !record.RootForgottenAt.IsZero() {
		t.Errorf("forgotten at %v, and not at once", record.RootForgottenAt)
	}
	lookFor(t, dir, "the old root", old[:])
	openUnder(t, v, beside, sealed)
}
