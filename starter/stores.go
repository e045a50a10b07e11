package main

import (
	"fmt"
	"strings"

	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/video"
)

// listStores lists every store from outside, all versions, delete markers and
// unfinished multiparts, and prints what belongs to videos. Before the deletion
// there must be something of the video in each store; after it nothing but the
// ledger.
func (d *demo) listStores(when string, id video.ID, erased bool) error {
	for _, at := range d.stack.Stores {
		store, err := objects.Open(at.URL)
		if err != nil {
			return err
		}
		var ofVideo, strays, ledger int
		var found objects.Inventory
		_, err = store.Inventory(d.ctx, "", func(e objects.Entry) error {
			switch {
			case strings.HasPrefix(e.Key, "v/"):
				found.Add(e)
			case strings.HasPrefix(e.Key, "ledger/"):
				ledger++
			default:
				strays++
			}
			if strings.HasPrefix(e.Key, id.Prefix()) {
				ofVideo++
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("listing %s: %w", at.Name, err)
		}
		fmt.Fprintf(d.out, "store %s %s objects=%d versions=%d markers=%d multiparts=%d\n",
			at.Name, when, found.Objects, found.Versions, found.DeleteMarkers, found.Multiparts)
		switch {
		case strays > 0:
			return fmt.Errorf("%s holds %d things that are neither of a video nor of the ledger", at.Name, strays)
		case !erased && ofVideo == 0:
			return fmt.Errorf("%s holds nothing of the published video", at.Name)
		case erased && !found.Empty():
			return fmt.Errorf("%s still holds something of an erased video", at.Name)
		case erased && ledger == 0:
			return fmt.Errorf("%s has no record of the erasure", at.Name)
		}
	}
	return nil
}
