package objects

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/reelflow/reelflow/video"
)

const (
	// purgeKeeps is how many entries of a listing a purge holds in memory, some MiB. What is
	// longer is listed once more, and removed page by page meanwhile.
	purgeKeeps = 10_000
	// purgeStalls is how many listings in a row may show no progress.
	purgeStalls = 3
	purgePause  = 200 * time.Millisecond
)

func (s *S3) Purge(ctx context.Context, prefix string, watch Watch) (Removed, error) {
	if err := CheckPurgePrefix(s.name, prefix); err != nil {
		return Removed{}, err
	}
	p := &purge{store: s, prefix: prefix, watch: watch}
	err := p.run(ctx)
	if coded, ok := errors.AsType[*video.Error](err); ok && isThrottle(err) {
		err = coded.For(video.ReasonThrottled)
	}
	return p.removed(), err
}

func (p *purge) run(ctx context.Context) error {
	for {
		if err := p.list(ctx); err != nil || p.listed.Empty() {
			return err
		}
		if p.stalls > 0 {
			if err := p.afterStall(ctx); err != nil {
				return err
			}
		}
		if err := p.sweep(ctx); err != nil {
			return err
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

// purge is one call of Purge. What it has removed is what one listing found and the
// next one didn't. The answers to deletions count only until the next listing: they
// may be lost, and stores have said 'deleted' of what was still there afterwards.
type purge struct {
	store  *S3
	prefix string
	watch  Watch

	begun   bool
	listed  Inventory // the latest listing
	kept    []Entry   // of it, as many as are held in memory
	earlier Removed   // before the latest listing
	stalls  int       // latest listings in a row that found no less than the one before

	mu      sync.Mutex
	since   Removed  // what the store says it has removed since the latest listing
	refused refusals // of the latest sweep
}

func (p *purge) list(ctx context.Context) error {
	var kept []Entry
	found, err := p.store.Inventory(ctx, p.prefix, func(e Entry) error {
		if len(kept) < p.store.keeps {
			kept = append(kept, e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if p.begun && found.entries() >= p.listed.entries() {
		p.stalls++
	} else {
		p.stalls = 0
	}
	p.begun = true
	p.earlier = p.earlier.plus(Removed{
		Objects:       max(0, p.listed.Objects-found.Objects),
		Versions:      max(0, p.listed.Versions-found.Versions),
		DeleteMarkers: max(0, p.listed.DeleteMarkers-found.DeleteMarkers),
		Multiparts:    max(0, p.listed.Multiparts-found.Multiparts),
	})
	p.listed, p.kept, p.since = found, kept, Removed{}
	if p.watch.Found != nil {
		return p.watch.Found(found)
	}
	return nil
}

func (p *purge) removed() Removed { return p.earlier.plus(p.since) }

// afterStall decides whether another sweep may help after one that removed nothing, and
// waits a moment before it.
func (p *purge) afterStall(ctx context.Context) error {
	if p.stalls == 1 && p.refused.count > 0 {
		lock, err := p.store.lockOn(ctx, p.refused.some)
		if err != nil {
			return err
		}
		if lock != nil {
			return lock.asError(p.store.name).Because(p.refused.cause)
		}
	}
	if p.stalls >= purgeStalls || p.refused.final(p.listed) {
		return p.refused.asError(p.store.name, p.listed.entries())
	}
	return sleep(ctx, purgePause)
}

// sweep tries to remove all that the latest listing found. What the store refuses
// doesn't keep it from the rest; the next listing tells the outcome.
func (p *purge) sweep(ctx context.Context) error {
	p.refused = refusals{prefix: p.prefix}
	if p.listed.entries() > len(p.kept) {
		return p.sweepWhileListing(ctx)
	}
	// First the uploads, or one of them could still be completed into a version.
	for _, e := range p.kept {
		if e.Kind != Multipart {
			continue
		}
		if err := p.abort(ctx, e); err != nil {
			return err
		}
	}
	return p.deleteAll(ctx, p.kept)
}

// sweepWhileListing is sweep for more than fits into memory.
func (p *purge) sweepWhileListing(ctx context.Context) error {
	err := p.store.listMultiparts(ctx, p.prefix, func(e Entry) error { return p.abort(ctx, e) })
	if err != nil {
		return err
	}
	var chunk []Entry
	flush := func() error {
		err := p.deleteAll(ctx, chunk)
		chunk = nil
		return err
	}
	add := func(e Entry) error {
		n, enough := len(chunk), max(1, p.store.keeps/2)
		if n >= p.store.keeps || n >= enough && chunk[n-1].Key != e.Key {
			if err := flush(); err != nil {
				return err
			}
		}
		chunk = append(chunk, e)
		return nil
	}
	list := p.store.listVersions
	if p.listed.Versions+p.listed.DeleteMarkers == 0 { // the store lists no versions
		list = p.store.listObjects
	}
	if err := list(ctx, p.prefix, add); err != nil {
		return err
	}
	return flush()
}

// tolerate remembers that the store has refused to remove some entries, and returns
// what every other request would meet too.
func (p *purge) tolerate(err error, refused ...Entry) error {
	if err == nil {
		return nil
	}
	if video.CodeOf(err) == video.Unavailable && errorCode(err) != accessDenied || !isCoded(err) {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range refused {
		p.refused.add(e, errorCode(err), err)
	}
	return nil
}

func (p *purge) abort(ctx context.Context, e Entry) error {
	_, err := p.store.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &p.store.bucket, Key: &e.Key, UploadId: &e.Version,
	}, patient)
	if err := ignoreNotFound(p.store.fault(ctx, err)); err != nil {
		return p.tolerate(err, e)
	}
	p.report(e)
	return nil
}

// report counts what the store says it has removed.
func (p *purge) report(gone ...Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range gone {
		switch e.Kind {
		case Object:
			p.since.Objects++
		case Version:
			p.since.Versions++
			if e.Current {
				p.since.Objects++
			}
		case DeleteMarker:
			p.since.DeleteMarkers++
		case Multipart:
			p.since.Multiparts++
		}
	}
	if len(gone) > 0 && p.watch.Removed != nil {
		p.watch.Removed(p.removed())
	}
}
