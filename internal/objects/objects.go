// Package objects keeps bytes in S3 stores: the primary and the backup replicas.
//
// A Store is one bucket, versioned or not. What exists in it is what was Put,
// one object a call, each put of a key adding a version where the bucket keeps
// versions; the package itself never starts a multipart upload, writes no
// object of its own, and keeps nothing on local disks. An object goes when
// Delete takes one version back, or when Purge erases everything under a
// prefix: all versions, delete markers and unfinished multipart uploads,
// whoever made them.
//
// The stores are found by URL (see Open). objectstest has a store in memory and
// the suite that every implementation passes.
package objects

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/reelflow/reelflow/video"
)

// Store is one bucket of an S3 store.
//
// All methods may be called from any number of goroutines at once. When the
// caller's context has ended, the error is ctx.Err(). Every other error is a
// *video.Error whose place is the store's name:
//
//   - Unavailable: the store can't be reached, is overloaded, refuses the
//     credentials or has lost its bucket. Trying again later helps, at the
//     latest when an operator has mended it, so none of these is permanent.
//   - NotFound: there is no such object or version.
//   - Invalid: the call itself is wrong, as said at each method.
//   - Internal: the store refused for a reason that this package doesn't know.
//
// An error doesn't prove that nothing happened: the answer may have been lost.
// That is why every method may be repeated.
type Store interface {
	// Name is the store's name in settings, receipts and metrics.
	Name() string

	// Put stores body, whole or not at all, and returns the version it became:
	// "" where the bucket keeps no versions. Body is not touched after the
	// return; one that is damaged on its way is refused and is Unavailable.
	// Repeating a put leaves the same bytes under the key, but may leave
	// more versions of them than the caller has heard of; Purge finds those.
	Put(ctx context.Context, key string, body []byte, o PutOptions) (version string, err error)

	// Get reads n bytes from offset off, to the end where n is negative, and
	// fewer where the object ends before. Version "" is the current one. It is
	// NotFound for a delete marker, and Invalid where off lies beyond the end.
	// Reads of the body return the same errors as the methods; one that breaks
	// off is Unavailable. The caller closes the body.
	Get(ctx context.Context, key, version string, off, n int64) (io.ReadCloser, error)

	// Stat tells what Get would read.
	Stat(ctx context.Context, key, version string) (Info, error)

	// Delete removes one version, or one delete marker, for good. Version is
	// what Put returned or Inventory listed: "" is what was put while the bucket
	// kept no versions, so it never leaves a delete marker behind. It is success
	// when there is no such version any more.
	Delete(ctx context.Context, key, version string) error

	// Inventory lists everything under prefix, in whatever form it exists;
	// prefix "" is the whole bucket. Visit, unless nil, is called for each entry,
	// in no particular order; its error ends the listing and is returned. What
	// is written or removed meanwhile may or may not be in it.
	Inventory(ctx context.Context, prefix string, visit func(Entry) error) (Inventory, error)

	// Purge removes everything under prefix and returns when a listing found
	// nothing. The prefix must end in "/", else it is Invalid, so that a purge
	// can't reach a neighbour whose name begins alike. It may be stopped at any
	// point and called again, also by several callers at once, and works beside
	// writers, whose objects it removes too; but it can't end while they go on
	// writing: fence them off first. What the store refuses to remove keeps it from
	// nothing else; its Unavailable then has a reason of package video.
	Purge(ctx context.Context, prefix string, watch Watch) (Removed, error)

	// Ready reports whether the bucket can be reached.
	Ready(ctx context.Context) error

	// Versioned reports whether the bucket keeps versions or, where versioning
	// is suspended, may still hold older ones.
	Versioned(ctx context.Context) (bool, error)
}

// PutOptions are optional.
type PutOptions struct {
	ContentType string
}

// Info describes an object.
type Info struct {
	Size     int64 // bytes
	ETag     string
	Version  string // "" where the bucket keeps no versions
	Modified time.Time
}

// Kind is a form in which something can exist in a bucket.
type Kind string

// The kinds. A key that a plain listing shows has both an Object and a Version
// entry: they come from listings that are independent of each other.
const (
	Object       Kind = "object"        // a key that a plain listing shows
	Version      Kind = "version"       // bytes of a key, current or older
	DeleteMarker Kind = "delete_marker" // hides the older versions of a key
	Multipart    Kind = "multipart"     // begun, and neither completed nor aborted
)

// Entry is one thing that a listing found.
type Entry struct {
	Kind     Kind
	Key      string
	Version  string    // of versions and delete markers, as Put returned it; the upload id of a multipart
	Current  bool      // the newest of its key, of versions and delete markers
	Size     int64     // bytes, of objects and versions
	Modified time.Time // of a multipart, when it was begun
}

// Inventory counts what a listing found, by kind.
type Inventory struct {
	Objects       int   `json:"objects"`
	Versions      int   `json:"versions"`
	DeleteMarkers int   `json:"delete_markers"`
	Multiparts    int   `json:"multiparts"`
	Bytes         int64 `json:"bytes"` // of the versions, or of the objects of a store that lists no versions
}

// Empty reports whether nothing was found in any form.
func (i Inventory) Empty() bool {
	return i.Objects == 0 && i.Versions == 0 && i.DeleteMarkers == 0 && i.Multiparts == 0
}

func (i Inventory) entries() int { return i.Objects + i.Versions + i.DeleteMarkers + i.Multiparts }

// Add counts one entry.
func (i *Inventory) Add(e Entry) {
	switch e.Kind {
	case Object:
		i.Objects++
	case Version:
		i.Versions++
		i.Bytes += e.Size
	case DeleteMarker:
		i.DeleteMarkers++
	case Multipart:
		i.Multiparts++
	}
}

// Removed counts what a purge has removed, by kind.
type Removed struct {
	Objects       int `json:"objects"`
	Versions      int `json:"versions"`
	DeleteMarkers int `json:"delete_markers"`
	Multiparts    int `json:"multiparts"`
}

func (r Removed) plus(o Removed) Removed {
	return Removed{r.Objects + o.Objects, r.Versions + o.Versions, r.DeleteMarkers + o.DeleteMarkers, r.Multiparts + o.Multiparts}
}

// Watch lets the caller of Purge follow it.
type Watch struct {
	// Found is called after each listing, the last and empty one too, before
	// anything that it found is removed. An error ends the purge and is
	// returned. One who records the first listing knows the exact count even
	// if the purge dies and is taken up by another call, whose own count begins
	// at zero: writers are fenced off by then, so nothing is added. It is called
	// from Purge's own goroutine, and may be nil.
	Found func(Inventory) error
	// Removed is called after each request that removed something, with what this call of
	// Purge has removed so far by the store's own word. It is called by one goroutine at
	// a time, must be quick, and may be nil.
	Removed func(Removed)
}

// CheckPurgePrefix is the rule for prefixes at Purge, the same for every Store.
func CheckPurgePrefix(store, prefix string) error {
	if strings.Trim(prefix, "/") == "" || !strings.HasSuffix(prefix, "/") {
		return video.Errorf(video.Invalid, `A purge needs a prefix that ends in "/".`).At(store)
	}
	return nil
}

// Set is the primary with its backup replicas.
type Set struct {
	Primary Store
	Backups []Store
}

// All returns the primary and then the backups.
func (s Set) All() []Store {
	return append([]Store{s.Primary}, s.Backups...)
}

// Names returns the names of all stores, the primary's first.
func (s Set) Names() (names []string) {
	for _, store := range s.All() {
		names = append(names, store.Name())
	}
	return names
}

// ByName finds a store. A name that isn't there is Unavailable rather than
// NotFound: it was taken from the settings by mistake, and work that is left
// for it must wait, not fail for good.
func (s Set) ByName(name string) (Store, error) {
	for _, store := range s.All() {
		if store.Name() == name {
			return store, nil
		}
	}
	return nil, video.Errorf(video.Unavailable, "The store %q is not configured.", name).At(name)
}
