package origin

import (
	"net/http/httptest"
	"testing"
)

func TestAddressesThatCount(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.7:1": "192.0.2.7", "[::ffff:192.0.2.7]:1": "192.0.2.7", "[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:1": "fe80::/64", "@": "@",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = from
		if got := (Rule{}).Of(r).Address; got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
	}
}
