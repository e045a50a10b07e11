package activities

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/receipts"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// ended takes a video through the way out, and returns its receipt.
func (r *rig) ended(in workflows.DestroyInput) video.Receipt {
	r.t.Helper()
	r.must(r.DestroyKey(r.ctx, in))
	for _, store := range r.Stores.All() {
		r.must(r.PurgeReplica(r.ctx, workflows.StoreInput{Leg: in.Leg, Store: store.Name()}))
	}
	receipt, err := r.closeReceipt(r.ctx, in)
	r.must(err)
	return receipt
}

// opened is what the receipt says under the vault's signature.
func (r *rig) opened(receipt video.Receipt) video.Receipt {
	r.t.Helper()
	public, err := r.Vault.PublicKeys(r.ctx)
	r.must(err)
	var keys []receipts.Key
	for _, key := range public {
		keys = append(keys, receipts.Key{ID: key.ID, Public: key.Public})
	}
	set, err := json.Marshal(receipts.NewJWKSet(keys))
	r.must(err)
	opened, err := receipts.Open(receipt.JWS, set)
	r.must(err)
	r.must(receipts.CheckSame(receipt, opened))
	return opened.Receipt
}

func TestReceiptIsSignedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.uploaded(make([]byte, 3000), 1000)
	r.Receipts = ReceiptFacts{Release: "v1.2.3", Vault: "file"}
	hidden := time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond)
	in := workflows.DestroyInput{Leg: r.leg(2), Reason: video.ByDeletion, HiddenAt: hidden, DueAt: hidden.Add(48 * time.Hour)}
	receipt := r.ended(in)
	got := r.opened(receipt)
	if got.Release != "v1.2.3" || got.Technique.Vault != "file" || !got.Technique.NothingOpensAfter.Equal(got.KeyDestroyedAt) || !got.Requested.DueAt.Equal(in.DueAt) || !got.Requested.ReceivedAt.Equal(hidden) {
		t.Errorf("%+v", got)
	}
	for _, store := range got.Stores {
		if store.VerifiedAt.Before(got.KeyDestroyedAt) || store.VerifiedAt.After(got.ClosedAt) {
			t.Errorf("%+v", store)
		}
	}
	if len(got.Stores) != 3 || got.Stores[0].Removed.Objects != 3 || len(got.Exceptions) == 0 || len(got.OutOfReach) == 0 {
		t.Errorf("%+v", got)
	}
	text, err := json.Marshal(got)
	r.must(err)
	if strings.Contains(string(text), string(r.id)) || strings.Contains(string(text), `"owner"`) {
		t.Errorf("the video or a person is named: %s", text)
	}
	_, err = r.Vault.Signer(r.ctx, 0) // another key signs from now on
	r.must(err)
	again, err := r.closeReceipt(r.ctx, in)
	r.must(err)
	if again.JWS != receipt.JWS {
		t.Error("a receipt was signed twice")
	}
}

func TestReceiptTellsWhoAsked(t *testing.T) {
	t.Parallel()
	rejected := func(code string) func(*rig) {
		return func(r *rig) {
			_, err := r.Catalog.Control(r.ctx, catalog.Control{Video: r.id, Epoch: 1, Ending: video.ByRejection}, func(v *catalog.Video) {
				v.Stage, v.Failure = video.Rejected, &video.Rejection{Code: code}
			})
			r.must(err)
		}
	}
	for name, c := range map[string]struct {
		reason        video.Ending
		before        func(*rig)
		role, channel string
	}{
		"author":   {video.ByDeletion, func(r *rig) { _, err := r.Catalog.HideFor(r.ctx, r.id, video.AskedByAuthor); r.must(err) }, "author", "api"},
		"upgraded": {video.ByDeletion, func(r *rig) { _, err := r.Catalog.HideFor(r.ctx, r.id, video.AskedByUnknown); r.must(err) }, "unknown", "unknown"},
		"operator": {video.ByDeletion, func(r *rig) { _, err := r.Catalog.HideFor(r.ctx, r.id, video.AskedByOperator); r.must(err) }, "operator", "api"},
		"canceled": {video.ByCancellation, func(r *rig) {
			_, _, err := r.Catalog.AskCancelFor(r.ctx, r.id, false, video.AskedByAuthor)
			r.must(err)
		}, "author", "api"},
		"signal":   {video.ByDeletion, func(*rig) {}, "operator", "temporal"},
		"expired":  {video.ByExpiry, func(*rig) {}, "retention", "rule"},
		"gate":     {video.ByRejection, rejected("not_a_video"), "gate", "rule"},
		"reviewer": {video.ByRejection, rejected("reviewer"), "reviewer", "api"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			c.before(r)
			got := r.ended(workflows.DestroyInput{Leg: r.leg(2), Reason: c.reason, HiddenAt: time.Now()}).Requested
			if got.Role != c.role || got.Channel != c.channel {
				t.Errorf("asked as %q by %q", got.Role, got.Channel)
			}
		})
	}
}

// answering stands for the gateway as people reach it.
type answering video.Validation

func (v answering) Validate(context.Context, video.ID) video.Validation { return video.Validation(v) }

func TestReceiptTellsOfTheValidation(t *testing.T) {
	t.Parallel()
	for result, validator := range map[string]interface {
		Validate(context.Context, video.ID) video.Validation
	}{
		video.ValidationNotMade: nil,
		video.ValidationPassed:  answering{Result: video.ValidationPassed, Checks: []video.Check{{What: "GET /watch/{id}", Passed: true}}},
		video.ValidationFailed:  answering{Result: video.ValidationFailed},
	} {
		r := newRig(t)
		r.Receipts.Validator = validator
		got := r.opened(r.ended(workflows.DestroyInput{Leg: r.leg(2), Reason: video.ByDeletion, HiddenAt: time.Now()})).Validation
		last := got.Checks[len(got.Checks)-1]
		if got.Result != result || !last.Passed || !strings.Contains(last.What, "vault") || result == video.ValidationNotMade && got.Why == "" {
			t.Errorf("%s: %+v", result, got)
		}
	}
}
