package vault

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/reelflow/reelflow/internal/postgrestest"
	"github.com/reelflow/reelflow/video"
)

// Tests run this binary again as another process that uses the same vault. What
// it does is named by VAULT_TEST_PROCESS, where the vault is by VAULT_TEST_ADDRESS.
var processes = map[string]func(v Vault, id video.ID) error{
	"churn":  churn,
	"borrow": borrow,
	"play":   play,
}

// Postgres is the server of all tests.
var Postgres postgrestest.Cluster

func TestMain(m *testing.M) {
	if role := os.Getenv("VAULT_TEST_PROCESS"); role != "" {
		v, err := OpenAt(context.Background(), Settings{Address: os.Getenv("VAULT_TEST_ADDRESS")})
		if err == nil {
			err = processes[role](v, video.ID(os.Getenv("VAULT_TEST_ID")))
		}
		if err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if err := Postgres.Stop(); err != nil {
		fmt.Println(err)
		code = 1
	}
	if err := goleak.Find(); err != nil {
		fmt.Println(err)
		code = 1
	}
	os.Exit(code)
}

type process struct {
	*exec.Cmd
	out *bufio.Reader
	in  io.Writer
}

func start(t *testing.T, role, address string, id video.ID) *process {
	t.Helper()
	cmd := exec.Command(must(os.Executable())(t))
	cmd.Env = append(os.Environ(), "VAULT_TEST_PROCESS="+role, "VAULT_TEST_ADDRESS="+address, "VAULT_TEST_ID="+string(id))
	cmd.Stderr = os.Stderr
	p := &process{Cmd: cmd, out: bufio.NewReader(must(cmd.StdoutPipe())(t)), in: must(cmd.StdinPipe())(t)}
	must(0, cmd.Start())(t)
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return p
}

func (p *process) line(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(must(p.out.ReadString('\n'))(t))
}

// churn makes, uses and destroys keys until it is killed, and reports each
// thing once it is done. The key of id is in everybody's use.
func churn(v Vault, shared video.ID) error {
	ctx := context.Background()
	for {
		id := video.NewID()
		if err := v.Make(ctx, id); err != nil {
			return fmt.Errorf("make: %w", err)
		}
		for _, id := range []video.ID{shared, id} {
			l, err := v.Lend(ctx, id)
			if err != nil {
				return fmt.Errorf("lend: %w", err)
			}
			sealed, err := l.Key().Seal("x", nil, []byte("secret"))
			if err != nil {
				return fmt.Errorf("seal: %w", err)
			}
			l.Release()
			fmt.Println("made", id, hex.EncodeToString(sealed))
		}
		if rand.N(2) == 0 {
			fmt.Println("destroying", id)
			record, err := v.Destroy(ctx, Intent{ID: id, Reason: "deleted"})
			if err != nil {
				return fmt.Errorf("destroy: %w", err)
			}
			said, err := json.Marshal(record)
			if err != nil {
				return err
			}
			fmt.Println("destroyed", id, string(said))
		}
	}
}

// Three processes at a time use one vault and are killed at any moment after their
// first key - a disk may take its time -; in the end it holds exactly what they were promised.
func TestProcessesThatDie(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := must(Open(dir))(t)
	shared := video.NewID()
	must(0, v.Make(t.Context(), shared))(t)
	var said []string
	for begun := time.Now(); !enough(said, 20) && time.Since(begun) < 5*time.Minute; {
		var ps []*process
		for range 3 {
			ps = append(ps, start(t, "churn", dir, shared))
		}
		for _, p := range ps {
			said = append(said, p.line(t))
		}
		time.Sleep(rand.N(100 * time.Millisecond))
		for _, p := range ps {
			must(0, p.Process.Kill())(t)
			out := must(io.ReadAll(p.out))(t)
			lines := strings.Split(string(out), "\n")
			said = append(said, lines[:len(lines)-1]...) // the last may be cut
		}
	}
	checkPromises(t, must(Open(dir))(t), said, 20)
}

// enough reports whether so much was cut off, and at least so many keys were destroyed,
// that it shows something.
func enough(said []string, least int) bool {
	var begun, done int
	for _, line := range said {
		if strings.HasPrefix(line, "destroying ") {
			begun++
		}
		if strings.HasPrefix(line, "destroyed ") {
			done++
		}
	}
	return done >= least && begun-done >= 3
}

func checkPromises(t *testing.T, v Vault, said []string, least int) {
	sealed, begun, done := map[video.ID]string{}, map[video.ID]bool{}, map[video.ID]string{}
	for _, line := range said {
		f := append(strings.SplitN(line, " ", 3), "")
		switch f[0] {
		case "made":
			sealed[video.ID(f[1])] = f[2]
		case "destroying":
			begun[video.ID(f[1])] = true
		case "destroyed":
			done[video.ID(f[1])] = f[2]
		default:
			t.Error(line)
		}
	}
	for id := range sealed {
		record, found := must2(v.Ledger(t.Context(), id.Hash()))(t)
		if promise, is := done[id]; is && string(must(json.Marshal(record))(t)) != promise {
			t.Errorf("promised %s, stands %+v", promise, record)
		}
		if found {
			_, err := v.Lend(t.Context(), id)
			wantCode(t, err, video.Gone)
			if !begun[id] || record.KeyDestroyedAt.IsZero() {
				t.Errorf("begun %v, record = %+v", begun[id], record)
			}
			continue
		}
		openUnder(t, v, id, must(hex.DecodeString(sealed[id]))(t))
	}
	if !enough(said, least) {
		t.Errorf("only %d made and %d destroyed: this shows too little", len(sealed), len(done))
	}
	t.Logf("%d made, %d destroyed, %d were cut off", len(sealed), len(done), len(begun)-len(done))
}

// borrow holds a loan until it is told to use it, and reports how that went.
func borrow(v Vault, id video.ID) error {
	l, err := v.Lend(context.Background(), id)
	if err != nil {
		return err
	}
	fmt.Println("lent")
	if _, err := fmt.Scanln(); err != nil {
		return err
	}
	_, err = l.Key().Seal("x", nil, nil)
	fmt.Println(video.CodeOf(err))
	return nil
}

func TestAFrozenBorrowerStopsNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := must(Open(dir))(t)
	id := video.NewID()
	must(0, v.Make(t.Context(), id))(t)
	p := start(t, "borrow", dir, id)
	p.line(t)
	must(0, p.Process.Signal(syscall.SIGSTOP))(t)

	begun := time.Now()
	must(v.Destroy(t.Context(), Intent{ID: id, Reason: "deleted"}))(t)
	if took := time.Since(begun); took < MaxLoan/2 || took > MaxLoan*3/2 {
		t.Errorf("destroying took %v", took)
	}
	must(0, p.Process.Signal(syscall.SIGCONT))(t)
	must(fmt.Fprintln(p.in))(t)
	if said := p.line(t); said != string(video.Unavailable) {
		t.Errorf("with its loan void the borrower got %q", said)
	}
}

func TestADeadBorrowerHoldsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := must(Open(dir))(t)
	id := video.NewID()
	must(0, v.Make(t.Context(), id))(t)
	p := start(t, "borrow", dir, id)
	p.line(t)
	must(0, p.Process.Kill())(t)
	p.Wait()

	begun := time.Now()
	must(v.Destroy(t.Context(), Intent{ID: id, Reason: "deleted"}))(t)
	if took := time.Since(begun); took > MaxLoan/4 {
		t.Errorf("destroying took %v", took)
	}
}

// A writer frozen in its turn makes other writers wait, but no borrower.
func TestAFrozenWriter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v, frozen := must(Open(dir))(t), must(Open(dir))(t)
	id := video.NewID()
	must(0, v.Make(t.Context(), id))(t)
	goOn := must(frozen.turn.take(t.Context()))(t)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	wantCode(t, v.Make(ctx, video.NewID()), video.Unavailable)
	sealUnder(t, v, id)
	goOn()
	must(0, v.Make(t.Context(), video.NewID()))(t)
}

func BenchmarkLend(b *testing.B) {
	v, id := full(b)
	for b.Loop() {
		must(v.Lend(b.Context(), id))(b).Release()
	}
}

func BenchmarkMake(b *testing.B) {
	v, _ := full(b)
	for b.Loop() {
		must(0, v.Make(b.Context(), video.NewID()))(b)
	}
}

func BenchmarkDestroy(b *testing.B) {
	v, id := full(b)
	for b.Loop() {
		must(v.Destroy(b.Context(), Intent{ID: id, Reason: "deleted"}))(b)
		b.StopTimer()
		id = video.NewID()
		must(0, v.Make(b.Context(), id))(b)
		b.StartTimer()
	}
}

// full opens a vault with 100,000 keys and returns the id of one more.
func full(b *testing.B) (*FileVault, video.ID) {
	v := must(Open(b.TempDir()))(b)
	perBucket := 100_000 / buckets
	for i := range buckets {
		view := must(v.tree.load())(b)
		must(0, v.tree.rekey(view, i, noise(perBucket*entrySize)))(b)
	}
	id := video.NewID()
	must(0, v.Make(b.Context(), id))(b)
	return v, id
}
