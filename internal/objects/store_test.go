package objects_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/video"
)

// through returns the store's URL by way of a proxy, which asks drop after each
// request that the store has done whether its answer gets lost.
func through(t *testing.T, store devstacktest.Store, drop func(*http.Request) bool) string {
	t.Helper()
	target, err := url.Parse(store.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		ModifyResponse: func(r *http.Response) error {
			if drop(r.Request) {
				panic(http.ErrAbortHandler)
			}
			return nil
		},
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return replaceHost(store, server.URL)
}

// damaging returns the store's URL by way of a proxy that changes one bit of
// each body that is put.
func damaging(t *testing.T, store devstacktest.Store) string {
	t.Helper()
	target, err := url.Parse(store.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
		if r.In.Method != http.MethodPut {
			return
		}
		body, err := io.ReadAll(r.In.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		body[len(body)/2] ^= 1
		r.Out.Body = io.NopCloser(bytes.NewReader(body))
	}})
	t.Cleanup(server.Close)
	return replaceHost(store, server.URL)
}

func replaceHost(store devstacktest.Store, by string) string {
	return strings.Replace(store.URL, strings.TrimPrefix(store.Endpoint, "http://"), strings.TrimPrefix(by, "http://"), 1)
}

func inventory(t *testing.T, store objects.Store, prefix string) objects.Inventory {
	t.Helper()
	found, err := store.Inventory(t.Context(), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func put(t *testing.T, store objects.Store, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if _, err := store.Put(t.Context(), key, []byte("content"), objects.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// wantUnavailable runs every method against a store that can't serve.
func wantUnavailable(t *testing.T, store objects.Store, sentence string) {
	t.Helper()
	var calls sync.WaitGroup
	for name, call := range map[string]func(context.Context) error{
		"put": func(ctx context.Context) error {
			_, err := store.Put(ctx, "k", []byte("content"), objects.PutOptions{})
			return err
		},
		"stat":      func(ctx context.Context) error { _, err := store.Stat(ctx, "k", ""); return err },
		"get":       func(ctx context.Context) error { _, err := store.Get(ctx, "k", "", 0, -1); return err },
		"delete":    func(ctx context.Context) error { return store.Delete(ctx, "k", "") },
		"inventory": func(ctx context.Context) error { _, err := store.Inventory(ctx, "", nil); return err },
		"purge":     func(ctx context.Context) error { _, err := store.Purge(ctx, "v/x/", objects.Watch{}); return err },
		"ready":     func(ctx context.Context) error { return store.Ready(ctx) },
		"versioned": func(ctx context.Context) error { _, err := store.Versioned(ctx); return err },
	} {
		calls.Go(func() {
			err := call(t.Context())
			if e, ok := errors.AsType[*video.Error](err); !ok || e.Code != video.Unavailable || !strings.Contains(e.Detail, sentence) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	calls.Wait()
}

func TestStoreTroubles(t *testing.T) {
	t.Parallel()
	stack := devstacktest.Start(t, devstacktest.Primary)
	server := stack.Stores[0]

	t.Run("wrong credentials", func(t *testing.T) {
		wantUnavailable(t, open(t, strings.Replace(server.URL, ":reelflow-local@", ":wrong@", 1)), "refuses the credentials")
		wantUnavailable(t, open(t, strings.Replace(server.URL, "reelflow:reelflow", "stranger:reelflow", 1)), "refuses the credentials")
	})
	t.Run("no bucket", func(t *testing.T) {
		wantUnavailable(t, open(t, strings.Replace(server.URL, "/reelflow?", "/elsewhere?", 1)), "no such bucket")
	})
	t.Run("a body damaged on its way", func(t *testing.T) {
		prefix := video.NewID().Prefix()
		store := open(t, damaging(t, server))
		_, err := store.Put(t.Context(), prefix+"k", []byte("what was meant"), objects.PutOptions{})
		if video.CodeOf(err) != video.Unavailable {
			t.Errorf("answered %v, want %s", err, video.Unavailable)
		}
		if found := inventory(t, store, prefix); found != (objects.Inventory{}) {
			t.Errorf("the store kept %+v of it", found)
		}
	})
	t.Run("lost answer of a put", func(t *testing.T) {
		var lost atomic.Int32
		store := open(t, through(t, server, func(r *http.Request) bool { return r.Method == http.MethodPut && lost.Add(1) == 1 }))
		prefix := video.NewID().Prefix()
		version, err := store.Put(t.Context(), prefix+"k", []byte("content"), objects.PutOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if found := inventory(t, store, prefix); found.Objects != 1 || found.Versions != 2 {
			t.Fatalf("a put again left %+v", found)
		}
		if err := store.Delete(t.Context(), prefix+"k", version); err != nil {
			t.Fatal(err)
		}
		if removed, err := store.Purge(t.Context(), prefix, objects.Watch{}); err != nil || removed.Versions != 1 {
			t.Fatalf("the version nobody knew of: removed %+v, %v", removed, err)
		}
	})
	t.Run("lost answers of a purge", func(t *testing.T) {
		var requests atomic.Int32
		store := open(t, through(t, server, func(*http.Request) bool { return requests.Add(1)%2 == 0 }))
		prefix := video.NewID().Prefix()
		direct := open(t, server.URL)
		put(t, direct, prefix+"a", prefix+"a", prefix+"b")
		removed, err := store.Purge(t.Context(), prefix, objects.Watch{})
		if err != nil || removed != (objects.Removed{Objects: 2, Versions: 3}) {
			t.Fatalf("removed %+v, %v", removed, err)
		}
		if found := inventory(t, direct, prefix); !found.Empty() {
			t.Fatalf("left %+v", found)
		}
	})
	t.Run("a body that breaks off", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("half"))
		}))
		defer server.Close()
		store := open(t, "s3://u:p@"+strings.TrimPrefix(server.URL, "http://")+"/bucket?tls=false&name=broken")
		body, err := store.Get(t.Context(), "k", "", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		if _, err := io.ReadAll(body); video.CodeOf(err) != video.Unavailable {
			t.Fatal(err)
		}
	})
	t.Run("versioning suspended", func(t *testing.T) { purgesWhatSuspensionLeft(t, server) })
	t.Run("killed, frozen and back", func(t *testing.T) { diesAndComesBack(t, stack) })
}

func diesAndComesBack(t *testing.T, stack *devstacktest.Stack) {
	store := open(t, stack.Stores[0].URL)
	prefix := video.NewID().Prefix()
	put(t, store, prefix+"a", prefix+"a", prefix+"b")

	var first objects.Inventory
	_, err := store.Purge(t.Context(), prefix, objects.Watch{Found: func(found objects.Inventory) error {
		first = found
		stack.Kill(t, devstacktest.Primary)
		return nil
	}})
	if video.CodeOf(err) != video.Unavailable || first.Versions != 3 {
		t.Fatalf("a purge whose store died: found %+v, then %v", first, err)
	}
	wantUnavailable(t, store, "can't be reached")
	stack.Restart(t, devstacktest.Primary)
	if removed, err := store.Purge(t.Context(), prefix, objects.Watch{}); err != nil || removed.Versions != first.Versions {
		t.Fatalf("taken up again: removed %+v, %v", removed, err)
	}

	put(t, store, prefix+"a")
	stack.Freeze(t, devstacktest.Primary)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := store.Put(ctx, prefix+"b", bytes.Repeat([]byte("b"), 8<<20), objects.PutOptions{}); err != context.DeadlineExceeded {
		t.Fatalf("a put into a frozen store: %v", err)
	}
	stack.Thaw(t, devstacktest.Primary)
	if _, err := store.Purge(t.Context(), prefix, objects.Watch{}); err != nil {
		t.Fatal(err)
	}
}

// A bucket that kept versions for a while holds both kinds of them.
func purgesWhatSuspensionLeft(t *testing.T, server devstacktest.Store) {
	rawURL := newBucket(t, server)
	store, client, prefix := open(t, rawURL), plainClient(t, server), video.NewID().Prefix()
	put(t, store, prefix+"k")
	for _, status := range []types.BucketVersioningStatus{types.BucketVersioningStatusEnabled, types.BucketVersioningStatusSuspended} {
		_, err := client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
			Bucket: bucketOf(t, rawURL), VersioningConfiguration: &types.VersioningConfiguration{Status: status},
		})
		if err != nil {
			t.Fatal(err)
		}
		put(t, store, prefix+"k", prefix+"k", prefix+string(status))
	}
	if versioned, err := store.Versioned(t.Context()); err != nil || !versioned {
		t.Fatalf("versioned %v, %v", versioned, err)
	}
	before := inventory(t, store, prefix)
	removed, err := store.Purge(t.Context(), prefix, objects.Watch{})
	if err != nil || before.Versions < 5 || removed.Objects != 3 || removed.Versions != before.Versions {
		t.Fatalf("removed %+v of %+v, %v", removed, before, err)
	}
}

// A store that says 'deleted' and keeps everything must not get a purge to end.
func TestPurgeOfAStoreThatLies(t *testing.T) {
	const versions = `<ListVersionsResult><IsTruncated>false</IsTruncated><Version><Key>v/x/k</Key><VersionId>1</VersionId><IsLatest>true</IsLatest><Size>7</Size></Version>
		<Version><Key>v/other/k</Key><VersionId>2</VersionId><IsLatest>true</IsLatest><Size>7</Size></Version></ListVersionsResult>`
	var deleted atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		query := r.URL.Query()
		switch {
		case query.Has("versions"):
			_, _ = io.WriteString(w, versions)
		case r.Method == http.MethodDelete:
			deleted.Add(1)
		case query.Has("delete"):
			request, _ := io.ReadAll(r.Body)
			if !bytes.Contains(request, []byte("v/x/k")) || bytes.Contains(request, []byte("v/other/k")) {
				t.Errorf("asked to delete %s", request)
			}
			deleted.Add(1)
			_, _ = io.WriteString(w, `<DeleteResult></DeleteResult>`)
		case query.Has("uploads"):
			_, _ = io.WriteString(w, `<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>`)
		default:
			_, _ = io.WriteString(w, `<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>`)
		}
	}))
	defer server.Close()
	store := open(t, "s3://u:p@"+strings.TrimPrefix(server.URL, "http://")+"/bucket?tls=false&name=liar")
	removed, err := store.Purge(t.Context(), "v/x/", objects.Watch{})
	if video.CodeOf(err) != video.Unavailable || removed.Versions != 0 || deleted.Load() < 2 {
		t.Fatalf("removed %+v after %d requests, %v", removed, deleted.Load(), err)
	}
}

// A listing that doesn't move on is no listing of everything.
func TestListingThatDoesNotMoveOn(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		_, _ = io.WriteString(w, `<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker></ListVersionsResult>`)
	}))
	defer server.Close()
	store := open(t, "s3://u:p@"+strings.TrimPrefix(server.URL, "http://")+"/bucket?tls=false&name=endless")
	if _, err := store.Inventory(t.Context(), "", nil); video.CodeOf(err) != video.Internal {
		t.Fatal(err)
	}
}
