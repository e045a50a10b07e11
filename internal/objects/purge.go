package objects

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/reelflow/reelflow/video"
)

const (
	// deleteBatch is how many versions one request removes; S3 allows 1,000.
	// Fewer give more signs of life, and shorter requests.
	deleteBatch = 500
	// purgeStalls is how many listings in a row may show no progress.
	purgeStalls = 3
	purgePause  = 200 * time.Millisecond
)

func (s *S3) Purge(ctx context.Context, prefix string, watch Watch) (Removed, error) {
	if err := CheckPurgePrefix(s.name, prefix); err != nil {
		return Removed{}, err
	}
	p := purge{store: s, prefix: prefix, watch: watch, known: map[entryID]bool{}}
	for stalls := 0; ; {
		before := len(p.left)
		if err := p.list(ctx); err != nil {
			return p.removed(), err
		}
		if len(p.left) == 0 {
			return p.removed(), nil
		}
		if before > 0 && len(p.left) >= before {
			if stalls++; stalls == purgeStalls {
				return p.removed(), p.stuck()
			}
			if err := sleep(ctx, purgePause); err != nil {
				return p.removed(), err
			}
		}
		if err := p.sweep(ctx); err != nil {
			return p.removed(), err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

type entryID struct {
	kind         Kind
	key, version string
}

// purge is one call of Purge. What it has removed is what some listing found
// and the latest one didn't. The answers to deletions count only until the next
// listing: they may be lost, and stores have said 'deleted' of what was still
// there afterwards.
type purge struct {
	store  *S3
	prefix string
	watch  Watch

	known map[entryID]bool // whatever a listing found
	total Inventory        // of known
	left  []Entry          // the latest listing
	rest  Inventory        // of left, less what the store says it has deleted since
	cause error            // of the latest deletion that was refused
}

func (p *purge) list(ctx context.Context) error {
	var left []Entry
	found, err := p.store.Inventory(ctx, p.prefix, func(e Entry) error {
		left = append(left, e)
		return nil
	})
	if err != nil {
		return err
	}
	for _, e := range left {
		id := entryID{e.Kind, e.Key, e.Version}
		if !p.known[id] {
			p.known[id] = true
			p.total.Add(e)
		}
	}
	p.left, p.rest = left, found
	if p.watch.Found != nil {
		return p.watch.Found(found)
	}
	return nil
}

func (p *purge) removed() Removed {
	return Removed{
		Objects:       p.total.Objects - p.rest.Objects,
		Versions:      p.total.Versions - p.rest.Versions,
		DeleteMarkers: p.total.DeleteMarkers - p.rest.DeleteMarkers,
		Multiparts:    p.total.Multiparts - p.rest.Multiparts,
	}
}

func (p *purge) stuck() error {
	return video.Errorf(video.Unavailable, "The store %q keeps %d entries that were to be purged.", p.store.name, len(p.left)).At(p.store.name).Because(p.cause)
}

// sweep tries to remove all that the latest listing found. What the store
// refuses doesn't keep it from the rest; the next listing tells the outcome.
func (p *purge) sweep(ctx context.Context) error {
	// First the uploads, or one of them could still be completed into a version.
	for _, e := range p.left {
		if e.Kind != Multipart {
			continue
		}
		if err := p.tolerate(p.abort(ctx, e)); err != nil {
			return err
		}
	}
	for _, batch := range batches(p.left, deleteBatch) {
		if err := p.tolerate(p.delete(ctx, batch)); err != nil {
			return err
		}
	}
	return nil
}

// tolerate remembers a refusal of one request and lets pass what would meet
// every other request too.
func (p *purge) tolerate(err error) error {
	if _, coded := errors.AsType[*video.Error](err); !coded || video.CodeOf(err) == video.Unavailable {
		return err
	}
	p.cause = err
	return nil
}

func (p *purge) abort(ctx context.Context, e Entry) error {
	_, err := p.store.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &p.store.bucket, Key: &e.Key, UploadId: &e.Version,
	})
	if err := ignoreNotFound(p.store.fault(ctx, err)); err != nil {
		return err
	}
	p.report(e)
	return nil
}

func (p *purge) delete(ctx context.Context, batch []Entry) error {
	ids := make([]types.ObjectIdentifier, len(batch))
	for i, e := range batch {
		ids[i] = types.ObjectIdentifier{Key: &e.Key, VersionId: toDelete(e.Version)}
	}
	out, err := p.store.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket: &p.store.bucket, Delete: &types.Delete{Objects: ids, Quiet: aws.Bool(true)},
	})
	if err != nil {
		return p.store.fault(ctx, err)
	}
	refused := map[entryID]bool{}
	for _, e := range out.Errors {
		refused[entryID{"", aws.ToString(e.Key), fromWire(e.VersionId)}] = true
		p.cause = errors.New(aws.ToString(e.Code) + ": " + aws.ToString(e.Message))
	}
	p.report(slices.DeleteFunc(batch, func(e Entry) bool { return refused[entryID{"", e.Key, e.Version}] })...)
	return nil
}

// report takes what the store says it has deleted off the rest.
func (p *purge) report(gone ...Entry) {
	for _, e := range gone {
		switch e.Kind {
		case Object:
			p.rest.Objects--
		case Version:
			p.rest.Versions--
			if e.Current {
				p.rest.Objects--
			}
		case DeleteMarker:
			p.rest.DeleteMarkers--
		case Multipart:
			p.rest.Multiparts--
		}
	}
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
