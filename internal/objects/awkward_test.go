package objects_test

import (
	"encoding/xml"
	"fmt"
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

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/internal/devstacktest"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/video"
)

// before returns the store's URL by way of a proxy, which asks answer of each request
// whether it has answered it itself.
func before(t *testing.T, store devstacktest.Store, answer func(http.ResponseWriter, *http.Request) bool) string {
	t.Helper()
	target, err := url.Parse(store.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !answer(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return replaceHost(store, server.URL)
}

// isBatch reports whether a request is DeleteObjects.
func isBatch(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("delete") }

// refuse answers as S3 does.
func refuse(w http.ResponseWriter, r *http.Request, status int, code string) bool {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>so it is</Message></Error>", code)
	return true
}

// withEveryForm puts a few objects in some classes, older versions, a delete marker and a
// multipart upload, and returns what there is to remove.
func withEveryForm(t *testing.T, server devstacktest.Store, prefix string) objects.Removed {
	t.Helper()
	direct, client := open(t, server.URL), plainClient(t, server)
	for _, name := range []string{"source/0", "source/1", "source/2", "hls/0", "hls/1", "hls/2", "hls/3", "poster/0"} {
		put(t, direct, prefix+name)
	}
	put(t, direct, prefix+"hls/0", prefix+"hls/0", prefix+"gone")
	if _, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucketOf(t, server.URL), Key: aws.String(prefix + "gone")}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: bucketOf(t, server.URL), Key: aws.String(prefix + "source/3")}); err != nil {
		t.Fatal(err)
	}
	return objects.Removed{Objects: 8, Versions: 11, DeleteMarkers: 1, Multiparts: 1}
}

// mustPurge purges and compares with what was there.
func mustPurge(t *testing.T, store objects.Store, prefix string, want objects.Removed) {
	t.Helper()
	removed, err := store.Purge(t.Context(), prefix, objects.Watch{})
	if err != nil || removed != want {
		t.Errorf("removed %+v, %v, want %+v", removed, err, want)
	}
	if found := inventory(t, store, prefix); !found.Empty() {
		t.Errorf("left: %+v", found)
	}
}

func TestPurgeOfAwkwardStores(t *testing.T) {
	t.Parallel()
	server := devstacktest.Start(t, devstacktest.Primary).Stores[0]
	for name, test := range map[string]func(*testing.T, devstacktest.Store){
		"batches need Content-MD5":              purgesWithContentMD5,
		"no batches":                            purgesWithoutBatches,
		"no batches any more":                   purgesWhenBatchesStop,
		"batches that do nothing":               purgesWhenBatchesDoNothing,
		"fewer requests, please":                purgesSlowly,
		"fewer deletions of some keys":          purgesSlowlyKeyByKey,
		"one key refused":                       purgesAroundADeniedKey,
		"one key refused, without batches":      purgesAroundADeniedKeySingly,
		"object lock":                           purgesAroundALock,
		"object lock on all that is left":       waitsForALock,
		"legal hold on an object":               namesALegalHold,
		"more than is held in memory":           purgesPageByPage,
		"more than is held in memory, no lists": purgesPageByPageWithoutVersions,
		"probe":                                 probes,
		"probe of one that can't be purged":     probesAStoreThatCannotBePurged,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, server)
		})
	}
}

// The checksum that SDKs send nowadays is not enough for stores of before that.
func purgesWithContentMD5(t *testing.T, server devstacktest.Store) {
	var batches atomic.Int32
	store := open(t, before(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case isBatch(r) && r.Header.Get("Content-Md5") == "":
			return refuse(w, r, 400, "InvalidRequest")
		case isBatch(r):
			batches.Add(1)
		case r.Method == http.MethodDelete && !r.URL.Query().Has("uploadId"):
			t.Errorf("a request for %s alone", r.URL)
		}
		return false
	}))
	prefix := video.NewID().Prefix()
	mustPurge(t, store, prefix, withEveryForm(t, server, prefix))
	if batches.Load() == 0 {
		t.Error("no batch was sent")
	}
}

// Who has once refused a batch is not asked for another one at once, unless it was for
// what was in it.
func purgesWithoutBatches(t *testing.T, server devstacktest.Store) {
	for _, refusal := range []struct {
		status  int
		code    string
		batches int32 // in two purges
	}{
		{400, "MissingContentMD5", 1}, {400, "InvalidRequest", 1}, {501, "NotImplemented", 1}, {405, "MethodNotAllowed", 1},
		{400, "BadDigest", 1}, {403, "AccessDenied", 2},
	} {
		var batches atomic.Int32
		store := open(t, before(t, server, func(w http.ResponseWriter, r *http.Request) bool {
			if !isBatch(r) {
				return false
			}
			batches.Add(1)
			return refuse(w, r, refusal.status, refusal.code)
		}))
		for range 2 {
			prefix := video.NewID().Prefix()
			mustPurge(t, store, prefix, withEveryForm(t, server, prefix))
		}
		if n := batches.Load(); n != refusal.batches {
			t.Errorf("%s: %d batches were sent, want %d", refusal.code, n, refusal.batches)
		}
	}
}

func purgesWhenBatchesStop(t *testing.T, server devstacktest.Store) {
	var batches atomic.Int32
	store := open(t, before(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		return isBatch(r) && batches.Add(1) > 1 && refuse(w, r, 400, "MissingContentMD5")
	}))
	store.HoldInMemory(20, 1000)
	prefix := video.NewID().Prefix()
	mustPurge(t, store, prefix, fillLarge(t, open(t, server.URL), prefix, 40))
	if n := batches.Load(); n != 2 {
		t.Errorf("%d batches were sent, want one that worked and one that didn't", n)
	}
}

// There are stores whose answer to a batch says that all is well.
func purgesWhenBatchesDoNothing(t *testing.T, server devstacktest.Store) {
	store := open(t, before(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		if !isBatch(r) {
			return false
		}
		_, _ = io.WriteString(w, "<DeleteResult></DeleteResult>")
		return true
	}))
	prefix := video.NewID().Prefix()
	mustPurge(t, store, prefix, withEveryForm(t, server, prefix))
}

// Every request is refused more often than hiccups are bridged.
func purgesSlowly(t *testing.T, server devstacktest.Store) {
	for name, throttle := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"SlowDown": func(w http.ResponseWriter, r *http.Request) bool { return refuse(w, r, 503, "SlowDown") },
		"429":      func(w http.ResponseWriter, r *http.Request) bool { return refuse(w, r, 429, "") },
		"Retry-After": func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet {
				return false
			}
			w.Header().Set("Retry-After", "1")
			return refuse(w, r, 503, "ServiceUnavailable")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			refused := map[string]int{}
			store := open(t, before(t, server, func(w http.ResponseWriter, r *http.Request) bool {
				mu.Lock()
				refused[r.Method]++
				first := refused[r.Method] <= 3
				mu.Unlock()
				return first && throttle(w, r)
			}))
			prefix := video.NewID().Prefix()
			mustPurge(t, store, prefix, withEveryForm(t, server, prefix))
		})
	}
}

// batch is a DeleteObjects request.
type batch struct {
	Objects []struct {
		Key       string
		VersionId string
	} `xml:"Object"`
}

// answersBatches is a proxy's answer to DeleteObjects: of each key refusal gives the code
// with which it is refused, "" for none. What is not refused is deleted.
func answersBatches(t *testing.T, server devstacktest.Store, refusal func(key string) string) func(http.ResponseWriter, *http.Request) bool {
	client := plainClient(t, server)
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !isBatch(r) {
			return false
		}
		var in batch
		if err := xml.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/xml")
		_, _ = io.WriteString(w, "<DeleteResult>")
		for _, o := range in.Objects {
			if code := refusal(o.Key); code != "" {
				_, _ = fmt.Fprintf(w, "<Error><Key>%s</Key><VersionId>%s</VersionId><Code>%s</Code></Error>", o.Key, o.VersionId, code)
				continue
			}
			if _, err := client.DeleteObject(r.Context(), &s3.DeleteObjectInput{Bucket: bucketOf(t, server.URL), Key: &o.Key, VersionId: &o.VersionId}); err != nil {
				t.Error(err)
			}
		}
		_, _ = io.WriteString(w, "</DeleteResult>")
		return true
	}
}

func purgesSlowlyKeyByKey(t *testing.T, server devstacktest.Store) {
	var slowed atomic.Int32
	store := open(t, before(t, server, answersBatches(t, server, func(key string) string {
		if strings.Contains(key, "hls/") && slowed.Add(1) <= 12 {
			return "SlowDown"
		}
		return ""
	})))
	prefix := video.NewID().Prefix()
	mustPurge(t, store, prefix, withEveryForm(t, server, prefix))
}

// mustBeRefused purges what the store refuses a part of, and checks that the rest is gone.
func mustBeRefused(t *testing.T, store objects.Store, prefix string, all, left objects.Removed) *video.Error {
	t.Helper()
	removed, err := store.Purge(t.Context(), prefix, objects.Watch{})
	all.Objects, all.Versions = all.Objects-left.Objects, all.Versions-left.Versions
	if removed != all {
		t.Errorf("removed %+v, want %+v", removed, all)
	}
	found := inventory(t, store, prefix)
	if found.Objects != left.Objects || found.Versions != left.Versions || found.DeleteMarkers+found.Multiparts > 0 {
		t.Errorf("left: %+v", found)
	}
	refusal, ok := err.(*video.Error)
	if !ok || refusal.Code != video.Unavailable || refusal.Place != store.Name() {
		t.Fatalf("it says %v", err)
	}
	if strings.Contains(refusal.Detail, strings.Split(prefix, "/")[1]) {
		t.Errorf("it names the video: %s", refusal.Detail)
	}
	return refusal
}

func purgesAroundADeniedKey(t *testing.T, server devstacktest.Store) {
	store := open(t, before(t, server, answersBatches(t, server, func(key string) string {
		if strings.HasSuffix(key, "hls/0") {
			return "AccessDenied"
		}
		return ""
	})))
	prefix := video.NewID().Prefix()
	refusal := mustBeRefused(t, store, prefix, withEveryForm(t, server, prefix), objects.Removed{Objects: 1, Versions: 3})
	if want := `The store "primary" refuses to remove some of what is left there (hls/): it says AccessDenied.`; refusal.Detail != want || refusal.Reason != video.ReasonRefused {
		t.Errorf("it says %q for %q", refusal.Detail, refusal.Reason)
	}
}

func purgesAroundADeniedKeySingly(t *testing.T, server devstacktest.Store) {
	store := open(t, before(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		return isBatch(r) && refuse(w, r, 501, "NotImplemented") ||
			r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, "hls/0") && refuse(w, r, 403, "AccessDenied")
	}))
	prefix := video.NewID().Prefix()
	refusal := mustBeRefused(t, store, prefix, withEveryForm(t, server, prefix), objects.Removed{Objects: 1, Versions: 3})
	if refusal.Reason != video.ReasonRefused || !strings.Contains(refusal.Detail, "(hls/): it says AccessDenied") {
		t.Errorf("it says %q for %q", refusal.Detail, refusal.Reason)
	}
}

// lockable makes a bucket of its own in which objects can be locked, and returns the
// store and a client of it.
func lockable(t *testing.T, server devstacktest.Store) (*objects.S3, *s3.Client, *string) {
	t.Helper()
	client, name := plainClient(t, server), fmt.Sprintf("locked-%d", buckets.Add(1))
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name, ObjectLockEnabledForBucket: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	return open(t, strings.Replace(server.URL, "/reelflow?", "/"+name+"?", 1)), client, &name
}

// What the store may not delete yet stays, and is told; it keeps nothing else alive.
func purgesAroundALock(t *testing.T, server devstacktest.Store) {
	store, client, bucket := lockable(t, server)
	prefix, until := video.NewID().Prefix(), time.Now().Add(time.Hour)
	put(t, store, prefix+"hls/a", prefix+"hls/c")
	for i, name := range []string{"hls/b", "source/0"} {
		_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: bucket, Key: aws.String(prefix + name), Body: strings.NewReader("locked"),
			ObjectLockMode: types.ObjectLockModeCompliance, ObjectLockRetainUntilDate: aws.Time(until.Add(time.Duration(i) * time.Hour)),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	refusal := mustBeRefused(t, store, prefix, objects.Removed{Objects: 4, Versions: 4}, objects.Removed{Objects: 2, Versions: 2})
	last := until.Add(time.Hour)
	if off := refusal.RetryAt.Sub(last).Abs(); off > time.Second || refusal.Reason != video.ReasonObjectLock ||
		!strings.Contains(refusal.Detail, "under an Object Lock until "+refusal.RetryAt.UTC().Format(time.RFC3339)) {
		t.Errorf("it says %q for %q, until %v, want %v", refusal.Detail, refusal.Reason, refusal.RetryAt, last)
	}
}

// Once the lock is over a purge succeeds.
func waitsForALock(t *testing.T, server devstacktest.Store) {
	store, client, bucket := lockable(t, server)
	prefix := video.NewID().Prefix()
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: bucket, Key: aws.String(prefix + "hls/b"), Body: strings.NewReader("locked"),
		ObjectLockMode: types.ObjectLockModeGovernance, ObjectLockRetainUntilDate: aws.Time(time.Now().Add(3 * time.Second)),
	})
	if err != nil {
		t.Fatal(err)
	}
	for {
		_, err := store.Purge(t.Context(), prefix, objects.Watch{})
		if err == nil {
			break
		}
		refusal, ok := err.(*video.Error)
		if !ok || refusal.Reason != video.ReasonObjectLock {
			t.Fatal(err)
		}
		time.Sleep(max(100*time.Millisecond, time.Until(refusal.RetryAt)))
	}
	if found := inventory(t, store, prefix); !found.Empty() {
		t.Errorf("left: %+v", found)
	}
}

func namesALegalHold(t *testing.T, server devstacktest.Store) {
	store, client, bucket := lockable(t, server)
	prefix := video.NewID().Prefix()
	put(t, store, prefix+"hls/a")
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: bucket, Key: aws.String(prefix + "hls/b"), Body: strings.NewReader("held"),
		ObjectLockLegalHoldStatus: types.ObjectLockLegalHoldStatusOn,
	})
	if err != nil {
		t.Fatal(err)
	}
	refusal := mustBeRefused(t, store, prefix, objects.Removed{Objects: 2, Versions: 2}, objects.Removed{Objects: 1, Versions: 1})
	if refusal.Reason != video.ReasonObjectLock || !refusal.RetryAt.IsZero() || !strings.Contains(refusal.Detail, "legal hold there, which has no end date") {
		t.Errorf("it says %q for %q until %v", refusal.Detail, refusal.Reason, refusal.RetryAt)
	}
}

// fillLarge puts n objects and returns what there is to remove.
func fillLarge(t testing.TB, store objects.Store, prefix string, n int) objects.Removed {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(16)
	for i := range n {
		group.Go(func() error {
			_, err := store.Put(t.Context(), fmt.Sprintf("%spiece/%d/%06d", prefix, i%4, i), []byte("content"), objects.PutOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	found, err := store.Inventory(t.Context(), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	return objects.Removed{Objects: found.Objects, Versions: found.Versions} // a put may leave a version more
}

func purgesPageByPage(t *testing.T, server devstacktest.Store) {
	for entries, page := range map[int]int32{1: 1000, 7: 5, 20: 10, 50: 1000} {
		store, prefix := open(t, server.URL), video.NewID().Prefix()
		store.HoldInMemory(entries, page)
		want := withEveryForm(t, server, prefix)
		more := fillLarge(t, store, prefix, 20)
		want.Objects, want.Versions = more.Objects, more.Versions
		mustPurge(t, store, prefix, want)
	}
}

func purgesPageByPageWithoutVersions(t *testing.T, server devstacktest.Store) {
	bucket := newBucket(t, server)
	direct := server
	direct.URL = bucket
	store := open(t, before(t, direct, func(w http.ResponseWriter, r *http.Request) bool {
		return r.URL.Query().Has("versions") && refuse(w, r, 501, "NotImplemented")
	}))
	prefix := video.NewID().Prefix()
	store.HoldInMemory(7, 3)
	mustPurge(t, store, prefix, fillLarge(t, store, prefix, 20))
}

// A probe leaves nothing, clears up after another one, and finds out what there is to know.
func probes(t *testing.T, server devstacktest.Store) {
	server.URL = newBucket(t, server)
	var batches atomic.Int32
	store := open(t, before(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		return isBatch(r) && batches.Add(1) > 0 && refuse(w, r, 501, "NotImplemented")
	}))
	put(t, store, "ledger/probe/left-by-another")
	for range 2 {
		if err := objects.Probe(t.Context(), store); err != nil {
			t.Fatal(err)
		}
	}
	if n := batches.Load(); n != 1 {
		t.Errorf("%d batches were sent, want the first alone", n)
	}
	if found := inventory(t, store, "ledger/"); !found.Empty() {
		t.Errorf("left: %+v", found)
	}
	var group errgroup.Group
	for range 4 {
		group.Go(func() error { return objects.Probe(t.Context(), store) })
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

func probesAStoreThatCannotBePurged(t *testing.T, server devstacktest.Store) {
	locked, client, bucket := lockable(t, server)
	_, err := client.PutObjectLockConfiguration(t.Context(), &s3.PutObjectLockConfigurationInput{
		Bucket: bucket, ObjectLockConfiguration: &types.ObjectLockConfiguration{
			ObjectLockEnabled: types.ObjectLockEnabledEnabled,
			Rule:              &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{Mode: types.ObjectLockRetentionModeCompliance, Days: aws.Int32(1)}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		refusal, ok := objects.Probe(t.Context(), locked).(*video.Error)
		if !ok || refusal.Reason != video.ReasonObjectLock || time.Until(refusal.RetryAt) < 23*time.Hour {
			t.Errorf("a locked bucket: %v", refusal)
		}
	}
	if found := inventory(t, locked, "ledger/"); found.Versions != 1 {
		t.Errorf("three probes left %+v", found)
	}
	blind := open(t, before(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			return false
		}
		_, _ = io.WriteString(w, "<Result><IsTruncated>false</IsTruncated></Result>")
		return true
	}))
	if err := objects.Probe(t.Context(), blind); video.CodeOf(err) != video.Internal {
		t.Errorf("a store that lists nothing: %v", err)
	}
}
