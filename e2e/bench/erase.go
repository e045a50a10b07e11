package main

import (
	"fmt"
	"time"

	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/video"
)

// erase deletes a video and returns when its receipt is closed and no store shows
// anything of it, so that no benchmark runs beside the clean-up of another.
func (b *bench) erase(id video.ID) error {
	if err := b.me.Delete(b.ctx, id); err != nil && video.CodeOf(err) != video.Gone {
		return err
	}
	return b.erased(id)
}

func (b *bench) erased(id video.ID) error {
	err := b.until("the receipt of "+string(id)+" is closed", time.Minute, func() (bool, error) {
		_, err := b.me.Receipt(b.ctx, id)
		if video.CodeOf(err) == video.NotFound {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return err
	}
	empty, err := b.empty(id.Prefix())
	if err == nil && !empty {
		err = fmt.Errorf("the stores still hold something of %s after its purge", id)
	}
	return err
}

// empty reports whether no store has anything under a prefix, in any form.
func (b *bench) empty(prefix string) (bool, error) {
	for _, store := range b.stores {
		found, err := store.Inventory(b.ctx, prefix, nil)
		if err != nil || !found.Empty() {
			return false, err
		}
	}
	return true, nil
}

// purge removes what a benchmark has put into stores by itself.
func (b *bench) purge(prefix string, stores ...objects.Store) error {
	for _, store := range stores {
		if _, err := store.Purge(b.ctx, prefix, objects.Watch{}); err != nil {
			return err
		}
	}
	return nil
}

// until asks again and again whether something holds.
func (b *bench) until(what string, atMost time.Duration, holds func() (bool, error)) error {
	for end := time.Now().Add(atMost); ; {
		if done, err := holds(); done || err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("after %v still not so: %s", atMost, what)
		}
		if err := b.sleep(10 * time.Millisecond); err != nil {
			return err
		}
	}
}

func (b *bench) sleep(d time.Duration) error {
	select {
	case <-b.ctx.Done():
		return b.ctx.Err()
	case <-time.After(d):
		return nil
	}
}
