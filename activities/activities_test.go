package activities

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/objects/objectstest"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// Every activity of a life runs twice, as after an answer that was lost: the
// second time changes nothing.
func TestEveryActivityMayRunTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.uploaded(clip(t), 100_000)
	twice := func(what string, run func() error) {
		t.Helper()
		r.must(run())
		before := r.inventory(r.Stores.Primary)
		if err := run(); err != nil {
			t.Errorf("%s a second time: %v", what, err)
		}
		if after := r.inventory(r.Stores.Primary); after != before {
			t.Errorf("%s a second time changed the store from %+v to %+v", what, before, after)
		}
	}
	twice("SealUpload", func() error { _, err := r.SealUpload(r.ctx, r.leg(1)); return err })
	twice("Probe", func() error { _, err := r.Probe(r.ctx, r.leg(2)); return err })
	twice("EncodePiece", func() error {
		_, err := r.EncodePiece(r.ctx, workflows.PieceInput{Leg: r.leg(3)})
		return err
	})
	twice("EncodeAudio", func() error { _, err := r.EncodeAudio(r.ctx, r.leg(3)); return err })
	twice("Package", func() error { _, err := r.Package(r.ctx, r.leg(4)); return err })
	for _, store := range r.Stores.Backups {
		in := workflows.StoreInput{Leg: r.leg(5), Store: store.Name()}
		twice("CopyReplica", func() error { return r.CopyReplica(r.ctx, in) })
		if have, want := r.inventory(store), r.inventory(r.Stores.Primary); have != want {
			t.Errorf("%s has %+v, the primary %+v", store.Name(), have, want)
		}
	}
	twice("Publish", func() error { return r.publish(6) })
	now := time.Now()
	twice("Hide", func() error { _, err := r.Hide(r.ctx, workflows.HideInput{Leg: r.leg(7), HiddenAt: now}); return err })
	end := workflows.DestroyInput{Leg: r.leg(7), Reason: video.ByDeletion, HiddenAt: now}
	twice("DestroyKey", func() error { return r.DestroyKey(r.ctx, end) })
	for _, store := range r.Stores.All() {
		twice("PurgeReplica", func() error { return r.PurgeReplica(r.ctx, workflows.StoreInput{Leg: r.leg(7), Store: store.Name()}) })
	}
	var first video.Receipt
	twice("CloseReceipt", func() error {
		receipt, err := r.closeReceipt(r.ctx, end)
		if first.VideoSHA256 == "" {
			first = receipt
		}
		if len(receipt.Stores) != 3 || receipt.KeyDestroyedAt != first.KeyDestroyedAt || receipt.Stores[1] != first.Stores[1] {
			t.Errorf("receipt %+v, first %+v", receipt, first)
		}
		return err
	})
	for _, store := range first.Stores {
		if store.Removed.Versions == 0 || !store.FoundAfter.Empty() {
			t.Errorf("receipt of %s: %+v", store.Store, store)
		}
	}
}

// What plays is HLS segments, poster and preview; pieces and sound are gone.
func TestPackageLeavesOnlyWhatPlays(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.processed()
	all, err := r.Catalog.Objects(r.ctx, r.id, catalog.Filter{Store: "primary"})
	r.must(err)
	kinds := map[string]int{}
	for _, o := range all {
		kinds[o.Kind]++
	}
	if kinds[catalog.KindPiece]+kinds[catalog.KindAudio] != 0 || kinds[catalog.KindSegment] == 0 || kinds[catalog.KindPoster] != 1 || kinds[catalog.KindPreview] != 1 {
		t.Errorf("after packaging: %v", kinds)
	}
	v, err := r.Catalog.Video(r.ctx, r.id)
	r.must(err)
	var renditions []video.Rendition
	r.must(json.Unmarshal(v.Renditions, &renditions))
	// 180x320 at 30 frames a second is level 1.3 (ITU-T H.264, table A-1).
	want := []video.Rendition{{Name: "180p", Width: 180, Height: 320, Bitrate: renditions[0].Bitrate, Codecs: "avc1.64000d,mp4a.40.2", FrameRate: 30}}
	if !slices.Equal(renditions, want) || renditions[0].Bitrate == 0 {
		t.Errorf("%+v, want %+v", renditions, want)
	}
	if found := r.inventory(r.Stores.Primary); found.Versions != len(all) {
		t.Errorf("the store has %d versions, the manifest %d rows", found.Versions, len(all))
	}
}

// A leg that was fenced off while it wrote takes back what it wrote.
func TestLateWriterTakesBackWhatItWrote(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.uploaded(clip(t), 100_000)
	_, err := r.SealUpload(r.ctx, r.leg(1))
	r.must(err)
	before := r.inventory(r.Stores.Primary)
	r.Stores.Primary = objectstest.Faulty(r.Stores.Primary, func(op objectstest.Op, key string) error {
		if op == objectstest.Put { // the pause comes while the store works
			_, err := r.Control(r.ctx, workflows.ControlInput{Leg: r.leg(9), State: video.State{Stage: video.Processing, Paused: true}})
			return err
		}
		return nil
	})
	_, err = r.Probe(r.ctx, r.leg(2))
	r.must(err)
	_, err = r.EncodeAudio(r.ctx, r.leg(3))
	if video.CodeOf(err) != video.Conflict {
		t.Errorf("a fenced-off write ends with %v", err)
	}
	if after := r.inventory(r.Stores.Primary); after != before {
		t.Errorf("the late writer left %+v, before %+v", after, before)
	}
}

// Nothing begins for a video that is paused, ending, or known to the ledger.
func TestNothingBeginsAgainstTheControlRow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.processed()
	row, err := r.Control(r.ctx, workflows.ControlInput{Leg: r.leg(20), State: video.State{Stage: video.Publishing, Paused: true}})
	r.must(err)
	if row.Epoch != 20 {
		t.Errorf("row %+v", row)
	}
	if err := r.publish(21); video.CodeOf(err) != video.Conflict {
		t.Errorf("while paused: %v", err)
	}
	if row, err = r.Control(r.ctx, workflows.ControlInput{Leg: r.leg(5), State: video.State{Stage: video.Publishing}}); err != nil || row.Epoch != 20 {
		t.Errorf("a run that was reset learns the epoch: %+v, %v", row, err)
	}
	end := workflows.DestroyInput{Leg: r.leg(22), Reason: video.ByCancellation, HiddenAt: time.Now()}
	r.must(r.DestroyKey(r.ctx, end))
	if err := r.publish(23); video.CodeOf(err) != video.Gone {
		t.Errorf("after the end: %v", err)
	}
	if _, err := r.source(r.ctx, r.id); err != nil {
		t.Fatal(err)
	}
	for _, store := range r.Stores.All() {
		r.must(r.PurgeReplica(r.ctx, workflows.StoreInput{Leg: r.leg(22), Store: store.Name()}))
	}
	_, err = r.closeReceipt(r.ctx, end)
	r.must(err)
	if row, err = r.Control(r.ctx, workflows.ControlInput{Leg: r.leg(1)}); err != nil || !row.Erased {
		t.Errorf("a run that comes after the purge: %+v, %v", row, err)
	}
}

// Something that turns up after the purge keeps the receipt open.
func TestReceiptStaysOpenWhileAnythingIsFound(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.processed()
	end := workflows.DestroyInput{Leg: r.leg(22), Reason: video.ByCancellation, HiddenAt: time.Now()}
	r.must(r.DestroyKey(r.ctx, end))
	for _, store := range r.Stores.All() {
		r.must(r.PurgeReplica(r.ctx, workflows.StoreInput{Leg: r.leg(22), Store: store.Name()}))
	}
	late := manifest.NewKey(r.id, "hls/480p/0", ".ts")
	_, err := r.Stores.Backups[1].Put(r.ctx, late, []byte("late"), objects.PutOptions{})
	r.must(err)
	if _, err := r.closeReceipt(r.ctx, end); video.CodeOf(err) != video.Conflict {
		t.Errorf("with a leftover: %v", err)
	}
	r.must(r.PurgeReplica(r.ctx, workflows.StoreInput{Leg: r.leg(22), Store: "backup-b"}))
	if _, err := r.closeReceipt(r.ctx, end); err != nil {
		t.Errorf("after another purge: %v", err)
	}
}

// The source reads like the file, from any place, in any order.
func TestSourceReadsLikeTheFile(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), 40_000)
	r.uploaded(data, 99_999)
	open, err := r.source(r.ctx, r.id)
	r.must(err)
	reader, err := open(r.ctx)
	r.must(err)
	defer reader.Close()
	for _, at := range []int64{0, 99_998, 639_999, 5, 300_000, int64(len(data)) - 1} {
		_, err := reader.Seek(at, io.SeekStart)
		r.must(err)
		part := make([]byte, min(200_000, int64(len(data))-at))
		_, err = io.ReadFull(reader, part)
		r.must(err)
		if !bytes.Equal(part, data[at:at+int64(len(part))]) {
			t.Errorf("wrong bytes from %d on", at)
		}
	}
	if end, err := reader.Seek(0, io.SeekEnd); err != nil || end != int64(len(data)) {
		t.Errorf("size %d, %v", end, err)
	}
	if _, err := reader.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

// Only a code and a safe sentence go into the history.
func TestFailuresCarryTheirCode(t *testing.T) {
	t.Parallel()
	for _, code := range video.Codes {
		err := failure(video.Errorf(code, "A safe sentence.").Because(errors.New("a secret")))
		told, ok := errors.AsType[*temporal.ApplicationError](err)
		if !ok || told.Type() != string(code) || told.NonRetryable() != code.Permanent() || bytes.Contains([]byte(told.Error()), []byte("secret")) {
			t.Errorf("%s: %v", code, err)
		}
	}
	if told, ok := errors.AsType[*temporal.ApplicationError](failure(errors.New("a secret"))); !ok || told.NonRetryable() || told.Type() != string(video.Internal) {
		t.Errorf("an unknown failure: %v", told)
	}
}

// A pause is answered only when no gateway holds the upload any more.
func TestControlWaitsForTheGateway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, ok, err := r.Catalog.Acquire(r.ctx, r.id, "gateway", 300*time.Millisecond)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	ctx, cancel := context.WithTimeout(r.ctx, 5*time.Second)
	defer cancel()
	begun := time.Now()
	_, err = r.Control(ctx, workflows.ControlInput{Leg: r.leg(1), State: video.State{Stage: video.Uploading, Paused: true}})
	r.must(err)
	if waited := time.Since(begun); waited < 250*time.Millisecond {
		t.Errorf("answered after %v, while the lease was held", waited)
	}
}
