package e2e

import (
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/postgrestest"
	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// onPostgres starts a stack whose catalog is in a PostgreSQL of its own.
func onPostgres(t *testing.T, o stack.Options) (*rig, *postgrestest.Cluster) {
	t.Helper()
	cluster := &postgrestest.Cluster{}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	database := cluster.Database(t)
	o.Env = append(o.Env, "REELFLOW_DATABASE_URL="+database)
	r := start(t, o)
	r.database = database
	return r, cluster
}

func TestLifeOnPostgreSQL(t *testing.T) {
	t.Parallel()
	r, _ := onPostgres(t, stack.Options{})
	r.life()
}

// The database crashes and comes back, while bytes come in, while a piece is
// encoded and while a store is purged. The life goes on each time.
func TestDatabaseRestarted(t *testing.T) {
	t.Parallel()
	r, cluster := onPostgres(t, stack.Options{Workers: 2, Separate: true})
	me := r.as("me")
	v, u := r.announce(me, clip(t, 6, 540, true))
	u.Rate = u.Size / 8
	sent := r.send(u)
	r.until("bytes arrive", 20*time.Second, func() bool { return r.offset(me, v.ID) > 0 })
	cluster.Restart(t)
	r.must(<-sent)

	r.until("an encoder runs", time.Minute, func() bool { return r.encoders() > 0 })
	cluster.Restart(t)
	r.stage(me, v.ID, video.Published, 3*time.Minute)
	r.plays(me, v.ID)

	slow := r.Parts["backup-a"]
	r.must(slow.Freeze())
	r.must(me.Delete(r.ctx, v.ID))
	r.busyWith(v.ID, "PurgeReplica")
	cluster.Restart(t)
	r.must(slow.Thaw())
	r.erased(v.ID, 2*time.Minute)
}

// A worker freezes while it copies: nothing that it holds in the database keeps
// the others from going on, long before it wakes up.
func TestFrozenWorkerOnPostgreSQL(t *testing.T) {
	t.Parallel()
	r, _ := onPostgres(t, stack.Options{Workers: 2, Separate: true})
	me := r.as("me")
	slow := r.Parts["backup-a"]
	r.must(slow.Freeze())
	v := r.upload(me, clip(t, 6, 270, false))
	frozen := r.busyWith(v.ID, "CopyReplica")
	r.must(frozen.Freeze())
	r.must(slow.Thaw())
	r.publishedAndErased(me, v.ID, func() {
		r.must(frozen.Thaw())
		time.Sleep(2 * time.Second) // for what it was about to write
	})
}
