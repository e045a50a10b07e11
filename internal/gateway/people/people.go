// Package people finds out who sends a request, and signs browsers in and out.
//
// What exists, where, and when it goes: a session, and an attempt to sign in, are
// stamped cookies of the browser; nothing of them is kept here. Rates are counted in
// memory and die with the process. A person's name rests in no column, workflow or log
// line: OwnerID stands for it there.
package people

import (
	"context"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/reelflow/reelflow/internal/gateway/issuer"
	"github.com/reelflow/reelflow/internal/gateway/origin"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/internal/gateway/requests"
	"github.com/reelflow/reelflow/internal/gateway/secret"
	"github.com/reelflow/reelflow/video"
)

// OperatorName is who operators are in development mode.
const OperatorName = "admin"

// Person is somebody who sends requests; the zero Person is not signed in.
type Person struct {
	Name     string
	Operator bool
	Until    time.Time // when what they have shown of themselves expires; zero for never
}

// Anonymous reports whether they are not signed in.
func (p Person) Anonymous() bool { return p.Name == "" }

// Development is the person of a name in development mode.
func Development(name string) Person { return Person{Name: name, Operator: name == OperatorName} }

// Development as Settings.Auth: everybody is who they say.
const developmentAuth = "dev"

// Settings say who vouches for people.
type Settings struct {
	Auth   string          // "dev": everybody is who they say; else the issuer's URL
	Issuer issuer.Settings // but for the URL; not used in development mode
}

// Pages shows people the form by which they sign in in development mode. refusal says
// what was wrong with what they said; empty the first time.
type Pages interface {
	SignInForm(w http.ResponseWriter, r *http.Request, status int, next, refusal string)
}

// People knows who sends a request. Make it with New.
type People struct {
	owners, sessions secret.Key

	// vouches is the URL of the issuer, empty in development mode: the same name from
	// another issuer is another person, and a session from another one is void.
	vouches   string
	nameClaim string
	issuer    *issuer.Issuer // nil in development mode
	pages     Pages
	errors    *problem.Answerer
}

// New fails with Invalid for an issuer that can't be used.
func New(s Settings, pepper []byte, pages Pages, errors *problem.Answerer) (p *People, err error) {
	p = &People{pages: pages, errors: errors}
	if s.Auth != developmentAuth {
		s.Issuer.URL = s.Auth
		p.vouches, p.nameClaim = s.Issuer.URL, s.Issuer.NameClaim
		if p.issuer, err = issuer.New(s.Issuer); err != nil {
			return nil, err
		}
	}
	if p.owners, err = secret.Derive(pepper, "owner"); err != nil {
		return nil, err
	}
	p.sessions, err = secret.Derive(pepper, "session")
	return p, err
}

// Register registers the routes by which browsers sign in and out.
func (p *People) Register(mux interface {
	HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request))
}) {
	mux.HandleFunc("GET /signin", p.signIn)
	mux.HandleFunc("GET /signin/callback", p.errors.Handle(p.finishSignIn))
	mux.HandleFunc("POST /signout", p.errors.Handle(p.signOut))
}

// OwnerID is what stands for a person wherever their name must not: in the catalog's
// columns, in Temporal and in logs.
func (p *People) OwnerID(name string) string {
	if p.vouches == "" {
		return hex.EncodeToString(p.owners.Sum([]byte(name)))
	}
	return hex.EncodeToString(p.owners.MAC(p.vouches, name))
}

// CheckName refuses what can't be a person's name: it stands in addresses and headers.
func CheckName(name string) error {
	odd := func(r rune) bool {
		return !unicode.IsGraphic(r) || unicode.IsSpace(r) || strings.ContainsRune(`/\?#%"<>`, r)
	}
	if !utf8.ValidString(name) || strings.Trim(name, ".") == "" || utf8.RuneCountInString(name) > 64 || strings.ContainsFunc(name, odd) {
		return video.Errorf(video.Invalid, "A name has 1 to 64 characters, no spaces and none of / \\ ? # %% \" < >.")
	}
	return nil
}

// identify finds out who a request comes from, or why that can't be told.
type identify func() (Person, error)

type contextKey struct{}

// WithCaller lets all layers below ask for the Caller. A request is not refused here,
// and the issuer is not asked yet: what needs no credentials must not fail because of
// wrong ones, or because an issuer is down.
func (p *People) WithCaller(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := identify(sync.OnceValues(func() (Person, error) {
			who, err := p.identify(r)
			if err == nil && !who.Anonymous() {
				requests.By(r.Context(), p.OwnerID(who.Name))
			}
			return who, err
		}))
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, who)))
	})
}

// Caller returns who sent the request: the zero Person for somebody who isn't signed in.
// It fails with Unauthenticated for credentials that don't hold (any more), Forbidden for
// a request made by another site, and Unavailable when the issuer can't be asked.
func Caller(ctx context.Context) (Person, error) {
	identify, ok := ctx.Value(contextKey{}).(identify)
	if !ok {
		return Person{}, nil
	}
	who, err := identify()
	if err == nil && !who.Until.IsZero() && time.Now().After(who.Until) {
		return Person{}, video.Errorf(video.Unauthenticated, "Your sign-in has expired. Sign in again.")
	}
	return who, err
}

// SignedIn is Caller for what nobody may do anonymously.
func SignedIn(ctx context.Context) (Person, error) {
	who, err := Caller(ctx)
	if err == nil && who.Anonymous() {
		err = video.Errorf(video.Unauthenticated, "Sign in first, or send a token (Authorization: Bearer …).")
	}
	return who, err
}

func (p *People) identify(r *http.Request) (Person, error) {
	if header := r.Header.Get("Authorization"); header != "" {
		if p.issuer != nil {
			return p.bearer(r.Context(), header)
		}
		return developmentBearer(header)
	}
	who, ok := p.sessionOf(r, time.Now())
	if !ok {
		return Person{}, nil // an old cookie is no reason to refuse what anybody may see
	}
	if err := checkSameSite(r); err != nil {
		return Person{}, err
	}
	return who, nil
}

// developmentBearer takes anybody at their word.
func developmentBearer(header string) (Person, error) {
	scheme, token, _ := strings.Cut(header, " ")
	name, said := strings.CutPrefix(strings.TrimSpace(token), "dev:")
	if !strings.EqualFold(scheme, "Bearer") || !said || CheckName(name) != nil {
		return Person{}, video.Errorf(video.Unauthenticated, "The token is not valid. This server is in development mode: send Authorization: Bearer dev:<name>.")
	}
	return Development(name), nil
}

// checkSameSite lets a session cookie change something only when the request
// was made by a page of ours: browsers say so in Sec-Fetch-Site, older ones in
// Origin (https://www.w3.org/TR/fetch-metadata/).
func checkSameSite(r *http.Request) error {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
		return nil
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		if site == "same-origin" {
			return nil
		}
	} else if origin.From(r.Context()).Own(r.Header.Get("Origin")) {
		return nil
	}
	return video.Errorf(video.Forbidden, "This request was made by another site. Programs send a token instead of a cookie.")
}
