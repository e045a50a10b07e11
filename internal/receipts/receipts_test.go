package receipts

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/video"
)

func newKey(t testing.TB, id string) Key {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return Key{ID: id, Public: public, Private: private}
}

func keySet(t testing.TB, keys ...Key) []byte {
	t.Helper()
	set, err := json.Marshal(NewJWKSet(keys))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func sample() video.Receipt {
	at := time.Date(2026, 5, 4, 3, 2, 1, 5e6, time.UTC)
	return video.Receipt{
		VideoSHA256: video.NewID().Hash(), Reason: video.ByDeletion, HiddenAt: at, KeyDestroyedAt: at.Add(time.Second),
		Requested:  video.Request{Role: video.AskedByAuthor, Channel: video.ChannelAPI, Ground: video.ByDeletion, ReceivedAt: at},
		Stores:     []video.StoreReceipt{{Store: "primary", Removed: video.Counts{Objects: 3, Versions: 4}, VerifiedAt: at}},
		Reappeared: []video.Reappearance{{Store: "primary", FoundAt: at}}, ClosedAt: at,
	}
}

func TestSignedReceipts(t *testing.T) {
	old, young := newKey(t, "old"), newKey(t, "young")
	r, err := Sign(sample(), old)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := Open(r.JWS, keySet(t, old, young))
	if err != nil || opened.KeyID != "old" || CheckSame(r, opened) != nil {
		t.Fatalf("%+v, %v", opened, err)
	}
	sent, err := json.Marshal(r) // as a stranger gets it
	if err != nil {
		t.Fatal(err)
	}
	var got video.Receipt
	if err := json.Unmarshal(sent, &got); err != nil || CheckSame(got, opened) != nil {
		t.Errorf("a receipt is another after it was sent: %v", err)
	}
	r.Stores[0].Removed.Objects++
	if CheckSame(r, opened) == nil {
		t.Error("a changed receipt goes as the signed one")
	}
	if opened.Reappeared != nil {
		t.Error("what was found later is signed")
	}
}

func TestForgedReceiptsAreRefused(t *testing.T) {
	key, other := newKey(t, "k"), newKey(t, "k")
	r, err := Sign(sample(), key)
	if err != nil {
		t.Fatal(err)
	}
	header, rest, _ := strings.Cut(r.JWS, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	encode := base64.RawURLEncoding.EncodeToString
	decoded, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		jws  string
		keys []byte
	}{
		"another key of that id": {r.JWS, keySet(t, other)},
		"an unknown key":         {r.JWS, keySet(t, newKey(t, "j"))},
		"no keys":                {r.JWS, []byte(`{"keys":[]}`)},
		"changed":                {header + "." + encode([]byte(strings.Replace(string(decoded), `"objects":3`, `"objects":4`, 1))) + "." + signature, keySet(t, key)},
		"no algorithm":           {encode([]byte(`{"alg":"none","kid":"k","typ":"`+mediaType+`"}`)) + "." + payload + ".", keySet(t, key)},
		"of another kind":        {encode([]byte(`{"alg":"EdDSA","kid":"k","typ":"JWT"}`)) + "." + payload + "." + signature, keySet(t, key)},
		"nothing":                {"", keySet(t, key)},
	} {
		if _, err := Open(c.jws, c.keys); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// The example of RFC 8037, appendix A: others come to the same signatures.
func TestSignatureOfTheStandard(t *testing.T) {
	seed, _ := base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(keySet(t, Key{ID: "a", Public: public}), &set); err != nil {
		t.Fatal(err)
	}
	k := set.Keys[0]
	if k["kty"] != "OKP" || k["crv"] != "Ed25519" || k["x"] != "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" || k["kid"] != "a" || k["d"] != "" {
		t.Errorf("the key is published as %v", k)
	}
}

func BenchmarkOpen(b *testing.B) {
	key := newKey(b, "k")
	r, err := Sign(sample(), key)
	if err != nil {
		b.Fatal(err)
	}
	keys := keySet(b, key)
	for b.Loop() {
		if _, err := Open(r.JWS, keys); err != nil {
			b.Fatal(err)
		}
	}
}
