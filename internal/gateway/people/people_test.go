package people

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/issuer"
	"github.com/reelflow/reelflow/video"
)

// of is who an issuer vouches for; development mode without one.
func of(t testing.TB, issuerURL string) *People {
	t.Helper()
	s := Settings{Auth: "dev"}
	if issuerURL != "" {
		s = Settings{Auth: issuerURL, Issuer: issuer.Settings{Audience: "reelflow"}}
	}
	p, err := New(s, bytes.Repeat([]byte{7}, 32), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// callerBy asks who sends a request with a cookie of this value.
func callerBy(p *People, value string) (who Person, err error) {
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: SessionCookie, Value: value})
	p.WithCaller(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		who, err = Caller(r.Context())
	})).ServeHTTP(httptest.NewRecorder(), r)
	return who, err
}

func TestSessionsOfAnotherIssuerAreVoid(t *testing.T) {
	p, development := of(t, "https://issuer.example"), of(t, "")
	until := time.Now().Add(time.Hour)
	for what, value := range map[string]string{
		"development mode":  development.newSession(Development(OperatorName), until),
		"another issuer":    of(t, "https://other.example").newSession(Person{Name: "ann"}, until),
		"an attempt":        p.stamp("signin", append([]byte{1, 0, 0, 0, 0x7f, 0, 0, 0, 0}, "admin"...)),
		"long ago":          p.newSession(Person{Name: "ann", Operator: true}, time.Now().Add(-time.Second)),
		"nothing but stamp": p.stamp("session", nil),
	} {
		if who, err := callerBy(p, value); err != nil || !who.Anonymous() {
			t.Errorf("%s: %+v %v", what, who, err)
		}
	}
	who, err := callerBy(p, p.newSession(Person{Name: "ann", Operator: true}, until))
	if err != nil || who.Name != "ann" || !who.Operator || who.Until.Unix() != until.Unix() {
		t.Errorf("%+v %v", who, err)
	}
	if p.OwnerID("ann") == development.OwnerID("ann") {
		t.Error("the owner of development mode is the same person")
	}
}

func TestRedirectsStayOnThisSite(t *testing.T) {
	for _, next := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "javascript:x"} {
		if got := localPath(next); got != "/" {
			t.Errorf("next=%q leads to %q", next, got)
		}
	}
}

func TestRates(t *testing.T) {
	b, now := NewRates(60), time.Now()
	for range 60 {
		if err := b.Take("a", "things", now); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 { // what is refused costs nothing
		if wait := b.wait("a", now); wait < 900*time.Millisecond || wait > time.Second {
			t.Fatalf("wait %v", wait)
		}
	}
	if err := b.Take("a", "things", now.Add(1001*time.Millisecond)); err != nil {
		t.Error(err)
	}
	if b.wait("a", now.Add(1002*time.Millisecond)) == 0 {
		t.Error("two for one second")
	}
	if b.wait("b", now) != 0 || len(b.known) != 2 {
		t.Error("somebody else has to wait")
	}
	b.wait("c", now.Add(3*time.Minute))
	if len(b.known) != 1 {
		t.Errorf("%d are remembered", len(b.known))
	}
	if NewRates(0).Take("a", "things", now) != nil {
		t.Error("no limit is a limit")
	}
}

func FuzzSession(f *testing.F) {
	p, other := of(f, "https://issuer.example"), of(f, "")
	until := time.Now().Add(time.Hour)
	good := p.newSession(Person{Name: "ann"}, until)
	for _, seed := range []string{"", good, other.newSession(Development("admin"), until), p.stamp("signin", []byte("{}")), good[:40]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if _, ok := p.openStamp("session", value); ok && value != good {
			t.Errorf("%q holds", value)
		}
	})
}

func FuzzBearer(f *testing.F) {
	for _, seed := range []string{"", "Bearer dev:ann", "bearer  dev:a", "Basic x", "Bearer dev:../x", "Bearer dev:\x00", "Bearer dev:" + strings.Repeat("é", 64)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		who, err := developmentBearer(header)
		if err == nil && (CheckName(who.Name) != nil || !strings.Contains(header, who.Name)) {
			t.Errorf("%q is %q", header, who.Name)
		}
		if err != nil && video.CodeOf(err) != video.Unauthenticated {
			t.Error(err)
		}
		if next := localPath(header); !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.HasPrefix(next, `/\`) {
			t.Errorf("%q leads to %q", header, next)
		}
	})
}
