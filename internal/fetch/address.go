package fetch

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/reelflow/reelflow/video"
)

// longestAddress is in bytes.
const longestAddress = 2000

// Check says what can be said of an address without a look at the network:
// Invalid where it could never be fetched, with why.
func (p Policy) Check(address string) error {
	_, err := p.parse(address)
	return err
}

func (p Policy) parse(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || len(address) > longestAddress {
		return nil, unreadable() // err repeats the address
	}
	u.Fragment, u.RawFragment = "", ""
	return u, p.checkURL(u)
}

func unreadable() *video.Error {
	return video.Errorf(video.Invalid, "The address to import from can't be read.")
}

func (p Policy) checkURL(u *url.URL) error {
	host, port := strings.ToLower(u.Hostname()), portOf(u)
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return video.Errorf(video.Invalid, "Imports come from addresses that begin with https:// or http://.")
	case host == "" || u.Opaque != "":
		return unreadable()
	case u.User != nil:
		return video.Errorf(video.Invalid, "The address to import from must not hold a user name or password.")
	case p.allows(host, port):
		return nil
	case port != "80" && port != "443":
		return video.Errorf(video.Invalid, "Imports come from the usual ports, 80 and 443, only.")
	}
	return checkName(host)
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// checkName refuses hosts that are obviously no public ones.
func checkName(host string) error {
	if address, err := netip.ParseAddr(host); err == nil {
		return checkPublic(address)
	}
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	switch {
	case host == "":
		return unreadable()
	case slices.Contains(privateDomains, last):
		return notReachable()
	case endsInNumber(last):
		// 127.1, 2130706433, 0177.0.0.1: what old C libraries read as IPv4
		// addresses (inet_aton), and browsers still do.
		return video.Errorf(video.Invalid, "Write the IP address to import from as four decimal numbers.")
	}
	return nil
}

// privateDomains never belong to a public host: RFC 6761, RFC 6762, RFC 8375 and
// ICANN's resolution on .internal.
var privateDomains = []string{"localhost", "local", "internal", "arpa"}

// endsInNumber is the rule of https://url.spec.whatwg.org/#ends-in-a-number-checker.
func endsInNumber(label string) bool {
	digits, decimal := "0123456789", label
	if rest, hex := strings.CutPrefix(label, "0x"); hex {
		digits, decimal = "0123456789abcdef", rest
	}
	return strings.Trim(decimal, digits) == ""
}

// allows reports whether the operator has named the host.
func (p Policy) allows(host, port string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	for _, entry := range p.Allow {
		name, only, err := net.SplitHostPort(entry)
		if err != nil { // no port
			name, only = strings.Trim(entry, "[]"), port
		}
		if strings.EqualFold(strings.TrimSuffix(name, "."), host) && only == port {
			return true
		}
	}
	return false
}

// Hosts splits a comma separated list for Policy.Allow.
func Hosts(list string) []string {
	var hosts []string
	for entry := range strings.SplitSeq(list, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			hosts = append(hosts, entry)
		}
	}
	return hosts
}

// dial connects to a host if the address that it resolves to may be reached.
func (p Policy) dial(ctx context.Context, network, hostport string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	check := checkPublic
	if p.allows(host, port) {
		check = checkAllowed
	}
	dialer := net.Dialer{
		Timeout: connectTimeout, Resolver: p.resolver,
		// Called for each address that is tried, after the resolution and before
		// the connection: nothing can change in between.
		ControlContext: func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
			address, err := netip.ParseAddrPort(resolved)
			if err != nil {
				return err
			}
			return check(address.Addr())
		},
	}
	return dialer.DialContext(ctx, network, hostport)
}

func notReachable() *video.Error {
	return video.Errorf(video.Invalid, "The address leads to a place that imports may not reach; only public hosts are allowed.")
}

// checkPublic refuses every address that is not a public host's.
func checkPublic(a netip.Addr) error {
	switch {
	case a.Is4In6() || a.Zone() != "": // the one is IPv4 in disguise, the other of this link
	case slices.Contains(metadata, a):
	case a.Is4():
		if !within(special4, a) {
			return nil
		}
	case nat64.Contains(a):
		raw := a.As16()
		return checkPublic(netip.AddrFrom4([4]byte(raw[12:])))
	case global6.Contains(a) && !within(special6, a):
		return nil
	}
	return notReachable()
}

// checkAllowed is for hosts that the operator has named: they may be private. But
// a name is only as good as its DNS, and nothing worth importing is link-local.
func checkAllowed(a netip.Addr) error {
	a = a.Unmap()
	if slices.Contains(metadata, a) || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
		return notReachable()
	}
	return nil
}

func within(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// The registries of special-purpose addresses (RFC 6890, kept by IANA), as far as
// they are not globally reachable. Of IPv6 only 2000::/3 is given out at all.
var (
	special4 = prefixes(
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	)
	special6 = prefixes(
		"2001::/23",     // protocol assignments, Teredo among them
		"2001:db8::/32", // documentation
		"2002::/16",     // 6to4, which holds an IPv4 address
		"3fff::/20",     // documentation
	)
	global6 = netip.MustParsePrefix("2000::/3")
	nat64   = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: the IPv4 address is at the end

	// metadata are addresses at which clouds give their secrets to whoever asks,
	// also those that look public or like any other private one.
	metadata = []netip.Addr{
		netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd20:ce::254"),
		netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("192.0.0.192"),
	}
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}
