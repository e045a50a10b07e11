package gateway

import (
	"bufio"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/issuer"
	"github.com/reelflow/reelflow/internal/gateway/issuer/issuertest"
	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/video"
)

type claims = issuertest.Claims

// newIssuedSite is a site whose people are vouched for by an issuer.
func newIssuedSite(t *testing.T) (*site, *issuertest.Issuer) {
	t.Helper()
	fake := issuertest.New(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(issuertest.Secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return newSiteOf(t, func(s *Settings) {
		s.Auth = fake.URL
		s.Issuer = issuer.Settings{Audience: "reelflow", ClientID: issuertest.ClientID, SecretFile: secret, OperatorClaim: "roles=reelflow-operator"}
	}), fake
}

// by sends a request with a token for the API that says these claims.
func (s *site) by(fake *issuertest.Issuer, c claims, method, path, body string, headers ...string) answer {
	s.t.Helper()
	return s.request("", method, path, body, append([]string{"Authorization", "Bearer " + fake.Token("reelflow", c)}, headers...)...)
}

func TestTokensOfAnIssuer(t *testing.T) {
	t.Parallel()
	s, fake := newIssuedSite(t)
	ann := claims{"sub": "ann", "preferred_username": "first"}
	v := s.video(s.by(fake, ann, "POST", "/v1/videos", `{"title":"Waves"}`), 201)
	if v.Owner != "ann" {
		t.Errorf("owner %q", v.Owner)
	}
	path := "/v1/videos/" + string(v.ID)
	// The same subject under another name is the same person; the same name under another subject isn't.
	s.video(s.by(fake, claims{"sub": "ann", "preferred_username": "second"}, "GET", path, ""), 200)
	s.refusal(s.by(fake, claims{"sub": "ben", "preferred_username": "first", "name": "ann"}, "GET", path, ""), video.NotFound)
	s.refusal(s.by(fake, claims{"sub": "admin"}, "GET", path, ""), video.NotFound)
	s.refusal(s.by(fake, claims{"sub": "ben", "roles": []string{"operator"}}, "POST", path+"/pause", ""), video.NotFound)
	s.video(s.by(fake, claims{"sub": "ben", "roles": []string{"reelflow-operator"}}, "POST", path+"/pause", ""), 200)
	for _, header := range []string{"Bearer dev:ann", "Bearer dev:admin", "Bearer", "Bearer ", "Basic YW5uOmFubg==", "dev:ann",
		"Bearer " + fake.Token("elsewhere", ann), "Bearer " + fake.Token("reelflow", claims{"sub": "ann", "exp": time.Now().Add(-time.Hour).Unix()})} {
		got := s.request("", "GET", path, "", "Authorization", header)
		s.refusal(got, video.Unauthenticated)
		if got.header.Get("WWW-Authenticate") == "" {
			t.Error("no WWW-Authenticate")
		}
	}
}

func TestUploadsNeedNoIssuer(t *testing.T) {
	t.Parallel()
	s, fake := newIssuedSite(t)
	made := s.by(fake, claims{"sub": "ann"}, "POST", "/v1/uploads/", "", "Tus-Resumable", "1.0.0", "Upload-Length", "11")
	if made.status != 201 {
		t.Fatalf("%d %s", made.status, made.body)
	}
	upload := made.header.Get("Location")
	expired := "Bearer " + fake.Token("reelflow", claims{"sub": "ann", "exp": 1})
	fake.SetDown(true)
	for _, header := range []string{expired, "Bearer dev:ann", "nonsense"} {
		if got := s.tus("", "HEAD", upload, "", "Authorization", header); got.status != 200 {
			t.Errorf("HEAD with %q: %d", header, got.status)
		}
	}
	if got := s.tus("", "PATCH", upload, "hello", "Upload-Offset", "0", "Authorization", expired); got.status != 204 {
		t.Errorf("PATCH: %d %s", got.status, got.body)
	}
	if got := s.tus("", "DELETE", upload, "", "Authorization", expired); got.status != 204 {
		t.Errorf("DELETE: %d %s", got.status, got.body)
	}
	s.refusal(s.tus("", "POST", "/v1/uploads/", "", "Upload-Length", "11", "Authorization", expired), video.Unauthenticated)
}

func TestAnIssuerThatIsDownFromTheStart(t *testing.T) {
	t.Parallel()
	s, fake := newIssuedSite(t)
	fake.SetDown(true)
	got := s.by(fake, claims{"sub": "ann"}, "GET", "/v1/me/videos", "")
	s.refusal(got, video.Unavailable)
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if got := s.request("", "GET", "/", ""); got.status != 200 {
		t.Errorf("a page for everybody: %d", got.status)
	}
}

func TestOddSubjectsGetNames(t *testing.T) {
	t.Parallel()
	s, fake := newIssuedSite(t)
	names := map[string]bool{}
	for _, sub := range []string{"https://login.example/users/1", "https://login.example/users/2", strings.Repeat("x", 200), "two words", "auth0|1"} {
		v := s.video(s.by(fake, claims{"sub": sub}, "POST", "/v1/videos", "{}"), 201)
		names[v.Owner] = true
		again := s.by(fake, claims{"sub": sub}, "GET", "/v1/videos/"+string(v.ID), "")
		if s.video(again, 200).Owner != v.Owner || people.CheckName(v.Owner) != nil {
			t.Errorf("%q is %q", sub, v.Owner)
		}
	}
	if len(names) != 5 || !names["auth0|1"] {
		t.Errorf("%v", names)
	}
}

// browser keeps cookies and follows redirects.
func (s *site) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &http.Client{Jar: jar}
}

func (s *site) visit(browser *http.Client, path string) (int, string, *url.URL) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), "GET", s.at(path), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	got, err := browser.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer got.Body.Close()
	var page strings.Builder
	if _, err := bufio.NewReader(got.Body).WriteTo(&page); err != nil {
		s.t.Fatal(err)
	}
	return got.StatusCode, page.String(), got.Request.URL
}

func TestSignInByAnIssuer(t *testing.T) {
	t.Parallel()
	s, fake := newIssuedSite(t)
	fake.SignedIn(claims{"sub": "ann"})
	browser := s.browser()
	status, page, at := s.visit(browser, "/signin?next=/docs&user=admin")
	if status != 200 || at.Path != "/docs" || !strings.Contains(page, "@ann") {
		t.Fatalf("%d %s %.300s", status, at, page)
	}
	v := s.video(s.by(fake, claims{"sub": "ann"}, "POST", "/v1/videos", `{"visibility":"private"}`), 201)
	if status, _, _ := s.visit(browser, "/v1/videos/"+string(v.ID)); status != 200 {
		t.Errorf("the pages' own ann is not the owner: %d", status)
	}
	home, _ := url.Parse(s.url)
	for _, c := range browser.Jar.Cookies(home) {
		if c.Name == "reelflow_signin" {
			t.Error("the attempt is still there")
		}
	}
	// Out again.
	out, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/signout", nil)
	if err != nil {
		t.Fatal(err)
	}
	out.Header.Set("Origin", s.url)
	got, err := browser.Do(out)
	if err != nil {
		t.Fatal(err)
	}
	got.Body.Close()
	if status, page, _ := s.visit(browser, "/"); status != 200 || strings.Contains(page, "@ann") {
		t.Errorf("still signed in: %d", status)
	}
	for _, next := range []string{"https://evil.example/", "//evil.example", `/\evil.example`} {
		if _, _, at := s.visit(s.browser(), "/signin?next="+url.QueryEscape(next)); at.Host != home.Host || at.Path != "/" {
			t.Errorf("next=%s leads to %s", next, at)
		}
	}
}

func TestSignInsThatFail(t *testing.T) {
	t.Parallel()
	s, fake := newIssuedSite(t)
	fake.SignedIn(nil)
	browser := s.browser()
	if status, page, at := s.visit(browser, "/signin"); status != 401 || at.Path != "/signin/callback" || !strings.Contains(page, "not signed in") {
		t.Errorf("refused at the issuer: %d %s %.200s", status, at, page)
	}
	fake.SignedIn(claims{"sub": "mallory"})
	// Somebody else's answer, brought into this browser by a link.
	stop := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	begun, err := stop.Get(s.url + "/signin")
	if err != nil {
		t.Fatal(err)
	}
	begun.Body.Close()
	answered, err := stop.Get(begun.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	answered.Body.Close()
	stolen := answered.Header.Get("Location")
	if status, _, _ := s.visit(browser, stolen); status != 401 {
		t.Errorf("another browser's answer: %d", status)
	}
	if got := s.request("", "GET", stolen, "", "Cookie", "reelflow_signin=x"); got.status != 401 || strings.Contains(got.header.Get("Set-Cookie"), people.SessionCookie) {
		t.Errorf("%d", got.status)
	}
	set := begun.Header.Get("Set-Cookie")
	if !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "SameSite=Lax") || !strings.Contains(set, "Path=/") {
		t.Error(set)
	}
	cookie, _, _ := strings.Cut(set, ";")
	if got := s.request("", "GET", stolen, "", "Cookie", cookie); got.status != 303 {
		t.Errorf("the browser that began it: %d %s", got.status, got.body)
	}
}

func TestPagesWithoutAClient(t *testing.T) {
	t.Parallel()
	fake := issuertest.New(t)
	s := newSiteOf(t, func(s *Settings) { s.Auth, s.Issuer = fake.URL, issuer.Settings{Audience: "reelflow"} })
	s.refusal(s.request("", "GET", "/signin", ""), video.NotFound)
	s.refusal(s.request("", "GET", "/signin/callback", ""), video.NotFound)
}

func TestNobodyComesBackToDevelopmentMode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.refusal(s.request("", "GET", "/signin/callback", ""), video.NotFound)
}

// A stream may last for hours: it must not outlive the token that it was opened with.
func TestStreamsEndWithTheirTokens(t *testing.T) {
	t.Parallel()
	s, fake := newIssuedSite(t)
	v := s.video(s.by(fake, claims{"sub": "ann"}, "POST", "/v1/videos", "{}"), 201)
	// A minute of leeway is granted: this has two seconds left.
	end := time.Now().Add(2*time.Second - time.Minute).Unix()
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/v1/videos/"+string(v.ID)+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+fake.Token("reelflow", claims{"sub": "ann", "exp": end}))
	got, err := http.DefaultClient.Do(r)
	if err != nil || got.StatusCode != 200 {
		t.Fatal(got, err)
	}
	defer got.Body.Close()
	all := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(got.Body) // what it ends with is judged below
		all <- string(text)
	}()
	time.Sleep(3 * time.Second)
	s.video(s.by(fake, claims{"sub": "ann"}, "POST", "/v1/videos/"+string(v.ID)+"/pause", ""), 200)
	told := <-all
	if !strings.Contains(told, `"paused":false`) || regexp.MustCompile(`"paused":true|event: gone`).MatchString(told) {
		t.Errorf("%s", told)
	}
}
