package catalog_test

import (
	"reflect"
	"testing"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// What is read of several videos at once is what is read of each, and nothing of another.
func TestListsReadWhatSingleVideosDo(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		ids := []video.ID{b.upload(t, 1), b.upload(t, -1), b.upload(t, 3)}
		for i, id := range ids {
			leg := catalog.Leg{Video: id, Epoch: 1}
			must(t, b.Enter(ctx, leg, nil))
			for n := range i + 1 {
				must(t, b.Commit(ctx, leg, written(b.intended(t, leg, piece(n)), "some")))
				must(t, b.SetReplica(ctx, leg, catalog.Replica{Store: []string{"c", "b", "a"}[n], State: catalog.ReplicaComplete, Objects: i}))
				must(t, b.KeepNote(ctx, catalog.Note{Video: id, Author: []string{"z", "y", "x"}[n], Sealed: []byte(id)}))
			}
		}
		asked := append(ids[:2:2], video.NewID())
		uploads, err := b.UploadsOf(ctx, asked)
		must(t, err)
		replicas, err := b.ReplicasOf(ctx, asked)
		must(t, err)
		holdings, err := b.HoldingsOf(ctx, asked)
		must(t, err)
		notes, err := b.NotesOf(ctx, asked)
		must(t, err)
		if len(uploads) != 2 || len(replicas) != 2 || len(holdings) != 2 || len(notes) != 2 {
			t.Errorf("of two videos: %d uploads, %d replicas, %d holdings, %d notes", len(uploads), len(replicas), len(holdings), len(notes))
		}
		for i, id := range asked[:2] {
			u, err := b.UploadOf(ctx, id)
			must(t, err)
			if !reflect.DeepEqual(uploads[id], u) || u.Video != id {
				t.Errorf("upload %+v, want %+v", uploads[id], u)
			}
			if of := replicas[id]; len(of) != i+1 || of[0].Video != id || of[0].Objects != i || of[i].Store != "c" {
				t.Errorf("replicas %+v", of)
			}
			if of := holdings[id]["primary"]; of.Objects != i+1 || of.Bytes == 0 || of.Store != "primary" {
				t.Errorf("holdings %+v", holdings[id])
			}
			if of := notes[id]; len(of) != i+1 || of[i].Author != "z" || string(of[0].Sealed) != string(id) {
				t.Errorf("notes %+v", of)
			}
		}
	})
}
