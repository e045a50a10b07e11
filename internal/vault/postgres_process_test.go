package vault

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/postgrestest"
	"github.com/reelflow/reelflow/video"
)

// play holds a loan for as long as it can, and reports why it ended.
func play(v Vault, id video.ID) error {
	defer v.Close() // or it is as if the process had died
	l, err := v.Lend(context.Background(), id)
	if err != nil {
		return err
	}
	ctx := l.Keep(context.Background())
	fmt.Println("lent")
	<-ctx.Done()
	fmt.Println(video.CodeOf(context.Cause(ctx)))
	return nil
}

// Another process that holds a loan hears of the destruction at once: it takes far less than
// MaxLoan, which is what it would if nobody heard.
func TestPostgresDestroysWhileAPlayerHoldsTheKey(t *testing.T) {
	t.Parallel()
	v := openTest(t, Settings{Address: Postgres.Schema(t)})
	fastest := time.Hour
	for range 3 { // one may be slow on a machine that is busy
		id := video.NewID()
		must(0, v.Make(t.Context(), id))(t)
		p := start(t, "play", v.pool.Config().ConnString(), id)
		if said := p.line(t); said != "lent" {
			t.Fatal(said)
		}
		begun := time.Now()
		must(v.Destroy(t.Context(), Intent{ID: id, Reason: "deleted"}))(t)
		fastest = min(fastest, time.Since(begun))
		if said := p.line(t); said != string(video.Gone) {
			t.Errorf("the player's loan ended with %q", said)
		}
	}
	t.Logf("destroying took %v", fastest)
	if fastest > 1500*time.Millisecond { // five times what is promised
		t.Error("that is too long")
	}
}

func TestAFrozenBorrowerFromPostgresStopsNobody(t *testing.T) {
	t.Parallel()
	v := openTest(t, Settings{Address: Postgres.Schema(t)})
	id := video.NewID()
	must(0, v.Make(t.Context(), id))(t)
	p := start(t, "borrow", v.pool.Config().ConnString(), id)
	p.line(t)
	must(0, p.Process.Signal(syscall.SIGSTOP))(t)
	begun := time.Now()
	must(v.Destroy(t.Context(), Intent{ID: id, Reason: "deleted"}))(t)
	if took := time.Since(begun); took < MaxLoan/2 || took > MaxLoan*5 {
		t.Errorf("destroying took %v", took)
	}
	must(0, p.Process.Signal(syscall.SIGCONT))(t)
	must(fmt.Fprintln(p.in))(t)
	if said := p.line(t); said != string(video.Unavailable) {
		t.Errorf("with its loan void the borrower got %q", said)
	}
}

// Processes that use one vault are killed while they do; in the end it holds exactly what
// they were promised.
func TestProcessesThatDieOnPostgres(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds of work")
	}
	t.Parallel()
	address := Postgres.Schema(t)
	v := openTest(t, Settings{Address: address})
	shared := video.NewID()
	must(0, v.Make(t.Context(), shared))(t)
	var said []string
	for begun := time.Now(); !enough(said, 8) && time.Since(begun) < 5*time.Minute; {
		var ps []*process
		for range 4 {
			ps = append(ps, start(t, "churn", address, shared))
		}
		time.Sleep(2*time.Second + rand.N(time.Second))
		for _, p := range ps {
			must(0, p.Process.Kill())(t)
		}
		for _, p := range ps {
			lines := strings.Split(string(must(io.ReadAll(p.out))(t)), "\n")
			said = append(said, lines[:len(lines)-1]...) // the last may be cut
		}
	}
	v = openTest(t, Settings{Address: address})
	checkPromises(t, v, said, 8)
	checkOneRoot(t, v)
	if report := must(v.Check(t.Context()))(t); len(report.Damage) > 0 || report.Pending > 0 {
		t.Errorf("%+v", report)
	}
}

// While the server is down nothing is lent for longer than MaxLoan; when it is back the
// vault goes on by itself.
func TestAPostgresThatIsDown(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs a server of its own")
	}
	var server postgrestest.Cluster
	t.Cleanup(func() { must(0, server.Stop())(t) })
	v := openTest(t, Settings{Address: server.Schema(t)})
	id := video.NewID()
	must(0, v.Make(t.Context(), id))(t)
	l := must(v.Lend(t.Context(), id))(t)
	kept := l.Keep(t.Context())
	server.Interrupt(t)
	wantCode(t, v.Make(t.Context(), video.NewID()), video.Unavailable)
	_, err := v.Destroy(t.Context(), Intent{ID: id, Reason: "deleted"})
	wantCode(t, err, video.Unavailable)
	<-kept.Done()
	_, err = v.Lend(t.Context(), id)
	wantCode(t, err, video.Unavailable)
	server.Resume(t)
	sealUnder(t, v, id)
	must(v.Destroy(t.Context(), Intent{ID: id, Reason: "deleted"}))(t)
}

// Requests of one process share what was asked for once, and a loss ends that.
func TestLoansAreShared(t *testing.T) {
	t.Parallel()
	r := &death{n: 1 << 20}
	v := openTest(t, Settings{Address: Postgres.Schema(t), tracer: r})
	id := video.NewID()
	must(0, v.Make(t.Context(), id))(t)
	ctx := context.WithValue(t.Context(), mortal{}, true)
	for range 100 {
		must(v.Lend(ctx, id))(t).Release()
	}
	// It may have taken longer than a key is shared.
	if asked := 1<<20 - r.n; asked > 20 {
		t.Errorf("a hundred loans asked the database %d times", asked)
	}
	must(v.Destroy(t.Context(), Intent{ID: id, Reason: "deleted"}))(t)
	_, err := v.Lend(t.Context(), id)
	wantCode(t, err, video.Gone)
}
