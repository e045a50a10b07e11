package objects

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/video"
)

const (
	refusalsKept = 1000 // whose locks are looked at
	classesNamed = 10
	// clockSkew is how long a retention that is over by our clock may last by the store's.
	clockSkew = 5 * time.Minute
)

// refusals are the entries that a store has refused to remove in one sweep.
type refusals struct {
	prefix  string
	count   int
	some    []Entry
	classes map[string]bool
	codes   map[string]bool
	cause   error // the latest
}

var (
	classForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,19}$`)
	codeForm  = regexp.MustCompile(`^[A-Za-z0-9]{1,40}$`)
)

// add notes an entry, and the code with which it was refused.
func (r *refusals) add(e Entry, code string, cause error) {
	r.count++
	r.cause = cause
	if len(r.some) < refusalsKept {
		r.some = append(r.some, e)
	}
	if r.classes == nil {
		r.classes, r.codes = map[string]bool{}, map[string]bool{}
	}
	if class := classOf(strings.TrimPrefix(e.Key, r.prefix)); len(r.classes) < classesNamed {
		r.classes[class] = true
	}
	if codeForm.MatchString(code) && len(r.codes) < classesNamed {
		r.codes[code] = true
	}
}

// classOf is what kind of object a key stands for, as its first folder says: a key
// itself could be of anybody's making.
func classOf(name string) string {
	folder, _, below := strings.Cut(name, "/")
	if below && classForm.MatchString(folder) {
		return folder + "/"
	}
	return "others"
}

// asError says what a store keeps. Why it does is known only where it has refused.
func (r *refusals) asError(store string, left int) error {
	if r.count == 0 {
		return video.Errorf(video.Unavailable, "The store %q keeps %d entries that were to be removed, though it says that they are.", store, left).
			At(store).For(video.ReasonRefused)
	}
	why := "it doesn't say why"
	if len(r.codes) > 0 {
		why = "it says " + strings.Join(slices.Sorted(maps.Keys(r.codes)), ", ")
	}
	return video.Errorf(video.Unavailable, "The store %q refuses to remove some of what is left there (%s): %s.",
		store, strings.Join(slices.Sorted(maps.Keys(r.classes)), ", "), why).At(store).For(video.ReasonRefused).Because(r.cause)
}

// final reports whether the store has refused all that is left with an answer that it
// would give again.
func (r *refusals) final(left Inventory) bool {
	entries := left.Versions + left.DeleteMarkers + left.Multiparts
	if entries == left.Multiparts { // the store lists no versions
		entries += left.Objects
	}
	return r.count >= entries && len(r.codes) == 1 && r.codes[accessDenied]
}

// perKeyError is the cause, for logs, that DeleteObjects gives for one key.
func perKeyError(e types.Error) error {
	return fmt.Errorf("%s: %s", aws.ToString(e.Code), aws.ToString(e.Message))
}

// lock is an Object Lock that keeps a store from removing something.
type lock struct {
	until time.Time // the latest retention; zero if there is none
	held  bool      // a legal hold, which ends when somebody ends it
}

// asError says until when trying again is pointless, where that is known.
func (l *lock) asError(store string) *video.Error {
	e := video.Errorf(video.Unavailable, "The store %q keeps what is under a legal hold there, which has no end date.", store)
	if !l.held {
		e = video.Errorf(video.Unavailable, "The store %q keeps what is under an Object Lock until %s.", store, l.until.UTC().Format(time.RFC3339))
		e.RetryAt = l.until
	}
	return e.At(store).For(video.ReasonObjectLock)
}

// lockOn is the lock under which all of the entries are; nil if some are under none, or
// the store doesn't tell.
func (s *S3) lockOn(ctx context.Context, entries []Entry) (*lock, error) {
	var mu sync.Mutex
	var all lock
	free := false
	usual := s.usualRetention(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(singleDeletes)
	for _, e := range entries {
		group.Go(func() error {
			of, err := s.lockOf(ctx, e)
			mu.Lock()
			defer mu.Unlock()
			if of == (lock{}) && e.Kind == Version {
				of = usual(e.Modified)
			}
			if of.until.After(all.until) {
				all.until = of.until
			}
			all.held = all.held || of.held
			free = free || of == lock{}
			return err
		})
	}
	if err := group.Wait(); err != nil || free {
		return nil, err
	}
	return &all, nil
}

// usualRetention returns the lock, by the bucket's default, of what was put at a moment:
// some stores go by that without showing it with the object.
func (s *S3) usualRetention(ctx context.Context) func(put time.Time) lock {
	out, err := s.client.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &s.bucket}, patient)
	if err != nil || out.ObjectLockConfiguration == nil || out.ObjectLockConfiguration.Rule == nil || out.ObjectLockConfiguration.Rule.DefaultRetention == nil {
		return func(time.Time) lock { return lock{} }
	}
	usual := out.ObjectLockConfiguration.Rule.DefaultRetention
	return func(put time.Time) lock {
		return notOver(put.AddDate(int(aws.ToInt32(usual.Years)), 0, int(aws.ToInt32(usual.Days))))
	}
}

// notOver is the lock of a retention, zero once it is over.
func notOver(until time.Time) lock {
	if until.Before(time.Now().Add(-clockSkew)) {
		return lock{}
	}
	return lock{until: until}
}

// lockOf is zero for what is under no lock, and where the store doesn't tell.
func (s *S3) lockOf(ctx context.Context, e Entry) (lock, error) {
	if e.Kind != Version {
		return lock{}, nil // nothing else can be locked
	}
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &e.Key, VersionId: toDelete(e.Version)}, patient)
	if err != nil {
		return lock{}, ctx.Err()
	}
	l := notOver(aws.ToTime(out.ObjectLockRetainUntilDate))
	l.held = out.ObjectLockLegalHoldStatus == types.ObjectLockLegalHoldStatusOn
	return l, nil
}
