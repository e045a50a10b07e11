package gateway

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/video"
)

// under sends a request under another name than the server's own.
func (s *site) under(host, method, path string, headers ...string) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Host = host
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	got, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return read(s.t, got)
}

// In development mode any page that a developer visits could do all things in anybody's
// name, would the server let it.
func TestDevelopmentModeIsForPagesOfThisMachine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Published, "public")
	s.packaged(id)
	addresses := []string{"/v1/me/videos", "/v1/videos/" + string(id), s.play("owner", id).HLS, "/openapi.json", "/v1/uploads/"}
	for _, address := range addresses {
		for _, method := range []string{"GET", "OPTIONS"} {
			if address == "/v1/uploads/" && method == "GET" {
				method = "POST" // what pages send there
			}
			for from, own := range map[string]bool{"https://evil.example": false, "null": false, s.url: true, "http://localhost:3000": true, "http://127.0.0.1.evil.example": false, "file://": false} {
				got := s.request("owner", method, address, "", "Origin", from, "Access-Control-Request-Method", "POST")
				if allowed := got.header.Get("Access-Control-Allow-Origin"); (allowed != "") != own {
					t.Errorf("%s %s from %s: %q", method, address, from, allowed)
				}
			}
		}
	}
	port := s.url[strings.LastIndex(s.url, ":"):]
	for host, own := range map[string]bool{
		"localhost" + port: true, "127.0.0.1": true, "[::1]" + port: true, "app.localhost": true, "127.9.9.9": true,
		"evil.example" + port: false, "localhost.evil.example": false, "192.0.2.1": false, "127.0.0.1.evil.example": false,
	} {
		for _, address := range []string{"/v1/me/videos", "/", "/v1/uploads/"} {
			got := s.under(host, "GET", address, "Authorization", "Bearer dev:owner")
			if (got.status == http.StatusForbidden) == own {
				t.Errorf("%s under %s: %d %s", address, host, got.status, got.body)
			}
		}
	}
}

func TestDevelopmentModeOpened(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, func(s *Settings) { s.DevAnywhere = true })
	if got := s.under("reels.example", "GET", "/v1/me/videos", "Authorization", "Bearer dev:me", "Origin", "https://app.example"); got.status != 200 ||
		got.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%d %v", got.status, got.header)
	}
}

func TestDevelopmentModeUnderItsPublicName(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, func(s *Settings) { s.PublicURL = "https://reels.example" })
	if got := s.under("reels.example", "GET", "/"); got.status != 200 {
		t.Errorf("under its public name: %d %s", got.status, got.body)
	}
}

// Links, the Location of uploads, redirects and cookies follow one rule.
func TestBehindProxies(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	said := []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "reels.example"}
	for what, row := range map[string]struct {
		change func(*Settings)
		base   string // empty for the server's own
	}{
		"trusted":         {func(s *Settings) { s.Proxies, s.DevAnywhere = proxies, true }, "https://reels.example"},
		"not trusted":     {func(*Settings) {}, ""},
		"public URL":      {func(s *Settings) { s.PublicURL = "https://public.example" }, "https://public.example"},
		"both":            {func(s *Settings) { s.PublicURL, s.Proxies = "https://public.example/", proxies }, "https://public.example"},
		"public, no TLS ": {func(s *Settings) { s.PublicURL = "http://public.example" }, "http://public.example"},
	} {
		t.Run(what, func(t *testing.T) {
			s := newSiteOf(t, row.change)
			if row.base == "" {
				row.base = s.url
			}
			v := s.video(s.request("owner", "POST", "/v1/videos", "{}", said...), 201)
			location := s.tus("owner", "POST", "/v1/uploads/", "", append(said, "Upload-Length", "5")...).header.Get("Location")
			for _, link := range []string{v.Links.Self, v.Links.Watch, *v.Upload.URL, location} {
				if !strings.HasPrefix(link, row.base+"/") {
					t.Errorf("%s is not under %s", link, row.base)
				}
			}
			set := s.request("", "GET", "/signin?user=owner", "", said...).header.Get("Set-Cookie")
			secure := strings.HasPrefix(row.base, "https:")
			if strings.HasPrefix(set, people.SecurePrefix+people.SessionCookie+"=") != secure || strings.Contains(set, "; Secure") != secure || !strings.Contains(set, "Path=/;") {
				t.Errorf("the cookie %s", set)
			}
			cookie, _, _ := strings.Cut(set, ";")
			pause := "/v1/videos/" + string(v.ID) + "/pause"
			s.refusal(s.request("", "POST", pause, "", append(said, "Cookie", cookie, "Origin", "https://evil.example")...), video.Forbidden)
			// Older browsers, and all on plain HTTP, name their page by Origin alone, while a
			// proxy may have put the name of this server into Host.
			s.video(s.request("", "POST", pause, "", append(said, "Cookie", cookie, "Origin", row.base)...), 200)
		})
	}
}

// What only those who work with a video need is not for everybody who watches it.
func TestWhatStrangersLearn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.made("owner", `{"review":true,"keep_draft":true,"reviewers":["reviewer"]}`).ID
	s.move(id, video.Published)
	s.video(s.request(people.OperatorName, "POST", "/v1/videos/"+string(id)+"/hold", ""), 200)
	for _, who := range everybody {
		v := s.video(s.request(who, "GET", "/v1/videos/"+string(id), ""), 200)
		insider := who == "owner" || who == people.OperatorName
		if v.Held != insider || v.Review != insider || v.KeepDraft != insider || (len(v.Reviewers) > 0) != insider {
			t.Errorf("%q learns %+v", who, v)
		}
	}
}

// Whoever makes up an address of playback learns from the answer no more than from the
// video's own.
func TestMadeUpAddressesTellNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	never := string(video.NewID())
	for _, stage := range []video.Stage{video.Uploading, video.Draft, video.Reviewing, video.Scheduled, video.Canceled, video.Rejected} {
		id := string(s.in(stage, "public"))
		for _, address := range []string{"/play/{id}/x/master.m3u8", "/media/{id}/720p/x.ts"} {
			got := s.request("", "GET", strings.Replace(address, "{id}", id, 1), "")
			want := s.request("", "GET", strings.Replace(address, "{id}", never, 1), "")
			if got.status != 404 || string(got.body) != string(want.body) {
				t.Errorf("%s of a video that is %s: %d %s, of none: %s", address, stage, got.status, got.body, want.body)
			}
		}
	}
}

// Behind a proxy that writes another Host it is the name that people used which counts.
func TestDevelopmentModeHeedsWhatProxiesSay(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, func(s *Settings) {
		s.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")}
	})
	for host, want := range map[string]int{"evil.example": http.StatusForbidden, "localhost:8080": http.StatusOK} {
		if got := s.request("owner", "GET", "/v1/me/videos", "", "X-Forwarded-Host", host); got.status != want {
			t.Errorf("as %s: %d %s", host, got.status, got.body)
		}
	}
}
