// Package origin tells under which scheme and host a request reached the gateway, and
// from which address it came. It is the one rule for links, the Location of uploads,
// cookies, the check of a request's own site and the rates of those who are not signed in.
package origin

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
)

// Rule is how the origin of requests is found.
type Rule struct {
	PublicURL string // how people reach the gateway, without a slash at its end; empty for the Host of each request
}

// Origin is where a request came to, and where it came from.
type Origin struct {
	Base    string // scheme and host, as https://example.org, without a slash at its end
	Address string // of the one who sends; of IPv6 the /64, which is one household
}

// Of finds the origin of a request.
func (rule Rule) Of(r *http.Request) Origin {
	o := Origin{Base: rule.PublicURL, Address: networkOf(r.RemoteAddr)}
	if o.Base == "" {
		u := url.URL{Scheme: "http", Host: r.Host}
		if r.TLS != nil {
			u.Scheme = "https"
		}
		o.Base = u.String()
	}
	return o
}

type contextKey struct{}

// WithOrigin lets all layers below ask for the origin of a request.
func (rule Rule) WithOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, rule.Of(r))))
	})
}

// From returns the origin of the request that a context belongs to; the zero Origin
// where WithOrigin was not asked.
func From(ctx context.Context) Origin {
	o, _ := ctx.Value(contextKey{}).(Origin)
	return o
}

// networkOf is the address of ADDRESS:PORT, and of IPv6 its /64.
func networkOf(remote string) string {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	address := at.Addr().Unmap()
	if address.Is4() {
		return address.String()
	}
	network, err := address.WithZone("").Prefix(64)
	if err != nil {
		return address.String()
	}
	return network.String()
}
