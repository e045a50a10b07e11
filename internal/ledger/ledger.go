// Package ledger applies the vault's ledger of erasures to the catalog. The two lie
// apart on purpose: the catalog is in every backup, the ledger never rolls back. So
// a catalog that was restored has again what was erased since, and must be told.
//
// Nothing exists here: the records are the vault's and stay for good, what the
// catalog makes of them is catalog.ApplyLedger's.
package ledger

import (
	"context"
	"encoding/hex"
	"iter"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// Apply makes the catalog know every erasure that the vault knows, and returns how
// many it lacked: none, unless it was restored or somebody died between the two. It
// goes at every start, before anything is served or done, and in every audit; it may
// run anywhere and any number of times at once. It fails with Unavailable when one of
// the two can't be reached: then nothing may be served.
func Apply(ctx context.Context, v vault.Vault, c *catalog.Catalog) (lacking int, err error) {
	return c.ApplyLedger(ctx, records(v.Records(ctx)))
}

func records(of iter.Seq2[vault.Record, error]) iter.Seq2[catalog.Ledger, error] {
	return func(yield func(catalog.Ledger, error) bool) {
		for r, err := range of {
			var l catalog.Ledger
			if err == nil {
				l, err = inCatalog(r)
			}
			if !yield(l, err) || err != nil {
				return
			}
		}
	}
}

// inCatalog is a record as the catalog keeps it.
func inCatalog(r vault.Record) (catalog.Ledger, error) {
	token, err := hex.DecodeString(r.TokenSHA256)
	if err != nil {
		return catalog.Ledger{}, video.Errorf(video.Internal, "The key vault is damaged.").Because(err)
	}
	return catalog.Ledger{
		VideoSHA256: r.VideoSHA256, TokenHash: token, Reason: video.Ending(r.Reason),
		HiddenAt: r.HiddenAt, KeyDestroyedAt: r.KeyDestroyedAt,
	}, nil
}
