package people

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/issuer"
	"github.com/reelflow/reelflow/internal/gateway/origin"
	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/video"
)

// bearer tells who sends a token of the issuer's.
func (p *People) bearer(ctx context.Context, header string) (Person, error) {
	scheme, token, _ := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return Person{}, video.Errorf(video.Unauthenticated, "The token is missing: send Authorization: Bearer <token>.")
	}
	said, err := p.issuer.Identify(ctx, token)
	if err != nil {
		return Person{}, err
	}
	return p.personOf(said)
}

// personOf is the person that an issuer speaks of. A subject that can't stand in an
// address gets a name made of it, always the same; any other claim must do as it
// is, because whoever can choose it could choose somebody's made name as well.
func (p *People) personOf(said issuer.Person) (Person, error) {
	who := Person{Name: said.Name, Operator: said.Operator, Until: said.Until}
	if CheckName(who.Name) == nil {
		return who, nil
	}
	if p.nameClaim != "" && p.nameClaim != issuer.SubjectClaim {
		return Person{}, video.Errorf(video.Unauthenticated, "Your account has no name that can be used here.")
	}
	sum := sha256.Sum256([]byte(said.Name))
	who.Name = "sub-" + video.EncodeToken(sum[:])[:26]
	return who, nil
}

// signIn leads to the issuer, or in development mode takes anybody at their word.
func (p *People) signIn(w http.ResponseWriter, r *http.Request) {
	next := localPath(r.URL.Query().Get("next"))
	switch {
	case p.issuer == nil:
		p.signInAs(w, r, next)
	case !p.issuer.SignsIn():
		p.errors.Refuse(w, r, video.Errorf(video.NotFound, "Browsers can't sign in here. Programs send a token."))
	default:
		p.errors.Handle(func(w http.ResponseWriter, r *http.Request) error { return p.startSignIn(w, r, next) })(w, r)
	}
}

func (p *People) signInAs(w http.ResponseWriter, r *http.Request, next string) {
	name := r.URL.Query().Get("user")
	if name == "" {
		p.pages.SignInForm(w, r, http.StatusOK, next, "")
		return
	}
	if err := CheckName(name); err != nil {
		p.pages.SignInForm(w, r, http.StatusBadRequest, next, p.errors.Problem(r.Context(), err).Detail)
		return
	}
	p.beginSession(w, r, Development(name), developmentSession)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, next, http.StatusSeeOther)
}

const (
	attemptCookie = "reelflow_signin"
	attemptLength = 10 * time.Minute
)

// attempt is a sign-in as the browser keeps it while its owner is at the issuer's.
type attempt struct {
	issuer.Attempt
	Next  string
	Until time.Time
}

// callback is where the issuer sends browsers back to; it must know the address.
func callback(r *http.Request) string { return origin.From(r.Context()).Base + "/signin/callback" }

func (p *People) startSignIn(w http.ResponseWriter, r *http.Request, next string) error {
	w.Header().Set("Cache-Control", "no-store")
	begun, address, err := p.issuer.Begin(r.Context(), callback(r))
	if err != nil {
		return err
	}
	a := attempt{begun, next, time.Now().Add(attemptLength)}
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	http.SetCookie(w, cookie(r, attemptCookie, p.stamp("signin", text), a.Until))
	http.Redirect(w, r, address, http.StatusSeeOther)
	return nil
}

// finishSignIn is where browsers come back to from the issuer. An attempt is good for
// one answer, whatever comes of it.
func (p *People) finishSignIn(w http.ResponseWriter, r *http.Request) error {
	if p.issuer == nil || !p.issuer.SignsIn() {
		return problem.NothingHere()
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer") // the address holds the code
	a := p.attemptOf(r)
	http.SetCookie(w, cookie(r, attemptCookie, "", time.Unix(1, 0)))
	said, err := p.issuer.Finish(r.Context(), a.Attempt, callback(r), r.URL.Query())
	if err != nil {
		return err
	}
	who, err := p.personOf(said)
	if err != nil {
		return err
	}
	p.beginSession(w, r, who, issuedSession)
	http.Redirect(w, r, localPath(a.Next), http.StatusSeeOther)
	return nil
}

// attemptOf returns the attempt in a browser; none is one that no answer fits.
func (p *People) attemptOf(r *http.Request) attempt {
	cookie, err := r.Cookie(cookieName(r, attemptCookie))
	if err != nil {
		return attempt{}
	}
	text, ok := p.openStamp("signin", cookie.Value)
	var a attempt
	if !ok || json.Unmarshal(text, &a) != nil || time.Now().After(a.Until) {
		return attempt{}
	}
	return a
}

// localPath keeps a redirect on this site: anything but a plain path leads home.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n") {
		return "/"
	}
	return next
}
