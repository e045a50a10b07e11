package identity

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"iter"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// lostWithAVault is what nobody can give back.
const lostWithAVault = "If the vault before is lost, so are the keys that only it had: their videos can't be played any more, are shown as in trouble, " +
	"and are erased only when somebody deletes them. A new vault also tells owners apart by another secret, so that people don't find their earlier videos; " +
	"operators do, by id. If the vault before is found again, put it back and run this once more."

// restoreLedger gives the vault the records of erasures that it lacks, from every store
// and from the catalog, which has those of purges that have only begun. It returns how
// many there were, and may be repeated. Unavailable when a store doesn't answer.
func (i *Installation) restoreLedger(ctx context.Context) (restored int, err error) {
	for lost, err := range i.erasures(ctx) {
		if err != nil {
			return restored, err
		}
		_, known, err := i.places.Vault.Ledger(ctx, lost.hash)
		if err != nil {
			return restored, err
		}
		if known {
			continue
		}
		record, err := lost.read()
		if err == nil {
			err = i.places.Vault.Restore(ctx, record)
		}
		if err != nil {
			return restored, err
		}
		restored++
	}
	return restored, nil
}

// erasure is one that a place has a record of.
type erasure struct {
	hash string
	read func() (vault.Record, error)
}

// erasures goes through all that stores and catalog have records of, some several times.
func (i *Installation) erasures(ctx context.Context) iter.Seq2[erasure, error] {
	return func(yield func(erasure, error) bool) {
		for _, store := range i.places.Stores.All() {
			p := storePlace{store, i.places.Vault}
			hashes, err := p.records(ctx, 0)
			if err != nil {
				yield(erasure{}, err)
				return
			}
			for hash := range hashes {
				if !yield(erasure{hash, func() (vault.Record, error) { return p.record(ctx, hash) }}, nil) {
					return
				}
			}
		}
		for l, err := range i.inCatalog(ctx) {
			if !yield(erasure{l.VideoSHA256, func() (vault.Record, error) { return ofCatalog(l), nil }}, err) || err != nil {
				return
			}
		}
	}
}

// record reads a store's copy of a record. One that can't be read, or is another's, is a
// fault that a person must look at.
func (p storePlace) record(ctx context.Context, hash string) (r vault.Record, err error) {
	body, err := p.store.Get(ctx, recordKey(hash), "", 0, -1)
	if err != nil {
		return r, err
	}
	defer body.Close() // only read
	text, err := io.ReadAll(io.LimitReader(body, 4<<10))
	if err != nil {
		return r, video.Errorf(video.Unavailable, "The store %q broke off.", p.store.Name()).At(p.store.Name()).Because(err)
	}
	if json.Unmarshal(text, &r) != nil || r.VideoSHA256 != hash {
		return r, video.Errorf(video.Internal, "The store %q has %s, which is not the record of that erasure.", p.store.Name(), recordKey(hash))
	}
	return r, nil
}

func recordKey(hash string) string { return ledgerPrefix + hash + ".json" }

// inCatalog goes through the catalog's records.
func (i *Installation) inCatalog(ctx context.Context) iter.Seq2[catalog.Ledger, error] {
	return func(yield func(catalog.Ledger, error) bool) {
		for after := ""; ; {
			page, err := i.places.Catalog.Ledgers(ctx, after, ledgerSample)
			if err != nil {
				yield(catalog.Ledger{}, err)
				return
			}
			for _, l := range page {
				if after = l.VideoSHA256; !yield(l, nil) {
					return
				}
			}
			if len(page) == 0 {
				return
			}
		}
	}
}

func ofCatalog(l catalog.Ledger) vault.Record {
	return vault.Record{
		VideoSHA256: l.VideoSHA256, Reason: string(l.Reason), HiddenAt: l.HiddenAt.Truncate(time.Millisecond),
		KeyDestroyedAt: l.KeyDestroyedAt.Truncate(time.Millisecond), TokenSHA256: hex.EncodeToString(l.TokenHash),
	}
}
