package secret

import (
	"bytes"
	"testing"
)

// What is authenticated for one purpose, or in other parts, is nothing elsewhere.
func TestKeysAndPartsAreApart(t *testing.T) {
	pepper := bytes.Repeat([]byte{7}, 32)
	derive := func(pepper []byte, purpose string) Key {
		k, err := Derive(pepper, purpose)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	k := derive(pepper, "session")
	if !bytes.Equal(k, derive(pepper, "session")) {
		t.Error("two gateways have different keys")
	}
	macs := map[string]string{}
	for what, mac := range map[string][]byte{
		"two parts": k.MAC("ab", "c"), "cut elsewhere": k.MAC("a", "bc"), "one part": k.MAC("abc"), "an empty one": k.MAC("ab", "c", ""), "the text": k.Sum([]byte("abc")),
		"another purpose": derive(pepper, "playback").MAC("ab", "c"), "another vault": derive(bytes.Repeat([]byte{8}, 32), "session").MAC("ab", "c"),
	} {
		if same, ok := macs[string(mac)]; ok || len(mac) != 32 {
			t.Errorf("%s has the MAC of %s", what, same)
		}
		macs[string(mac)] = what
	}
}
