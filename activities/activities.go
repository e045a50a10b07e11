// Package activities touches the world for a life: stores, ffmpeg, the catalog
// and the vault. One file a phase; object.go is how anything is written to a
// store, source.go how the sealed upload is read.
//
// Every activity may run twice, may be answered into the void, and may wake up
// after its time: whatever it writes into the catalog goes under the leg's epoch,
// which looks into the ledger and fails when a later leg has begun. What a fenced-off
// activity has already put into a store it takes back. Work that deletes before it
// writes is fenced by attempt, too: see catalog.EnterExclusive.
//
// What the catalog doesn't know may be erased (Gone), for the ledger says so, or
// unknown (NotFound): restored from a backup, or the wrong catalog. An unknown is
// never the end of a video; nothing is destroyed or taken back because of it.
package activities

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/fetch"
	"github.com/reelflow/reelflow/internal/media"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// Activities is the outside world of Lifecycle. All fields must be set; Media is
// needed by the media role alone, Fetch by the transfer role.
type Activities struct {
	Catalog  *catalog.Catalog
	Vault    vault.Vault
	Stores   objects.Set
	Media    *media.Tools
	Fetch    *fetch.Client
	Temporal client.Client
	Log      *slog.Logger

	// Identity tells whether the places above belong together; nil where nobody asks.
	Identity interface {
		Check(ctx context.Context) error
	}

	// Settling is how old a row must be before the lack of a workflow means
	// something: the gateway writes the row first and starts the workflow then.
	Settling time.Duration
	// Policy is what lives go by that the audit begins again: all of it but the publish
	// delay of a video that has its own.
	Policy video.Policy

	// Receipts is what receipts of erasures say of the worker that closes them.
	Receipts ReceiptFacts

	// Process is this one, among those that take media work.
	Process Process

	audits   auditBounds   // zero: usualBounds
	handBack time.Duration // zero: handBackTime
}

var (
	_ workflows.Activities      = (*Activities)(nil)
	_ workflows.AuditActivities = (*Activities)(nil)
)

// Register gives a worker of a task queue the activities that run there, under
// the names by which workflows ask for them.
func (a *Activities) Register(w worker.ActivityRegistry, queue string) {
	for name, f := range a.of(queue) {
		w.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name})
	}
}

func (a *Activities) of(queue string) map[string]any {
	switch queue {
	case video.ControlQueue:
		return map[string]any{
			"Control": a.Control, "ReadControl": a.ReadControl, "CheckUpload": a.CheckUpload, "SealUpload": a.SealUpload,
			"Publish": a.Publish, "Hide": a.Hide, "DestroyKey": a.DestroyKey, "Audit": a.Audit,
		}
	case video.TransferQueue:
		return map[string]any{
			"Import": a.Import, "CopyAhead": a.CopyAhead, "CopyReplica": a.CopyReplica,
			"MergeUpload":  a.MergeUpload,
			"PurgeReplica": a.PurgeReplica, "CloseReceipt": a.CloseReceipt,
		}
	case video.MediaQueue:
		return map[string]any{
			"Probe": a.Probe, "EncodePiece": a.EncodePiece, "EncodeAudio": a.EncodeAudio, "Package": a.Package,
		}
	}
	return nil
}

// fence is the leg as the catalog knows it.
func fence(l workflows.Leg) catalog.Leg { return catalog.Leg{Video: l.ID, Epoch: l.Epoch} }

// wayOut is a leg of the way out.
func wayOut(l workflows.Leg) catalog.Leg {
	return catalog.Leg{Video: l.ID, Epoch: l.Epoch, Ending: true}
}

// is reports whether err is an error of one of these codes.
func is(err error, codes ...video.Code) bool {
	return err != nil && slices.Contains(codes, video.CodeOf(err))
}

// The first heartbeat of an activity is always sent, and each is an action: work
// that ends within quiet costs none. Well below the heartbeat timeout.
const (
	quiet = 5 * time.Second
	every = 2 * time.Second // the SDK sends far fewer
)

// heart beats for long work until the context ends or stop is called.
func heart(ctx context.Context) (stop func()) {
	return heartWith(ctx, func() { activity.RecordHeartbeat(ctx) })
}

// heartWith is heart with beats that say something.
func heartWith(ctx context.Context, beat func()) (stop func()) {
	if !activity.IsActivity(ctx) {
		return func() {} // called by itself, in a test
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		wait := quiet
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
				beat()
				wait = every
			}
		}
	}()
	return cancel
}
