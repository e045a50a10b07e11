package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/internal/stack"
	"github.com/reelflow/reelflow/video"
)

// An environment that is wrong for a while - one process with a wrong variable, a
// database restored from a backup, a Temporal that was lost - erases nothing and closes no
// receipt. Every program that must stop does, with a sentence; once the right thing is
// put back every life goes on in its stage, and can be deleted.
func TestWrongEnvironments(t *testing.T) {
	t.Parallel()
	w := newWrong(t, 1)
	for _, e := range environments {
		w.through(e)
	}
	w.everyLifeCanBeDeleted()
}

// Several wrong environments one after the other, and lives that move on in between: ten
// mixes, two hundred with SOAK.
func TestWrongEnvironmentsMixed(t *testing.T) {
	t.Parallel()
	seed := seedOf()
	mixes, perStack := 10, 5
	if soaking() {
		mixes, perStack = 200, 20
	}
	for begun := 0; begun < mixes; begun += perStack {
		t.Run(fmt.Sprint("mixes from ", begun), func(t *testing.T) {
			w := newWrong(t, seed+uint64(begun))
			for range perStack {
				for range 2 {
					w.through(environments[w.chance.IntN(len(environments))])
				}
				w.moveOn()
			}
			w.everyLifeCanBeDeleted()
		})
	}
}

// environments are what can be wrong, and how it is put right.
var environments = []environment{
	{"another namespace", (*wrong).anotherNamespace},
	{"an empty database", (*wrong).emptyDatabase},
	{"no vault", (*wrong).noVault},
	{"another bucket", (*wrong).anotherBucket},
	{"another Temporal", (*wrong).anotherTemporal},
	{"Temporal lost", (*wrong).temporalLost},
	{"Temporal restored", (*wrong).temporalRestored},
	{"the catalog restored", (*wrong).catalogRestored},
}

type environment struct {
	name string
	be   func(*wrong)
}

// wrong is a stack with a life in each stage.
type wrong struct {
	*rig
	me     *client.Client
	other  *stack.Stack // another installation's Temporal and stores, empty
	chance *rand.Rand
	lives  map[video.ID]video.Stage // where each stands
}

func newWrong(t *testing.T, seed uint64) *wrong {
	t.Helper()
	r := start(t, stack.Options{Separate: true, Env: []string{
		"REELFLOW_AUDIT_EVERY=1s", "REELFLOW_AUDIT_SETTLE=1s", "REELFLOW_DELETE_GRACE=1h", "REELFLOW_DRAFT_TTL=24h",
	}})
	w := &wrong{rig: r, me: r.as("me"), chance: rand.New(rand.NewPCG(seed, 7)), lives: map[video.ID]video.Stage{}}
	other, err := stack.Start(t.Context(), throwAway(t, stack.Options{Workers: -1, Gateways: -1}, t.TempDir()))
	r.must(err)
	t.Cleanup(func() { other.Close() })
	w.other = other
	w.populate()
	return w
}

// populate makes a life in each stage in which one can stay.
func (w *wrong) populate() {
	small := clip(w.t, 1, 90, false)
	waiting, _ := w.announce(w.me, small)
	w.lives[waiting.ID] = video.Uploading
	published := w.upload(w.me, small).ID
	deleted := w.upload(w.me, small).ID
	paused := w.upload(w.me, clip(w.t, 6, 540, true)).ID
	w.until("an encoder runs", time.Minute, func() bool { return w.encoders() > 0 })
	w.ask(w.me, paused, video.Pause)
	w.lives[paused] = video.Processing
	w.lives[w.uploadAs(client.NewVideo{Review: true}, small)] = video.Reviewing
	w.lives[w.uploadAs(client.NewVideo{PublishDelay: "3h"}, small)] = video.Scheduled
	draft := w.uploadAs(client.NewVideo{KeepDraft: true, Review: true}, small)
	rejected := w.uploadAs(client.NewVideo{}, notAVideo(w.t))
	w.stage(w.me, draft, video.Reviewing, time.Minute)
	w.ask(w.me, draft, video.Cancel)
	w.lives[draft], w.lives[rejected], w.lives[published] = video.Draft, video.Rejected, video.Published
	w.stage(w.me, deleted, video.Published, 2*time.Minute)
	w.must(w.me.Delete(w.ctx, deleted))
	w.lives[deleted] = video.PendingDeletion
	w.allStand()
}

func notAVideo(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "text.mp4")
	if err := os.WriteFile(path, []byte(strings.Repeat("This is not a video. ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// uploadAs sends a file for a video with these settings.
func (w *wrong) uploadAs(n client.NewVideo, path string) video.ID {
	w.t.Helper()
	file, err := os.Open(path)
	w.must(err)
	defer file.Close()
	info, err := file.Stat()
	w.must(err)
	n.Title, n.Source = "A clip", client.Source{Size: info.Size(), Filename: filepath.Base(path)}
	v, err := w.me.Create(w.ctx, n)
	w.must(err)
	u := &client.Upload{Client: w.me, URL: v.UploadURL(), File: file, Size: info.Size()}
	w.must(u.Run(w.ctx))
	return v.ID
}

// through brings the stack into a wrong environment and out of it.
func (w *wrong) through(e environment) {
	w.t.Helper()
	w.t.Log(e.name)
	before := w.objects()
	e.be(w)
	w.nothingIsErased()
	w.allStand()
	for id, was := range before {
		if now := w.objects()[id]; now < was && w.lives[id] != "" {
			w.t.Errorf("%s: of %s (%s) %d objects are left of %d", e.name, id, w.lives[id], now, was)
		}
	}
}

// nothingIsErased looks into the vault's ledger, which the point of no return writes first.
func (w *wrong) nothingIsErased() {
	w.t.Helper()
	for _, pattern := range []string{"*.json", "pending/*.json"} {
		records, err := filepath.Glob(filepath.Join(w.dir, "vault", "ledger", pattern))
		w.must(err)
		if len(records) > 0 {
			w.t.Fatalf("%d videos were erased", len(records))
		}
	}
}

// objects counts what the primary store has of each video.
func (w *wrong) objects() map[video.ID]int {
	w.t.Helper()
	counts := map[video.ID]int{}
	for id := range w.lives {
		found, err := w.stores[0].Inventory(w.ctx, id.Prefix(), nil)
		w.must(err)
		counts[id] = found.Objects
	}
	return counts
}

// allStand waits until every life is in its stage, by the API and by its workflow.
func (w *wrong) allStand() {
	w.t.Helper()
	for id, want := range w.lives {
		w.stage(w.me, id, want, 2*time.Minute)
		w.until(fmt.Sprintf("the workflow of %s is open at %s", id, want), 2*time.Minute, func() bool {
			s, err := w.plainStatus(id)
			return err == nil && s == string(want)
		})
	}
}

func (w *wrong) plainStatus(id video.ID) (stage string, err error) {
	ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
	defer cancel()
	v, err := w.temporal().QueryWorkflow(ctx, id.WorkflowID(), "", video.StatusQuery)
	if err != nil {
		return "", err
	}
	var s video.Status
	err = v.Get(&s)
	return string(s.Stage), err
}

// moveOn lets one life go on, and begins another.
func (w *wrong) moveOn() {
	w.t.Helper()
	small := clip(w.t, 1, 90, false)
	for id, stage := range w.lives {
		switch stage {
		case video.Reviewing:
			w.ask(w.me, id, video.Pause)
			w.ask(w.me, id, video.Resume)
		case video.Scheduled:
			w.ask(w.me, id, video.Publish)
			w.lives[id] = video.Published
			w.stage(w.me, id, video.Published, time.Minute)
		}
	}
	w.lives[w.uploadAs(client.NewVideo{PublishDelay: "3h"}, small)] = video.Scheduled
	w.allStand()
}

// everyLifeCanBeDeleted ends them all: hidden at once, and erased where there is no grace.
func (w *wrong) everyLifeCanBeDeleted() {
	w.t.Helper()
	for id, stage := range w.lives {
		w.must(w.me.Delete(w.ctx, id))
		if stage == video.Published || stage == video.PendingDeletion {
			w.stage(w.me, id, video.PendingDeletion, time.Minute)
			continue
		}
		w.erased(id, time.Minute)
	}
}

// mustNotStart runs a program with other settings, which must stop by itself with a
// sentence that names what is wrong.
func (w *wrong) mustNotStart(program string, args []string, settings []string, words ...string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(root(w.t), "bin", program), args...)
	command.Env = append(w.Env(), settings...)
	out, err := command.CombinedOutput()
	if ctx.Err() != nil || err == nil {
		w.t.Errorf("%s %v with %v did not stop: %v\n%s", program, args, settings, err, out)
		return
	}
	for _, word := range words {
		if !strings.Contains(string(out), word) {
			w.t.Errorf("%s %v with %v does not say %q:\n%s", program, args, settings, word, out)
		}
	}
}

func (w *wrong) nobodyStarts(settings []string, words ...string) {
	w.t.Helper()
	for _, role := range []string{"all", "control"} {
		w.mustNotStart("worker", []string{"--role", role}, settings, words...)
	}
	w.mustNotStart("starter", []string{"serve", "--http-addr", "127.0.0.1:0"}, settings, words...)
}

func (w *wrong) anotherNamespace() {
	c := w.temporal()
	_, err := c.WorkflowService().RegisterNamespace(w.ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace: "elsewhere", WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
	})
	if err != nil && !strings.Contains(err.Error(), "already") {
		w.t.Fatal(err)
	}
	w.until("the namespace is there", time.Minute, func() bool {
		_, err := c.WorkflowService().DescribeNamespace(w.ctx, &workflowservice.DescribeNamespaceRequest{Namespace: "elsewhere"})
		return err == nil
	})
	w.nobodyStarts([]string{"TEMPORAL_NAMESPACE=elsewhere"}, "installation", "adopt temporal")
}

func (w *wrong) emptyDatabase() {
	w.nobodyStarts([]string{"REELFLOW_DATABASE_URL=sqlite://" + filepath.Join(w.t.TempDir(), "empty.db")}, "installation", "catalog")
}

func (w *wrong) noVault() {
	w.nobodyStarts([]string{"REELFLOW_VAULT=" + filepath.Join(w.t.TempDir(), "vault")}, "installation", "vault")
}

func (w *wrong) anotherBucket() {
	for _, store := range w.other.Stores {
		if store.Name == "primary" {
			w.nobodyStarts([]string{"REELFLOW_PRIMARY=" + store.URL}, "installation", "primary")
		}
	}
}

func (w *wrong) anotherTemporal() {
	w.nobodyStarts([]string{"TEMPORAL_ADDRESS=" + w.other.Temporal}, "installation", "adopt temporal")
}

// temporalAtRest does something to Temporal's database while nothing else runs.
func (w *wrong) temporalAtRest(do func(path string)) {
	w.t.Helper()
	server := w.Parts["temporal"]
	for _, p := range w.programs() {
		w.must(p.Kill())
	}
	w.must(server.Stop())
	do(filepath.Join(w.dir, "devstack", "temporal.db"))
	w.must(server.Restart(w.ctx))
}

func (w *wrong) programs() []*stack.Process {
	return append(append([]*stack.Process{}, w.Workers...), w.Gateways...)
}

func (w *wrong) startAgain() {
	w.t.Helper()
	for _, p := range w.programs() {
		w.must(p.Restart(w.ctx))
	}
}

// temporalLost is a namespace that was rebuilt: there is nothing to put back.
func (w *wrong) temporalLost() {
	w.temporalAtRest(func(path string) { w.removeAll(path + "*") })
	w.nobodyStarts(nil, "installation", "adopt temporal")
	w.nothingIsErased()
	if said, code := w.starter("adopt", "temporal"); code != 0 {
		w.t.Fatalf("adopt temporal: %s", said)
	}
	w.startAgain()
}

func (w *wrong) removeAll(pattern string) {
	w.t.Helper()
	files, err := filepath.Glob(pattern)
	w.must(err)
	for _, file := range files {
		w.must(os.Remove(file))
	}
}

// temporalRestored goes back to what Temporal was before lives moved on: they go on where
// their rows stand, and one that Temporal doesn't know any more is begun again.
func (w *wrong) temporalRestored() {
	backup := filepath.Join(w.t.TempDir(), "temporal.db")
	w.temporalAtRest(func(path string) { w.copyFiles(path, backup) })
	w.startAgain()
	w.moveOn()
	for id, stage := range w.lives {
		if stage == video.Published && w.chance.IntN(2) == 0 {
			w.must(w.me.Delete(w.ctx, id))
			w.lives[id] = video.PendingDeletion
		}
	}
	w.allStand()
	w.temporalAtRest(func(path string) { w.removeAll(path + "*"); w.copyFiles(backup, path) })
	w.startAgain()
}

func (w *wrong) copyFiles(from, to string) {
	w.t.Helper()
	files, err := filepath.Glob(from + "*")
	w.must(err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		w.must(err)
		w.must(os.WriteFile(to+strings.TrimPrefix(file, from), data, 0o600))
	}
}

// catalogRestored serves an older catalog for a while: lives that it doesn't know wait, and
// only a person's delete ends one.
func (w *wrong) catalogRestored() {
	old, right := w.t.TempDir(), w.t.TempDir()
	w.atRest(func() { w.copyCatalog(w.dir, old) })
	w.moveOn()
	working := w.upload(w.me, clip(w.t, 6, 540, true)).ID
	w.until("an encoder runs", time.Minute, func() bool { return w.encoders() > 0 })
	w.atRest(func() { w.copyCatalog(w.dir, right); w.copyCatalog(old, w.dir) })

	w.until("the workflow of a video without a row says that it waits", 2*time.Minute, func() bool {
		s := w.plain(string(working)).status()
		return strings.Contains(s.Waiting, "doesn't know this video")
	})
	w.until("lists show it", time.Minute, func() bool {
		found, err := w.temporal().ListWorkflow(w.ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Query: "VideoTrouble = true AND WorkflowId = '" + working.WorkflowID() + "'",
		})
		return err == nil && len(found.GetExecutions()) == 1
	})
	time.Sleep(3 * time.Second) // some audits
	w.nothingIsErased()
	w.atRest(func() { w.copyCatalog(right, w.dir) })
	w.lives[working] = video.Published
	if s, err := w.temporal().DescribeWorkflowExecution(w.ctx, working.WorkflowID(), ""); err != nil ||
		s.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		w.t.Errorf("%v, %v", s, err)
	}
}

// A life whose row is gone for good waits, and ends when a person says so.
func TestLifeWithoutARowEndsByAPersonsDelete(t *testing.T) {
	t.Parallel()
	r := start(t, stack.Options{Env: []string{"REELFLOW_AUDIT_EVERY=1s", "REELFLOW_AUDIT_SETTLE=1s"}})
	me := r.as("me")
	old := t.TempDir()
	r.atRest(func() { r.copyCatalog(r.dir, old) })
	id := r.upload(me, clip(t, 6, 540, true)).ID
	r.until("an encoder runs", time.Minute, func() bool { return r.encoders() > 0 })
	r.atRest(func() { r.copyCatalog(old, r.dir) })
	r.until("it waits", 2*time.Minute, func() bool {
		return strings.Contains(r.plain(string(id)).status().Waiting, "doesn't know this video")
	})
	r.plain(string(id)).signal("delete", nil)
	r.erased(id, 2*time.Minute)
}
