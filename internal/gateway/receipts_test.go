package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/receipts"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

func TestReceipt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Published, "public")
	path := "/v1/receipts/" + string(id)
	s.refusal(s.request("", "GET", path, ""), video.NotFound)
	s.move(id, video.Purging)
	s.refusal(s.request("", "GET", path, ""), video.NotFound)
	signed := s.closeReceipt(id)
	got := s.request("", "GET", path, "")
	var r Receipt
	if err := json.Unmarshal(got.body, &r); err != nil || got.status != 200 || r.JWS == nil || *r.JWS != signed.JWS {
		t.Fatalf("%d %s", got.status, got.body)
	}
	keys := s.request("", "GET", "/v1/receipts/key", "")
	opened, err := receipts.Open(*r.JWS, keys.body)
	if err != nil || receipts.CheckSame(r.Receipt, opened) != nil || opened.VideoSHA256 != id.Hash() {
		t.Errorf("signed: %+v, %v", opened, err)
	}
	var fields map[string]any
	if err := json.Unmarshal(got.body, &fields); err != nil {
		t.Fatal(err)
	}
	if cose, there := fields["cose"]; !there || cose != nil {
		t.Errorf("cose: %v", cose)
	}
	page := s.request("", "GET", path, "", "Accept", "text/html,*/*")
	if page.status != 200 || !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") || !strings.Contains(string(page.body), id.Hash()) {
		t.Errorf("page: %d %s", page.status, page.body)
	}
	for _, shown := range []answer{got, page, keys} {
		text := strings.ReplaceAll(strings.ReplaceAll(string(shown.body), "%2f", "/"), path, "") // the page's own address, in its link to sign in
		if strings.Contains(text, string(id)) || strings.Contains(text, "owner\"") {
			t.Errorf("the video or a person is named: %s", text)
		}
	}
	if missing := s.request("", "GET", "/v1/receipts/"+string(video.NewID()), "", "Accept", "text/html"); missing.status != http.StatusNotFound {
		t.Errorf("the page of an unknown receipt: %d", missing.status)
	}
}

// A key that signs no more is still published: what it signed can be checked for good.
func TestKeysOfOldReceipts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Published, "public")
	s.move(id, video.Purging)
	signed := s.closeReceipt(id)
	if _, err := s.vault.Signer(t.Context(), 0); err != nil { // another takes its place
		t.Fatal(err)
	}
	if _, err := receipts.Open(signed.JWS, s.request("", "GET", "/v1/receipts/key", "").body); err != nil {
		t.Error(err)
	}
}

// closeReceipt ends a video that is being purged, as a worker does.
func (s *site) closeReceipt(id video.ID) video.Receipt {
	s.t.Helper()
	record, _, err := s.vault.Ledger(s.t.Context(), id.Hash())
	if err != nil {
		s.t.Fatal(err)
	}
	key, err := s.vault.Signer(s.t.Context(), vault.SigningKeyLasts)
	if err != nil {
		s.t.Fatal(err)
	}
	at := time.Now().UTC()
	r, err := receipts.Sign(video.Receipt{
		VideoSHA256: id.Hash(), Reason: video.Ending(record.Reason), HiddenAt: record.HiddenAt, KeyDestroyedAt: record.KeyDestroyedAt, ClosedAt: at,
		Requested:  video.Request{Role: video.AskedByAuthor, Channel: video.ChannelAPI, Ground: video.ByDeletion, ReceivedAt: record.HiddenAt},
		Stores:     []video.StoreReceipt{{Store: "primary", Removed: video.Counts{Objects: 3, Versions: 3}, VerifiedAt: at}},
		Validation: video.Validation{Result: video.ValidationPassed, Checks: []video.Check{{What: "GET /watch/{id}", Answer: "410 Gone", Passed: true, At: at}}},
		Exceptions: []video.Exception{{What: "the record", Basis: "accountability"}}, Told: []video.Told{}, OutOfReach: []string{"downloads"},
	}, receipts.Key{ID: key.ID, Private: key.Private})
	if err == nil {
		err = s.catalog.Forget(s.t.Context(), id, r)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// What a worker asks before it closes a receipt is answered as it should be from the purge
// on, and not before.
func TestValidationAsksThisGateway(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Published, "public")
	asked := func(want string) {
		t.Helper()
		if got := (receipts.Gateway{Address: s.url}).Validate(t.Context(), id); got.Result != want {
			t.Errorf("%+v, want %s", got, want)
		}
	}
	asked(video.ValidationFailed)
	s.move(id, video.Purging)
	asked(video.ValidationPassed)
	s.closeReceipt(id)
	asked(video.ValidationPassed)
}
