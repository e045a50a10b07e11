package objects

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/video"
)

const (
	// deleteBatch is how many versions one request removes; S3 allows 1,000.
	// Fewer give more signs of life, and shorter requests.
	deleteBatch = 500
	// singleDeletes is how many keys are removed side by side where each needs requests
	// of its own.
	singleDeletes = 8
	// batchesAgain is how long a store that has refused a batch is asked for no other one.
	batchesAgain = 10 * time.Minute
)

// deleteAll removes what is no multipart upload of the entries, in batches where the
// store takes them. After a sweep that removed nothing it doesn't trust them either.
func (p *purge) deleteAll(ctx context.Context, entries []Entry) error {
	for _, batch := range batches(entries, deleteBatch) {
		if p.stalls == 0 && p.store.takesBatches() {
			err := p.deleteBatch(ctx, batch)
			if !refusesBatch(err) {
				if err := p.tolerate(err, batch...); err != nil {
					return err
				}
				continue
			}
			if errorCode(err) != accessDenied {
				p.store.batchRefused.Store(time.Now().UnixNano())
			}
		}
		if err := p.deleteSingly(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

func (s *S3) takesBatches() bool {
	return time.Since(time.Unix(0, s.batchRefused.Load())) > batchesAgain
}

// refusesBatch reports whether a store has refused a whole DeleteObjects, rather than
// some of the keys: there are stores that don't have it, or want another checksum
// than they are given, or forbid all of it because of one key. What would meet single
// deletions too is no such refusal.
func refusesBatch(err error) bool {
	if err == nil || !isCoded(err) {
		return false
	}
	switch video.CodeOf(err) {
	case video.Internal, video.Invalid:
		return true
	case video.Unavailable:
		code := errorCode(err)
		return httpStatus(err) == http.StatusNotImplemented || code == "NotImplemented" || code == accessDenied || isDamage(code)
	}
	return false
}

// deleteBatch removes some entries with one request, and again those for which the
// store asks to be given time.
func (p *purge) deleteBatch(ctx context.Context, batch []Entry) error {
	for attempt := 1; ; attempt++ {
		slowed, err := p.deleteObjects(ctx, batch)
		if err != nil || len(slowed) == 0 {
			return err
		}
		if attempt > throttlesBorne {
			return throttled(p.store.name).At(p.store.name).For(video.ReasonThrottled)
		}
		if err := sleep(ctx, throttleDelay(attempt, nil)); err != nil {
			return err
		}
		batch = slowed
	}
}

// deleteObjects is one request of deleteBatch. It returns the entries that the store
// wants to be asked for later.
func (p *purge) deleteObjects(ctx context.Context, batch []Entry) (slowed []Entry, err error) {
	ids := make([]types.ObjectIdentifier, len(batch))
	for i, e := range batch {
		ids[i] = types.ObjectIdentifier{Key: &e.Key, VersionId: toDelete(e.Version)}
	}
	out, err := p.store.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket: &p.store.bucket, Delete: &types.Delete{Objects: ids, Quiet: aws.Bool(true)},
	}, patient, withContentMD5)
	if err != nil {
		return nil, p.store.fault(ctx, err)
	}
	codes := map[entryID]types.Error{}
	for _, e := range out.Errors {
		codes[entryID{aws.ToString(e.Key), fromWire(e.VersionId)}] = e
	}
	gone := slices.DeleteFunc(slices.Clone(batch), func(e Entry) bool {
		refusal, is := codes[entryID{e.Key, e.Version}]
		switch code := aws.ToString(refusal.Code); {
		case !is, isMissing(code):
			return false
		case throttles[code]:
			slowed = append(slowed, e)
		default:
			p.mu.Lock()
			p.refused.add(e, code, perKeyError(refusal))
			p.mu.Unlock()
		}
		return true
	})
	p.report(gone...)
	return slowed, nil
}

// withContentMD5 adds the header that stores demanded of DeleteObjects before there
// were other checksums, and that some still do. The SDK's CRC32 stays beside it.
func withContentMD5(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, smithyhttp.AddContentChecksumMiddleware)
}

// entryID names a version or delete marker.
type entryID struct{ key, version string }

// deleteSingly removes entries with a request each. Those of a key go one after the
// other, in their order.
func (p *purge) deleteSingly(ctx context.Context, entries []Entry) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(singleDeletes)
	for len(entries) > 0 {
		n := slices.IndexFunc(entries, func(e Entry) bool { return e.Key != entries[0].Key })
		if n < 0 {
			n = len(entries)
		}
		key := entries[:n]
		entries = entries[n:]
		group.Go(func() error {
			for _, e := range key {
				if err := p.store.deleteVersion(ctx, e.Key, e.Version, patient); err == nil {
					p.report(e)
				} else if err := p.tolerate(err, e); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// batches cuts what has versions into requests of at most size entries. All of
// a key go together, the current one last: deleted first, it would uncover the
// version below it, which stores do at a cost, and not safely when another
// request works on the same key.
func batches(left []Entry, size int) [][]Entry {
	byKey := map[string][]Entry{}
	var keys []string
	add := func(e Entry) {
		if len(byKey[e.Key]) == 0 {
			keys = append(keys, e.Key)
		}
		byKey[e.Key] = append(byKey[e.Key], e)
	}
	for _, e := range left {
		if e.Kind == Version || e.Kind == DeleteMarker {
			add(e)
		}
	}
	for _, e := range left {
		if e.Kind == Object && len(byKey[e.Key]) == 0 { // the store lists no versions
			add(e)
		}
	}
	var all [][]Entry
	var batch []Entry
	for _, key := range keys {
		entries := byKey[key]
		slices.SortStableFunc(entries, currentLast)
		if len(batch) > 0 && len(batch)+len(entries) > size {
			all, batch = append(all, batch), nil
		}
		batch = append(batch, entries...)
		for len(batch) > size {
			all, batch = append(all, batch[:size:size]), batch[size:]
		}
	}
	if len(batch) > 0 {
		all = append(all, batch)
	}
	return all
}

func currentLast(a, b Entry) int {
	switch {
	case a.Current == b.Current:
		return a.Modified.Compare(b.Modified)
	case a.Current:
		return 1
	default:
		return -1
	}
}
