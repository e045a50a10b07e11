package main

import (
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/video"
)

const (
	purgeKeys     = 500
	purgeVersions = 5 // of each key
)

// purges measures the removal of many versions from a store.
func (b *bench) purges() error {
	ours := &contestant{once: func() (time.Duration, error) {
		prefix, err := b.manyVersions()
		if err != nil {
			return 0, err
		}
		begun := time.Now()
		removed, err := b.stores[0].Purge(b.ctx, prefix, objects.Watch{})
		took := time.Since(begun)
		if err == nil && removed.Versions != purgeKeys*purgeVersions {
			err = fmt.Errorf("the purge removed %+v", removed)
		}
		return took, err
	}}
	left := 0
	s5cmd := &contestant{once: func() (time.Duration, error) {
		prefix, err := b.manyVersions()
		if err != nil {
			return 0, err
		}
		took, err := b.s5cmd("rm", "--all-versions", "s3://"+b.places[0].bucket+"/"+prefix+"*")
		if err != nil {
			return 0, err
		}
		found, err := b.stores[0].Inventory(b.ctx, prefix, nil)
		if err != nil {
			return 0, err
		}
		left += found.Versions
		return took, b.purge(prefix, b.stores[0])
	}}
	if err := b.compete(ours, s5cmd); err != nil {
		return err
	}
	against(fmt.Sprintf("purge of %d versions", purgeKeys*purgeVersions), ours, s5cmd, 1,
		fmt.Sprintf("ours ends with a listing of everything that is empty; peer: s5cmd rm --all-versions, which left %d versions in all", left)).print()
	return nil
}

func (b *bench) manyVersions() (prefix string, err error) {
	prefix = video.NewID().Prefix()
	var group errgroup.Group
	group.SetLimit(4)
	for i := range purgeKeys {
		group.Go(func() error {
			for range purgeVersions {
				if _, err := b.stores[0].Put(b.ctx, fmt.Sprintf("%shls/%06d.ts", prefix, i), make([]byte, 1<<10), objects.PutOptions{}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return prefix, group.Wait()
}
