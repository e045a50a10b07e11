package gateway

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/reelflow/reelflow/internal/gateway/origin"
	"github.com/reelflow/reelflow/video"
)

// In development mode everybody is who they say, so that any page which a developer
// visits could do everything in anybody's name. It is therefore for programs and pages of
// this machine alone, unless DevAnywhere says otherwise.

// loopbackOnly reports whether the gateway answers to this machine alone.
func (g *Gateway) loopbackOnly() bool { return g.settings.Auth == "dev" && !g.settings.DevAnywhere }

// allowsOrigin reports whether a page that sends this request may read the answer.
func (g *Gateway) allowsOrigin(r *http.Request) bool {
	header := r.Header.Get("Origin")
	if !g.loopbackOnly() || header == "" || origin.From(r.Context()).Own(header) {
		return true
	}
	from, err := url.Parse(header)
	return err == nil && loopbackName(from.Host)
}

// withOwnHost refuses requests under a name that is not this machine's: a page whose
// name was made to lead here (DNS rebinding) would pass for one of our own.
func (g *Gateway) withOwnHost(next http.Handler) http.Handler {
	if !g.loopbackOnly() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.ownName(r.Host) || !g.ownName(hostOf(origin.From(r.Context()).Base)) { // the latter as a proxy says
			g.errors.Refuse(w, r, video.Errorf(video.Forbidden, "In development mode this server answers under names of its own machine only, such as 127.0.0.1 and localhost. REELFLOW_DEV_ANYWHERE=true lifts that, REELFLOW_PUBLIC_URL names another."))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (g *Gateway) ownName(host string) bool { return loopbackName(host) || g.publicName(host) }

func hostOf(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return u.Host
}

func (g *Gateway) publicName(host string) bool {
	public, err := url.Parse(g.settings.PublicURL)
	return err == nil && public.Host != "" && strings.EqualFold(public.Host, host)
}

// loopbackName reports whether HOST or HOST:PORT can lead to no other machine
// (RFC 6761, section 6.3).
func loopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
