package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/issuer"
	"github.com/reelflow/reelflow/video"
)

// bearer tells who sends a token of the issuer's.
func (g *Gateway) bearer(ctx context.Context, header string) (person, error) {
	scheme, token, _ := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return person{}, video.Errorf(video.Unauthenticated, "The token is missing: send Authorization: Bearer <token>.")
	}
	said, err := g.issuer.Identify(ctx, token)
	if err != nil {
		return person{}, err
	}
	return g.known(said)
}

// known is the person that an issuer speaks of. A subject that can't stand in an
// address gets a name made of it, always the same; any other claim must do as it
// is, because whoever can choose it could choose somebody's made name as well.
func (g *Gateway) known(said issuer.Person) (person, error) {
	who := person{name: said.Name, operator: said.Operator, until: said.Until}
	if checkName(who.name) == nil {
		return who, nil
	}
	if claim := g.settings.Issuer.NameClaim; claim != "" && claim != issuer.SubjectClaim {
		return person{}, video.Errorf(video.Unauthenticated, "Your account has no name that can be used here.")
	}
	sum := sha256.Sum256([]byte(said.Name))
	who.name = "sub-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:26])
	return who, nil
}

// signIn leads to the issuer, or in development mode takes anybody at their word.
func (g *Gateway) signIn(w http.ResponseWriter, r *http.Request) {
	next := localPath(r.URL.Query().Get("next"))
	switch {
	case g.issuer == nil:
		g.devSignIn(w, r, next)
	case !g.issuer.SignsIn():
		g.errors.Refuse(w, r, video.Errorf(video.NotFound, "Browsers can't sign in here. Programs send a token."))
	default:
		g.startSignIn(w, r, next)
	}
}

func (g *Gateway) devSignIn(w http.ResponseWriter, r *http.Request, next string) {
	name := r.URL.Query().Get("user")
	if name == "" {
		g.render(w, r, "signin.html", http.StatusOK, view{Title: "Sign in", Next: next})
		return
	}
	if err := checkName(name); err != nil {
		g.render(w, r, "signin.html", http.StatusBadRequest, view{Title: "Sign in", Next: next, Text: g.errors.Problem(r.Context(), err).Detail})
		return
	}
	g.beginSession(w, r, devPerson(name), devSession)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, next, http.StatusSeeOther)
}

const (
	attemptCookie = "reelflow_signin"
	attemptPath   = "/signin"
	attemptLength = 10 * time.Minute
)

// attempt is a sign-in as the browser keeps it while its owner is at the issuer's.
type attempt struct {
	issuer.Attempt
	Next  string
	Until time.Time
}

// redirect is where the issuer sends browsers back to; it must know the address.
func (g *Gateway) redirect(r *http.Request) string {
	return g.baseOf(r.Host, r.TLS != nil) + "/signin/callback"
}

func (g *Gateway) startSignIn(w http.ResponseWriter, r *http.Request, next string) {
	w.Header().Set("Cache-Control", "no-store")
	begun, address, err := g.issuer.Begin(r.Context(), g.redirect(r))
	if err != nil {
		g.errors.Refuse(w, r, err)
		return
	}
	a := attempt{begun, next, time.Now().Add(attemptLength)}
	text, err := json.Marshal(a)
	if err != nil {
		g.errors.Refuse(w, r, err)
		return
	}
	http.SetCookie(w, g.cookie(r, attemptCookie, attemptPath, g.secrets.stamped("signin", text), a.Until))
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// finishSignIn is where browsers come back to from the issuer. An attempt is good for
// one answer, whatever comes of it.
func (g *Gateway) finishSignIn(w http.ResponseWriter, r *http.Request) {
	if g.issuer == nil || !g.issuer.SignsIn() {
		g.nothing(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer") // the address holds the code
	a := g.attemptOf(r)
	http.SetCookie(w, g.cookie(r, attemptCookie, attemptPath, "", time.Unix(1, 0)))
	said, err := g.issuer.Finish(r.Context(), a.Attempt, g.redirect(r), r.URL.Query())
	if err != nil {
		g.errors.Refuse(w, r, err)
		return
	}
	who, err := g.known(said)
	if err != nil {
		g.errors.Refuse(w, r, err)
		return
	}
	g.beginSession(w, r, who, issuedSession)
	http.Redirect(w, r, localPath(a.Next), http.StatusSeeOther)
}

// attemptOf returns the attempt in a browser; none is one that no answer fits.
func (g *Gateway) attemptOf(r *http.Request) attempt {
	cookie, err := r.Cookie(attemptCookie)
	if err != nil {
		return attempt{}
	}
	text, ok := g.secrets.unstamped("signin", cookie.Value)
	var a attempt
	if !ok || json.Unmarshal(text, &a) != nil || time.Now().After(a.Until) {
		return attempt{}
	}
	return a
}
