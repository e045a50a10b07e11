package activities

import (
	"context"
	"slices"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/receipts"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// ReceiptFacts are what receipts say of the worker that closes them, and what it needs to
// validate an erasure.
type ReceiptFacts struct {
	Release string // of the worker
	Vault   string // kind of the home of the keys: file or postgres
	// Validator asks for erased videos at their old addresses, as people do; nil where no
	// address is known.
	Validator interface {
		Validate(ctx context.Context, id video.ID) video.Validation
	}
}

const (
	technique = "cryptographic erase, then the removal of every version"
	cipher    = "AES-256-GCM by 64 KiB, and AES-128-CBC for HLS segments, under keys derived from one random 256-bit key of the video; nothing of it was stored in plain"
	// rootsGoLater is said where older roots of the vault are forgotten only after the receipt was closed.
	rootsGoLater = "; older roots of the key vault are to be forgotten by nothing_opens_after"
	notAsked     = "The worker that closed the receipt knows no address of the gateway."
)

// outOfReach is what no purge reaches. What of it is the video's own is noise without its key.
func outOfReach() []string {
	return []string{
		"copies that people downloaded or recorded",
		"other sites, and search engines, that showed it or linked to it",
		"backups and replicas that the operators of a store's bucket keep elsewhere: unreadable since nothing_opens_after, there for as long as they last",
		"stores that were taken out of the settings before the erasure: unreadable since nothing_opens_after",
	}
}

// exceptions are what is kept of the video for a reason.
func exceptions() []video.Exception {
	return []video.Exception{
		{What: "the record of the erasure and this receipt: SHA-256 of the video's id, reason, times, counts",
			Basis: "GDPR 5(2), to show that it was erased; and to erase it again where a backup brings it back"},
		{What: "the history of its workflow: its id, an opaque id of its owner, settings and stages",
			Basis: "operation; it goes with the retention of the namespace in Temporal"},
	}
}

// receipt is the receipt that is kept already, or a new one, signed.
func (a *Activities) receipt(ctx context.Context, in workflows.DestroyInput, record vault.Record, stores []objects.Store, verified map[string]time.Time) (video.Receipt, error) {
	kept, _, err := a.Catalog.Receipt(ctx, record.VideoSHA256)
	if err == nil || !is(err, video.NotFound) {
		return kept, err
	}
	r, err := a.newReceipt(ctx, in, record)
	if err != nil {
		return r, err
	}
	if r.Stores, err = a.storeReceipts(ctx, in.ID, stores, verified); err != nil {
		return r, err
	}
	if r.Validation, err = a.validate(ctx, in.ID); err != nil {
		return r, err
	}
	key, err := a.Vault.Signer(ctx, vault.SigningKeyLasts)
	if err != nil {
		return r, err
	}
	r.ClosedAt = time.Now().UTC()
	return receipts.Sign(r, receipts.Key{ID: key.ID, Private: key.Private})
}

func (a *Activities) newReceipt(ctx context.Context, in workflows.DestroyInput, record vault.Record) (video.Receipt, error) {
	requested, err := a.requested(ctx, in, record)
	r := video.Receipt{
		VideoSHA256: record.VideoSHA256, Reason: video.Ending(record.Reason), Requested: requested,
		HiddenAt: record.HiddenAt, KeyDestroyedAt: record.KeyDestroyedAt,
		Technique:  video.Technique{Name: technique, Cipher: cipher, Vault: a.Receipts.Vault, NothingOpensAfter: record.KeyDestroyedAt},
		Exceptions: exceptions(), Told: []video.Told{}, OutOfReach: outOfReach(), Release: a.Receipts.Release,
	}
	if !record.RootForgottenAt.IsZero() {
		r.Technique.NothingOpensAfter = record.RootForgottenAt
	}
	if r.Technique.NothingOpensAfter.After(time.Now()) {
		r.Technique.Name += rootsGoLater
	}
	return r, err
}

// requested is what the catalog knows of the request. Of a video that it has lost nobody can
// say any more who asked.
func (a *Activities) requested(ctx context.Context, in workflows.DestroyInput, record vault.Record) (video.Request, error) {
	r := video.Request{Ground: video.Ending(record.Reason), ReceivedAt: record.HiddenAt, DueAt: in.DueAt.UTC()}
	v, err := a.Catalog.Video(ctx, in.ID)
	switch {
	case is(err, video.Gone, video.NotFound):
		r.Role, r.Channel = video.AskedByUnknown, video.ChannelUnknown
		return r, nil
	case err != nil:
		return r, err
	case r.Ground == video.ByExpiry:
		r.Role, r.Channel = video.AskedByRetention, video.ChannelRule
	case r.Ground == video.ByRejection && v.Failure != nil && v.Failure.Code != "reviewer":
		r.Role, r.Channel = video.AskedByGate, video.ChannelRule
	case r.Ground == video.ByRejection:
		r.Role, r.Channel = video.AskedByReviewer, video.ChannelAPI
	case v.AskedBy == video.AskedByUnknown:
		r.Role, r.Channel = video.AskedByUnknown, video.ChannelUnknown
	case v.AskedBy != "":
		r.Role, r.Channel = v.AskedBy, video.ChannelAPI
	default: // who can send signals is an operator
		r.Role, r.Channel = video.AskedByOperator, video.ChannelTemporal
	}
	return r, nil
}

// storeReceipts say what was removed from each store; all were found empty at these times.
func (a *Activities) storeReceipts(ctx context.Context, id video.ID, stores []objects.Store, verified map[string]time.Time) (all []video.StoreReceipt, err error) {
	replicas, err := a.Catalog.Replicas(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, store := range stores {
		of := video.StoreReceipt{Store: store.Name(), VerifiedAt: verified[store.Name()]}
		if i := slices.IndexFunc(replicas, func(r catalog.Replica) bool { return r.Store == store.Name() }); i >= 0 {
			of.Removed, of.FoundAfter = replicas[i].Removed, replicas[i].FoundAfter
		}
		all = append(all, of)
	}
	return all, nil
}

// validate asks for the video where people did, and the vault for its key.
func (a *Activities) validate(ctx context.Context, id video.ID) (video.Validation, error) {
	v := video.Validation{Result: video.ValidationNotMade, Why: notAsked}
	if a.Receipts.Validator != nil {
		v = a.Receipts.Validator.Validate(ctx, id)
	}
	loan, err := a.Vault.Lend(ctx, id)
	if err == nil {
		loan.Release()
	}
	if err != nil && !is(err, video.Gone, video.NotFound) {
		return v, err
	}
	key := video.Check{What: "the vault is asked for the key of the video", Answer: "a key", Passed: err != nil, At: time.Now().UTC()}
	if err != nil {
		key.Answer = "there is none, so that nothing that was sealed by it opens"
	} else {
		v.Result = video.ValidationFailed
	}
	v.Checks = append(v.Checks, key)
	return v, nil
}
