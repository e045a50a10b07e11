package vault

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/postgrestest"
	"github.com/reelflow/reelflow/video"
)

// filesWith lists the files under dir that hold the bytes.
func filesWith(t *testing.T, dir string, secret []byte) (found []string) {
	t.Helper()
	must(0, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil // the server removes files meanwhile
		}
		data, err := os.ReadFile(path)
		if err == nil && bytes.Contains(data, secret) {
			found = append(found, strings.TrimPrefix(path, dir))
		}
		return nil
	}))(t)
	return found
}

// Within its rotation a server whose settings are PostgreSQL's own has no file any more in
// which an old root can be found: not the table's, and none of the write-ahead log,
// segments included that are kept to be used again.
func TestPostgresForgetsTheRoot(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a server of its own, and some hundred megabytes of its log")
	}
	t.Parallel()
	var server postgrestest.Cluster
	t.Cleanup(func() { must(0, server.Stop())(t) })
	const rotation = 4 * time.Second
	address := server.Database(t)
	v := openTest(t, Settings{Address: address, Rotation: rotation})
	id, beside := video.NewID(), video.NewID()
	must(0, v.Make(t.Context(), id))(t)
	must(0, v.Make(t.Context(), beside))(t)
	sealed := sealUnder(t, v, beside)
	old := v.root.key
	dir := must(dataOf(t, v))(t)
	must(v.pool.Exec(t.Context(), "CHECKPOINT"))(t)
	if len(filesWith(t, dir, old[:])) < 2 {
		t.Fatal("the root that is in use is not found in table and log: this test shows nothing")
	}

	begun := time.Now()
	record := must(v.Destroy(t.Context(), Intent{ID: id, Reason: "deleted"}))(t)
	if wait := record.RootForgottenAt.Sub(record.KeyDestroyedAt); wait != rotation {
		t.Errorf("the root is said to be forgotten %v after the key was destroyed", wait)
	}
	var left []string
	for time.Since(begun) < 5*rotation {
		if left = filesWith(t, dir, old[:]); len(left) == 0 {
			break
		}
		time.Sleep(rotation / 20)
	}
	t.Logf("forgotten after %v", time.Since(begun))
	if len(left) > 0 {
		t.Errorf("the old root is in %v", left)
	}
	openUnder(t, v, beside, sealed)
	if report := must(v.Check(t.Context()))(t); !report.ForgettingOverdue.IsZero() || len(report.Damage) > 0 {
		t.Errorf("%+v", report)
	}
	v.Close()

	// A server that archives never forgets.
	v = openTest(t, Settings{Address: address})
	must(v.pool.Exec(t.Context(), "ALTER SYSTEM SET archive_mode = 'on'"))(t)
	v.Close()
	server.Restart(t)
	_, err := OpenPostgres(t.Context(), Settings{Address: address})
	wantCode(t, err, video.Invalid)
	if err != nil && !strings.Contains(err.Error(), "archive_mode") {
		t.Errorf("it says %v", err)
	}
}

func dataOf(t *testing.T, v *PostgresVault) (dir string, err error) {
	err = v.pool.QueryRow(t.Context(), "SELECT current_setting('data_directory')").Scan(&dir)
	return dir, err
}

// With all that is there today, whoever holds yesterday's copy of the tree learns nothing of
// a key that was destroyed since.
func TestOlderCopiesOfThePostgresTreeAreUseless(t *testing.T) {
	t.Parallel()
	v := openTest(t, Settings{Address: Postgres.Schema(t)})
	ids := make([]video.ID, 3*leafMax)
	for i := range ids {
		ids[i] = video.NewID()
		must(0, v.Make(t.Context(), ids[i]))(t)
	}
	h := hashOf(ids[0])
	yesterday := must(v.look(t.Context(), v.pool, h))(t)
	var key [32]byte
	if path := must(openPath(h, v.root.key, yesterday.sealed))(t); len(path) < 2 || !path.find(h, &key) {
		t.Fatal("yesterday's root doesn't reveal the key: this test shows nothing")
	}
	must(v.Destroy(t.Context(), Intent{ID: ids[0], Reason: "deleted"}))(t)

	today := must(v.look(t.Context(), v.pool, h))(t)
	path := must(openPath(h, must(v.rootKey(t.Context(), today.root))(t), today.sealed))(t)
	for depth, sealed := range yesterday.sealed {
		for _, n := range path {
			if _, err := openNode(h.String()[:depth], n.key[:], sealed); err == nil {
				t.Errorf("today's key of %s opens yesterday's node at depth %d", n.title(), depth)
			}
		}
	}
	for _, n := range path {
		if bytes.Contains(n.plain, key[:]) {
			t.Errorf("%s holds the key", n.title())
		}
	}
}

// The catalog's database is no place for keys.
func TestNoVaultInTheCatalogsDatabase(t *testing.T) {
	t.Parallel()
	address := Postgres.Schema(t)
	db := must(connect(context.Background(), address, nil))(t)
	defer db.Close()
	must(db.Exec(t.Context(), "CREATE TABLE videos (id TEXT); CREATE TABLE replicas (id TEXT)"))(t)
	_, err := OpenPostgres(t.Context(), Settings{Address: address})
	wantCode(t, err, video.Invalid)
	if err != nil && !strings.Contains(err.Error(), "catalog") {
		t.Errorf("it says %v", err)
	}
}
