package main

import (
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/internal/facts"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// publishedIn makes a published video with one object and its facts in the store of a gateway, as
// workers leave it.
func publishedIn(t *testing.T, o *opened) video.ID {
	t.Helper()
	ctx, id, store := t.Context(), video.NewID(), o.installation.Stores().Primary
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(o.keys.Make(ctx, id))
	token := sha256.Sum256([]byte(id))
	must(o.rows.CreateVideo(ctx, catalog.Video{ID: id, Owner: "0f", Visibility: "public", Stage: video.Published, PublishedAt: time.Now()},
		catalog.Upload{Video: id, TokenHash: token[:], Idle: time.Hour}))
	leg := catalog.Leg{Video: id, Epoch: 1}
	must(o.rows.Enter(ctx, leg, nil))
	put := func(o catalog.Object, w manifest.Writer, plain []byte) { must(w.PutSealed(ctx, leg, o, plain)) }
	w := manifest.Writer{Catalog: o.rows, Vault: o.keys, Primary: store}
	put(catalog.Object{Key: manifest.NewKey(id, "poster/whole", ".jpg"), Kind: catalog.KindPoster}, w, []byte("poster"))
	v, err := o.rows.Video(ctx, id)
	must(err)
	u, err := o.rows.UploadOf(ctx, id)
	must(err)
	all, err := o.rows.Objects(ctx, id, catalog.Filter{Stored: true})
	must(err)
	f := facts.Of(v, 1, u, all)
	f.Generation = v.Revision
	plain, err := f.Encode()
	must(err)
	put(catalog.Object{Key: manifest.NewKey(id, facts.Path(f.Generation), ""), Kind: catalog.KindFacts, Index: int(f.Generation)}, w, plain)
	return id
}

// answerOf is what a gateway says to somebody who asks for a video.
func answerOf(t *testing.T, o *opened, id video.ID) (int, string) {
	t.Helper()
	server := httptest.NewServer(o.gateway.Handler())
	defer server.Close()
	answer, err := http.Get(server.URL + "/v1/videos/" + string(id))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, strings.ReplaceAll(string(body), server.URL, "")
}

// The catalog is lost: an empty one is adopted and rebuilt, and answers as before. A gateway
// doesn't start with the empty one before, and neither does the rebuilding.
func TestCatalogRebuildFromTheCommandLine(t *testing.T) {
	s, dir := devstacktest.Start(t, devstacktest.Temporal, devstacktest.Primary), t.TempDir()
	run := func(args ...string) (string, error) {
		t.Helper()
		run, sh, out := command(t, s, dir, args...)
		err := run.Run(sh)
		return out.String(), err
	}
	o, err := gatewayOn(t, s, dir)
	if err != nil {
		t.Fatal(err)
	}
	id, erased, broken := publishedIn(t, o), publishedIn(t, o), publishedIn(t, o)
	if _, err := o.keys.Destroy(t.Context(), vault.Intent{ID: erased, Reason: "deleted"}); err != nil {
		t.Fatal(err)
	}
	store := o.installation.Stores().Primary
	var key string
	_, err = store.Inventory(t.Context(), broken.Prefix()+"facts/", func(e objects.Entry) error { key = e.Key; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), key, []byte("noise"), objects.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	code, before := answerOf(t, o, id)
	o.close()
	lost, err := filepath.Glob(filepath.Join(dir, "catalog.db*"))
	if err != nil || len(lost) == 0 {
		t.Fatal(lost, err)
	}
	for _, file := range lost {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}

	if _, err := run("catalog", "rebuild"); err == nil || !strings.Contains(err.Error(), "starter adopt catalog") {
		t.Errorf("before the catalog was adopted: %v", err)
	}
	for _, place := range []string{"catalog", "temporal"} { // the latter may not have answered in time when it was founded
		if said, err := run("adopt", place); err != nil {
			t.Fatal(said, err)
		}
	}
	said, err := run("catalog", "rebuild", "--dry-run")
	if exitCode(t.Context(), err) != 1 || !strings.Contains(said, "would be made 1, there already 0, erased 1, not published 0, without facts 0, failed 1\n") {
		t.Errorf("dry: %q, %v", said, err)
	}
	for _, want := range []string{"\nmade 1, there already 0", "\nmade 0, there already 1"} {
		said, err = run("catalog", "rebuild")
		if exitCode(t.Context(), err) != 1 || !strings.Contains("\n"+said, want) || !strings.Contains(said, "not made "+string(broken)+"; the store") {
			t.Errorf("it said %q, %v; want %q", said, err, want)
		}
	}
	if o, err = gatewayOn(t, s, dir); err != nil {
		t.Fatal(err)
	}
	defer o.close()
	if again, after := answerOf(t, o, id); again != code || code != http.StatusOK || withoutRevision(after) != withoutRevision(before) {
		t.Errorf("it was %d %s\nand is %d %s", code, before, again, after)
	}
	if code, answer := answerOf(t, o, erased); code != http.StatusGone {
		t.Errorf("the erased one: %d %s", code, answer)
	}
}

// withoutRevision is an answer without what counts the changes of a row.
func withoutRevision(answer string) string {
	at := strings.Index(answer, `"revision":`)
	if at < 0 {
		return answer
	}
	return answer[:at]
}
