package origin

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

// Who says under which address a request came is believed only where they are a proxy of ours.
func TestOrigins(t *testing.T) {
	behind := Rule{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	said := []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "reels.example", "X-Forwarded-For", "203.0.113.9"}
	for what, row := range map[string]struct {
		rule          Rule
		from          string
		headers       []string
		base, address string
	}{
		"alone":                     {behind, "10.0.0.1:1", nil, "http://gateway.lan:8080", "10.0.0.1"},
		"by a proxy":                {behind, "10.0.0.1:1", said, "https://reels.example", "203.0.113.9"},
		"by a proxy in IPv6":        {behind, "[fd00::1]:1", said, "https://reels.example", "203.0.113.9"},
		"by a mapped proxy":         {behind, "[::ffff:10.0.0.1]:1", said, "https://reels.example", "203.0.113.9"},
		"by a stranger":             {behind, "192.0.2.1:1", said, "http://gateway.lan:8080", "192.0.2.1"},
		"without proxies":           {Rule{}, "10.0.0.1:1", said, "http://gateway.lan:8080", "10.0.0.1"},
		"the public URL wins":       {Rule{"https://public.example", behind.Proxies}, "10.0.0.1:1", said, "https://public.example", "203.0.113.9"},
		"scheme alone":              {behind, "10.0.0.1:1", said[:2], "https://gateway.lan:8080", "10.0.0.1"},
		"the scheme's own port":     {behind, "10.0.0.1:1", []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "reels.example:443"}, "https://reels.example", "10.0.0.1"},
		"made up by the client":     {behind, "10.0.0.1:1", []string{"X-Forwarded-For", "198.51.100.1, 203.0.113.9", "X-Forwarded-Host", "evil.example, reels.example"}, "http://reels.example", "203.0.113.9"},
		"two proxies":               {behind, "10.0.0.1:1", []string{"X-Forwarded-For", "203.0.113.9, 10.0.0.2"}, "http://gateway.lan:8080", "203.0.113.9"},
		"what can be no host":       {behind, "10.0.0.1:1", []string{"X-Forwarded-Host", `a"b`}, "http://gateway.lan:8080", "10.0.0.1"},
		"nonsense":                  {behind, "10.0.0.1:1", []string{"X-Forwarded-For", "unknown", "X-Forwarded-Host", "a/b", "X-Forwarded-Proto", "javascript"}, "http://gateway.lan:8080", "10.0.0.1"},
		"as RFC 7239 has it":        {behind, "10.0.0.1:1", []string{"Forwarded", `for="[2001:db8:1:2::9]:4711";proto=https;host=reels.example`}, "https://reels.example", "2001:db8:1:2::/64"},
		"a client's own RFC 7239":   {behind, "10.0.0.1:1", append([]string{"Forwarded", "host=evil.example;proto=http"}, said...), "https://reels.example", "203.0.113.9"},
		"a client's, and a proxy's": {behind, "10.0.0.1:1", []string{"Forwarded", "for=198.51.100.1;host=evil.example, for=203.0.113.9;proto=https"}, "https://gateway.lan:8080", "203.0.113.9"},
	} {
		r := httptest.NewRequest("GET", "http://gateway.lan:8080/", nil)
		r.RemoteAddr = row.from
		for i := 0; i < len(row.headers); i += 2 {
			r.Header.Set(row.headers[i], row.headers[i+1])
		}
		var got, again Origin
		row.rule.WithOrigin(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got, again = From(r.Context()), row.rule.Of(r)
			if r.Header.Get("Forwarded") != "" {
				t.Errorf("%s: what is not believed is passed on", what)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
		if want := (Origin{row.base, row.address}); got != want || again.Base != want.Base {
			t.Errorf("%s: %+v, then %+v, want %+v", what, got, again, want)
		}
	}
}

func TestOwnOrigin(t *testing.T) {
	o := Origin{Base: "https://reels.example"}
	for header, own := range map[string]bool{
		"https://reels.example": true, "http://Reels.example": true, "https://evil.example": false, "https://reels.example:81": false,
		"null": false, "": false, "https://reels.example.evil.example": false,
	} {
		if o.Own(header) != own {
			t.Errorf("%q: %v", header, !own)
		}
	}
}

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
