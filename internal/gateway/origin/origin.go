// Package origin tells under which scheme and host a request reached the gateway, and
// from which address it came. It is the one rule for links, the Location of uploads,
// cookies, the check of a request's own site and the rates of those who are not signed in.
// Nothing is kept.
package origin

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Rule is how the origin of requests is found.
type Rule struct {
	// PublicURL is how people reach the gateway, without a slash at its end. Where it is
	// empty a proxy that is trusted says so, else the Host of each request.
	PublicURL string

	// Proxies are the networks whose X-Forwarded-For, -Host and -Proto, or Forwarded (RFC
	// 7239), are believed. Of a list the last value counts, which that proxy has written
	// itself. Without X-Forwarded-Host the Host of the request is the public one.
	Proxies []netip.Prefix
}

// Origin is where a request came to, and where it came from.
type Origin struct {
	Base    string // scheme and host, as https://example.org, without a slash at its end
	Address string // of the one who sends; of IPv6 the /64, which is one household
}

// Secure reports whether people reach the gateway by TLS.
func (o Origin) Secure() bool { return strings.HasPrefix(o.Base, "https://") }

// Own reports whether the value of an Origin header is this gateway. Schemes may differ:
// where nobody says that a proxy ends TLS, the browser knows it better.
func (o Origin) Own(header string) bool {
	theirs, err := url.Parse(header)
	ours, ownErr := url.Parse(o.Base)
	return err == nil && ownErr == nil && theirs.Host != "" && strings.EqualFold(theirs.Host, ours.Host)
}

// Of finds the origin of a request.
func (rule Rule) Of(r *http.Request) Origin {
	f := rule.forwarded(r)
	o := Origin{Base: rule.PublicURL, Address: networkOf(r.RemoteAddr)}
	if client, err := netip.ParseAddr(f.client); err == nil {
		o.Address = network(client)
	}
	if o.Base == "" {
		o.Base = f.base(r)
	}
	return o
}

// forwarded is what a trusted proxy says of a request; empty where none says anything.
type forwarded struct{ scheme, host, client string }

// hostForm is that of a host with or without a port: it stands in links and headers.
var hostForm = regexp.MustCompile(`^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

func (rule Rule) forwarded(r *http.Request) (f forwarded) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !rule.trusts(peer.Addr()) {
		return forwarded{}
	}
	f.scheme, f.host = last(r.Header.Values("X-Forwarded-Proto")), last(r.Header.Values("X-Forwarded-Host"))
	clients := values(r.Header.Values("X-Forwarded-For"))
	if f.scheme == "" && f.host == "" && len(clients) == 0 {
		f.scheme, f.host, clients = standardForwarded(values(r.Header.Values("Forwarded")))
	}
	f.client = rule.clientOf(clients)
	if f.scheme != "http" && f.scheme != "https" {
		f.scheme = ""
	}
	if !hostForm.MatchString(f.host) {
		f.host = ""
	}
	return f
}

// base is scheme and host, the scheme's own port left out.
func (f forwarded) base(r *http.Request) string {
	u := url.URL{Scheme: f.scheme, Host: f.host}
	if u.Host == "" {
		u.Host = r.Host
	}
	if u.Scheme == "" {
		u.Scheme = "http"
		if r.TLS != nil {
			u.Scheme = "https"
		}
	}
	u.Host = strings.TrimSuffix(u.Host, map[string]string{"http": ":80", "https": ":443"}[u.Scheme])
	return u.String()
}

func (rule Rule) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(rule.Proxies, func(p netip.Prefix) bool { return p.Contains(a.Unmap().WithZone("")) })
}

// clientOf is the last of the addresses that is no proxy of ours: those before it anybody
// can have made up.
func (rule Rule) clientOf(addresses []string) string {
	for _, text := range slices.Backward(addresses) {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return ""
		}
		if !rule.trusts(a) {
			return text
		}
	}
	return ""
}

// standardForwarded reads the elements of Forwarded (RFC 7239, section 4).
func standardForwarded(elements []string) (scheme, host string, clients []string) {
	for _, element := range elements {
		scheme, host = "", ""
		for pair := range strings.SplitSeq(element, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			value = strings.Trim(value, `"`)
			switch strings.ToLower(name) {
			case "proto":
				scheme = value
			case "host":
				host = value
			case "for":
				clients = append(clients, addressOf(value))
			}
		}
	}
	return scheme, host, clients
}

// addressOf is a node of Forwarded without its port and brackets.
func addressOf(node string) string {
	if at, err := netip.ParseAddrPort(node); err == nil {
		return at.Addr().String()
	}
	return strings.Trim(node, "[]")
}

// values are the elements of a header that is a list, over all its lines.
func values(lines []string) (all []string) {
	for _, line := range lines {
		for v := range strings.SplitSeq(line, ",") {
			all = append(all, strings.TrimSpace(v))
		}
	}
	return all
}

func last(lines []string) string {
	all := values(lines)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

type contextKey struct{}

// WithOrigin lets all layers below ask for the origin of a request. Those that look at the
// forwarded headers themselves find there what is believed, and nothing else.
func (rule Rule) WithOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o, f := rule.Of(r), rule.forwarded(r)
		r = r.WithContext(context.WithValue(r.Context(), contextKey{}, o))
		r.Header = r.Header.Clone()
		for name, value := range map[string]string{"Forwarded": "", "X-Forwarded-For": f.client, "X-Forwarded-Host": f.host, "X-Forwarded-Proto": f.scheme} {
			r.Header.Del(name)
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// From returns the origin of the request that a context belongs to; the zero Origin
// where WithOrigin was not asked.
func From(ctx context.Context) Origin {
	o, _ := ctx.Value(contextKey{}).(Origin)
	return o
}

// networkOf is the network of ADDRESS:PORT.
func networkOf(remote string) string {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	return network(at.Addr())
}

// network is an address, and of IPv6 its /64.
func network(address netip.Addr) string {
	address = address.Unmap()
	if address.Is4() {
		return address.String()
	}
	prefix, err := address.WithZone("").Prefix(64)
	if err != nil {
		return address.String()
	}
	return prefix.String()
}
