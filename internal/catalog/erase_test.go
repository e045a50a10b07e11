package catalog_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// ofNoVideo are the tables whose rows belong to the installation.
var ofNoVideo = []string{"installation", "adoptions", "audits", "audit_runs"}

// tables lists what the schema holds of videos, without goose's own.
func (b *bench) tables(t *testing.T, db *sql.DB) []string {
	t.Helper()
	query := "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
	if strings.HasPrefix(b.url, "sqlite") {
		query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
	}
	rows, err := db.QueryContext(t.Context(), query)
	must(t, err)
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		must(t, rows.Scan(&name))
		if !strings.HasPrefix(name, "goose") && !slices.Contains(ofNoVideo, name) {
			names = append(names, name)
		}
	}
	must(t, rows.Err())
	return names
}

// mentions counts the rows of a table in which any value contains the needle.
func mentions(t *testing.T, db *sql.DB, table, needle string) (n int) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+table)
	must(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	must(t, err)
	for rows.Next() {
		values, targets := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		must(t, rows.Scan(targets...))
		if slices.ContainsFunc(values, func(v any) bool {
			if raw, ok := v.([]byte); ok {
				v = string(raw)
			}
			return strings.Contains(fmt.Sprint(v), needle)
		}) {
			n++
		}
	}
	must(t, rows.Err())
	return n
}

// everywhere makes a video with a row in every table.
func (b *bench) everywhere(t *testing.T, secret string) (video.ID, catalog.Leg) {
	t.Helper()
	ctx, v := t.Context(), newVideo(video.NewID())
	v.Sealed = []byte(secret)
	must(t, b.CreateVideo(ctx, v, newUpload(v.ID, 1)))
	leg := catalog.Leg{Video: v.ID, Epoch: 1}
	must(t, b.Enter(ctx, leg, nil))
	b.intended(t, leg, piece(0))
	must(t, b.SetReplica(ctx, leg, catalog.Replica{Store: "backup", State: catalog.ReplicaComplete}))
	must(t, b.KeepNote(ctx, catalog.Note{Video: v.ID, Author: "reviewer", Sealed: []byte("a draft of a note")}))
	must(t, b.KeepNote(ctx, catalog.Note{Video: v.ID, Author: "reviewer", Sealed: []byte(secret)}))
	notes, err := b.NotesOf(ctx, []video.ID{v.ID})
	if n := notes[v.ID]; err != nil || len(n) != 1 || n[0].Author != "reviewer" || string(n[0].Sealed) != secret {
		t.Errorf("the notes are %+v, %v", n, err)
	}
	return v.ID, leg
}

// nameless are the tables in which no video is named.
var nameless = []string{"ledger", "receipts", "reappearances"}

func TestForgetLeavesOnlyTheReceipt(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		const secret = "a sealed caption that must not be found"
		ctx, db := t.Context(), b.raw(t)
		id, leg := b.everywhere(t, secret)
		other, _ := b.everywhere(t, "another")
		for _, table := range b.tables(t, db) {
			if n := mentions(t, db, table, string(id)); (n == 0) != slices.Contains(nameless, table) {
				t.Errorf("%d rows of the video in %s: the test must know every table", n, table)
			}
		}
		r := video.Receipt{
			VideoSHA256: id.Hash(), Reason: video.ByDeletion, HiddenAt: time.Unix(1, 0).UTC(), KeyDestroyedAt: time.Unix(2, 0).UTC(),
			Stores: []video.StoreReceipt{{Store: "backup", Removed: video.Counts{Objects: 3}}},
		}
		refused(t, "a life that goes on", b.Forget(ctx, id, r), video.Conflict)
		refused(t, "the receipt of another", b.Forget(ctx, other, r), video.Invalid)
		b.control(t, catalog.Control{Video: id, Epoch: 2, Ending: video.ByDeletion})
		_, _, err := b.Receipt(ctx, id.Hash())
		refused(t, "no receipt yet", err, video.NotFound)

		must(t, b.Forget(ctx, id, r))
		again := r
		again.Reason = video.ByExpiry
		must(t, b.Forget(ctx, id, again))

		for _, table := range b.tables(t, db) {
			if n := mentions(t, db, table, string(id)); n != 0 {
				t.Errorf("%d rows of the video are left in %s", n, table)
			}
			if n := mentions(t, db, table, string(other)); n == 0 && !slices.Contains(nameless, table) {
				t.Errorf("the other video is gone from %s", table)
			}
		}
		kept, closed, err := b.Receipt(ctx, id.Hash())
		if err != nil || fmt.Sprint(kept) != fmt.Sprint(r) || time.Since(closed) > time.Minute {
			t.Errorf("the receipt is %+v, closed at %v, %v", kept, closed, err)
		}
		l, known, err := b.Known(ctx, id.Hash())
		if err != nil || !known || l.Reason != video.ByDeletion || !l.KeyDestroyedAt.Equal(r.KeyDestroyedAt) {
			t.Errorf("the ledger has %+v, %v, %v", l, known, err)
		}
		if l.TokenHash == nil {
			t.Error("the ledger does not know the upload's URL")
		}
		_, err = b.UploadByToken(ctx, l.TokenHash)
		refused(t, "the upload's URL", err, video.Gone)
		_, err = b.UploadByToken(ctx, []byte("never given out"))
		refused(t, "a URL of nothing", err, video.NotFound)
		_, err = b.Video(ctx, id)
		refused(t, "reading", err, video.Gone)
		_, err = b.Control(ctx, catalog.Control{Video: id, Epoch: 9}, nil)
		refused(t, "commanding", err, video.Gone)
		refused(t, "a reset workflow", b.Enter(ctx, leg, nil), video.Gone)
		refused(t, "coming back", b.CreateVideo(ctx, newVideo(id), newUpload(id, 1)), video.Gone)
	})
}

func TestLedger(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		if _, known, err := b.Known(ctx, "nobody"); known || err != nil {
			t.Errorf("%v, %v", known, err)
		}
		l := catalog.Ledger{VideoSHA256: "ab", Reason: video.ByDeletion, HiddenAt: time.Unix(100, 0).UTC()}
		must(t, b.RecordLedger(ctx, l))
		later := catalog.Ledger{VideoSHA256: "ab", Reason: video.ByExpiry, HiddenAt: time.Unix(999, 0), KeyDestroyedAt: time.Unix(200, 0).UTC()}
		must(t, b.RecordLedger(ctx, later))
		must(t, b.RecordLedger(ctx, l))
		l.KeyDestroyedAt = later.KeyDestroyedAt
		if got, known, err := b.Known(ctx, "ab"); !reflect.DeepEqual(got, l) || !known || err != nil {
			t.Errorf("got %+v, %v, %v; want %+v", got, known, err, l)
		}
	})
}

// What was found, and not met again by somebody who went through the whole store since, is
// erased, although nobody lived to say so.
func TestReappearancesNotSeenAgain(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, id := t.Context(), video.NewID()
		must(t, b.Forget(ctx, id, video.Receipt{VideoSHA256: id.Hash(), Reason: video.ByDeletion}))
		must(t, b.Reappeared(ctx, id.Hash(), "backup-a", video.Counts{Objects: 1}))
		must(t, b.Reappeared(ctx, id.Hash(), "backup-b", video.Counts{Objects: 1}))
		erased := func(want bool) {
			t.Helper()
			r, _, err := b.Receipt(ctx, id.Hash())
			must(t, err)
			for _, of := range r.Reappeared {
				if (of.ErasedAt != nil) != (want && of.Store == "backup-a") {
					t.Errorf("%+v", of)
				}
			}
		}
		must(t, b.NotSeenSince(ctx, "backup-a", time.Now().Add(-time.Minute)))
		erased(false) // found since
		time.Sleep(2 * time.Millisecond)
		began := time.Now()
		must(t, b.SeenAgain(ctx, id.Hash(), "backup-a"))
		must(t, b.NotSeenSince(ctx, "backup-a", began))
		erased(false) // seen since
		time.Sleep(2 * time.Millisecond)
		must(t, b.NotSeenSince(ctx, "backup-a", time.Now()))
		erased(true)
	})
}

// What a store held of an erased video is told with the receipt, once each time that it
// was found there.
func TestReappearances(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, id := t.Context(), video.NewID()
		hash := id.Hash()
		must(t, b.Forget(ctx, id, video.Receipt{VideoSHA256: hash, Reason: video.ByDeletion}))
		must(t, b.Reappeared(ctx, video.NewID().Hash(), "backup-a", video.Counts{Objects: 9}))
		must(t, b.ErasedAgain(ctx, hash, "backup-a"))
		found := []video.Counts{{Objects: 2, Versions: 3, DeleteMarkers: 4, Multiparts: 5}, {Multiparts: 1}, {Versions: 7}}
		must(t, b.Reappeared(ctx, hash, "backup-a", found[0]))
		must(t, b.Reappeared(ctx, hash, "backup-a", found[2])) // what was not erased yet is found once more
		time.Sleep(2 * time.Millisecond)                       // they are told apart by the millisecond
		must(t, b.Reappeared(ctx, hash, "backup-b", found[1]))
		for range 2 {
			must(t, b.ErasedAgain(ctx, hash, "backup-a"))
		}
		time.Sleep(2 * time.Millisecond)
		must(t, b.Reappeared(ctx, hash, "backup-a", found[2]))
		r, _, err := b.Receipt(ctx, hash)
		must(t, err)
		if len(r.Reappeared) != 3 {
			t.Fatalf("the receipt tells of %+v", r.Reappeared)
		}
		for i, of := range r.Reappeared {
			if want := []string{"backup-a", "backup-b", "backup-a"}[i]; of.Store != want || of.Found != found[i] || (of.ErasedAt != nil) != (i == 0) || time.Since(of.FoundAt) > time.Minute {
				t.Errorf("%d: %+v", i, of)
			}
		}
		kept, err := json.Marshal(r.Reappeared)
		if err != nil || strings.Contains(string(kept), string(id)) {
			t.Errorf("it names the video: %s, %v", kept, err)
		}
	})
}

// The record of an erasure is there before the video is forgotten, and Forget
// adds the hash of the token to it, once and for all.
func TestForgetCompletesTheLedger(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, id := t.Context(), b.upload(t, 1)
		u, err := b.UploadOf(ctx, id)
		must(t, err)
		b.control(t, catalog.Control{Video: id, Epoch: 1, Ending: video.ByDeletion})
		must(t, b.RecordLedger(ctx, catalog.Ledger{VideoSHA256: id.Hash(), Reason: video.ByDeletion}))
		if found, err := b.UploadByToken(ctx, u.TokenHash); err != nil || found.Ending != video.ByDeletion {
			t.Errorf("before it is forgotten: %+v, %v", found, err)
		}
		for range 2 { // the second time there is no row to copy from
			must(t, b.Forget(ctx, id, video.Receipt{VideoSHA256: id.Hash()}))
			_, err = b.UploadByToken(ctx, u.TokenHash)
			refused(t, "forgotten", err, video.Gone)
		}
	})
}

// The file and its log must not hold what was deleted, while another process has them open.
func TestSQLiteFilesForget(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := &bench{url: "sqlite://" + filepath.Join(dir, "catalog.db")}
	b.Catalog = open(t, b.url)
	must(t, open(t, b.url).Ready(t.Context()))
	var secrets []string
	var ids []video.ID
	for i := range 40 {
		secret := fmt.Sprintf("a sealed caption, number %03d of those", i)
		id, _ := b.everywhere(t, strings.Repeat(secret, 5))
		if i%2 == 0 { // the others keep the pages half full
			ids, secrets = append(ids, id), append(secrets, secret, string(id))
		}
	}
	for _, id := range ids {
		b.control(t, catalog.Control{Video: id, Epoch: 2, Ending: video.ByDeletion})
		must(t, b.Forget(t.Context(), id, video.Receipt{VideoSHA256: id.Hash()}))
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		must(t, err)
		for _, secret := range secrets {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s still holds %q", entry.Name(), secret)
			}
		}
		if info, err := entry.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", entry.Name(), info.Mode(), err)
		}
	}
}

// A reader that stays keeps the log from being emptied: that must be told, soon.
func TestScrubTellsOfReaders(t *testing.T) {
	t.Parallel()
	b := &bench{url: "sqlite://" + filepath.Join(t.TempDir(), "catalog.db")}
	b.Catalog = open(t, b.url)
	tx, err := b.raw(t).BeginTx(t.Context(), nil)
	must(t, err)
	var n int
	must(t, tx.QueryRow("SELECT count(*) FROM videos").Scan(&n))
	b.upload(t, 1)
	begun := time.Now()
	if clean, err := b.Scrub(t.Context()); clean || err != nil {
		t.Errorf("with a reader: clean %v, %v", clean, err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	must(t, tx.Rollback())
	if clean, err := b.Scrub(t.Context()); !clean || err != nil {
		t.Errorf("without: clean %v, %v", clean, err)
	}
}

func TestReplicas(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		ctx, leg := t.Context(), catalog.Leg{Video: b.upload(t, 1), Epoch: 1}
		must(t, b.Enter(ctx, leg, nil))
		complete := catalog.Replica{Video: leg.Video, Store: "b", State: catalog.ReplicaComplete, Objects: 4, Bytes: 1 << 40, VerifiedAt: time.Unix(5, 0).UTC()}
		must(t, b.SetReplica(ctx, leg, complete))
		must(t, b.SetReplica(ctx, leg, catalog.Replica{Store: "a", State: catalog.ReplicaCopying}))
		b.control(t, catalog.Control{Video: leg.Video, Epoch: 2, Ending: video.ByDeletion})
		purge := catalog.Leg{Video: leg.Video, Epoch: 2, Ending: true}
		must(t, b.Enter(ctx, purge, nil))
		books, err := b.BeginPurge(ctx, purge, "b")
		must(t, err)
		must(t, b.Observed(ctx, books, video.Counts{Objects: 4, Versions: 5}))
		must(t, b.SetReplica(ctx, purge, catalog.Replica{Store: "b", State: catalog.ReplicaPurging, Objects: 4}))
		must(t, b.Observed(ctx, books, video.Counts{Objects: 1, Versions: 1}))
		must(t, b.Observed(ctx, books, video.Counts{}))
		must(t, b.FoundAfter(ctx, purge, "b", video.Counts{}))
		must(t, b.FoundAfter(ctx, purge, "a", video.Counts{Multiparts: 1}))

		got, err := b.Replicas(ctx, leg.Video)
		must(t, err)
		want := []catalog.Replica{
			{Video: leg.Video, Store: "a", State: catalog.ReplicaCopying, FoundAfter: video.Counts{Multiparts: 1}},
			{Video: leg.Video, Store: "b", State: catalog.ReplicaEmpty, Removed: video.Counts{Objects: 4, Versions: 5}, Purger: 1},
		}
		if !slices.Equal(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}

// However often the passes of a purge die, and whatever of their answers is lost,
// each thing removed is counted once.
func TestPurgeIsCountedExactly(t *testing.T) {
	t.Parallel()
	b := &bench{url: "sqlite://" + filepath.Join(t.TempDir(), "catalog.db")}
	b.Catalog = open(t, b.url)
	rapid.Check(t, func(r *rapid.T) {
		ctx, purge := t.Context(), catalog.Leg{Video: b.upload(t, 1), Epoch: 1, Ending: true}
		b.control(t, catalog.Control{Video: purge.Video, Epoch: 1, Ending: video.ByDeletion})
		some := rapid.IntRange(0, 50)
		store := video.Counts{Objects: some.Draw(r, "objects"), Versions: some.Draw(r, "versions"), DeleteMarkers: some.Draw(r, "markers"), Multiparts: some.Draw(r, "multiparts")}
		whole := store
		var books catalog.Purge
		attempt := func() {
			late, stale := books, store // an attempt that was thought dead has listed, too
			var err error
			books, err = b.BeginPurge(ctx, purge, "s")
			must(t, err)
			if late != (catalog.Purge{}) {
				refused(t, "a late listing", b.Observed(ctx, late, stale), video.Conflict)
			}
		}
		record := func() {
			for range rapid.IntRange(1, 2).Draw(r, "answers lost") {
				must(t, b.Observed(ctx, books, store))
			}
		}
		for range rapid.IntRange(0, 2).Draw(r, "passes that fail") {
			attempt()
			record() // a pass begins with a listing
			for _, left := range []*int{&store.Objects, &store.Versions, &store.DeleteMarkers, &store.Multiparts} {
				*left = rapid.IntRange(0, *left).Draw(r, "left")
			}
			if rapid.Bool().Draw(r, "lives to record") {
				record()
			}
		}
		attempt()
		record()
		store = video.Counts{}
		record()
		rows, err := b.Replicas(ctx, purge.Video)
		if err != nil || len(rows) != 1 || rows[0].Removed != whole || !rows[0].Listed.Empty() {
			t.Fatalf("counted %+v, %v; removed %+v", rows, err, whole)
		}
	})
}
