package fetch

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/reelflow/reelflow/video"
)

func TestAddressesThatCanNeverBeFetched(t *testing.T) {
	for address, want := range map[string]string{
		"":                                   "https://",
		"clip.mp4":                           "https://",
		"//example.org/clip.mp4":             "https://",
		"ftp://example.org/clip.mp4":         "https://",
		"file:///etc/passwd":                 "https://",
		"gopher://127.0.0.1:25/":             "https://",
		"http:clip.mp4":                      "can't be read",
		"http://":                            "can't be read",
		"http:///clip.mp4":                   "can't be read",
		"http://exa mple.org/":               "can't be read",
		"http://example.org/\r\nHost: other": "can't be read",
		"https://example.org/" + strings.Repeat("x", longestAddress): "can't be read",
		"https://me:secret@example.org/":                             "password",
		"https://me@example.org/":                                    "password",
		"http://example.org:22/":                                     "80 and 443",
		"http://example.org:8080/":                                   "80 and 443",
		"http://localhost/":                                          "public hosts",
		"http://LOCALHOST./":                                         "public hosts",
		"http://a.localhost/":                                        "public hosts",
		"http://metadata.google.internal/":                           "public hosts",
		"http://printer.local/":                                      "public hosts",
		"http://127.0.0.1/":                                          "public hosts",
		"http://169.254.169.254/latest/meta-data/":                   "public hosts",
		"http://[::1]/":                                              "public hosts",
		"http://[::]/":                                               "public hosts",
		"http://[::ffff:127.0.0.1]/":                                 "public hosts",
		"http://[::ffff:7f00:1]/":                                    "public hosts",
		"http://[::ffff:8.8.8.8]/":                                   "public hosts",
		"http://[fd00:ec2::254]/":                                    "public hosts",
		"http://[fe80::1%25eth0]/":                                   "public hosts",
		"http://2130706433/":                                         "four decimal numbers",
		"http://127.1/":                                              "four decimal numbers",
		"http://0177.0.0.1/":                                         "four decimal numbers",
		"http://0x7f.1/":                                             "four decimal numbers",
		"http://0x7f000001/":                                         "four decimal numbers",
		"http://017700000001/":                                       "four decimal numbers",
	} {
		err := Policy{}.Check(address)
		if video.CodeOf(err) != video.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", address, err, want)
		}
	}
	for _, address := range []string{"https://example.org/clip.mp4?token=a%20b#t=3", "http://93.184.216.34:443/", "HTTP://EXAMPLE.org:80", "https://[2606:4700::1111]/", "https://bücher.example/"} {
		if err := (Policy{}).Check(address); err != nil {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestPublicAddresses(t *testing.T) {
	for _, public := range []string{"8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::1", "64:ff9b::808:808"} {
		if err := checkPublic(netip.MustParseAddr(public)); err != nil {
			t.Errorf("%s: %v", public, err)
		}
	}
	for _, other := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1", "127.255.0.1", "169.254.169.254",
		"168.63.129.16", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1",
		"203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
		"100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
	} {
		if err := checkPublic(netip.MustParseAddr(other)); video.CodeOf(err) != video.Invalid {
			t.Errorf("%s: %v", other, err)
		}
	}
	for address, allowed := range map[string]bool{
		"127.0.0.1": true, "10.0.0.1": true, "::1": true, "fd12::1": true, "::ffff:10.0.0.1": true, "8.8.8.8": true,
		"169.254.169.254": false, "::ffff:169.254.169.254": false, "fd00:ec2::254": false, "fe80::1": false, "0.0.0.0": false, "224.0.0.1": false,
	} {
		if err := checkAllowed(netip.MustParseAddr(address)); (err == nil) != allowed {
			t.Errorf("%s behind an allowed name: %v", address, err)
		}
	}
}

func TestAllowedHosts(t *testing.T) {
	p := Policy{Allow: Hosts(" media.corp, 127.0.0.1:9000,[::1]:9000 ,fd12::1,,Files.Corp. ")}
	for address, allowed := range map[string]bool{
		"http://media.corp/": true, "http://MEDIA.corp.:8080/": true, "http://files.corp/": true, "http://127.0.0.1:9000/": true, "http://[::1]:9000/": true, "http://[fd12::1]:81/": true,
		"http://127.0.0.1/": false, "http://127.0.0.1:9001/": false, "http://[::1]/": false, "http://x.media.corp:8080/": false,
	} {
		if err := p.Check(address); (err == nil) != allowed {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// target is a server on this machine that must never be asked.
func target(t *testing.T) (server *httptest.Server, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	server = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(server.Close)
	return server, asked
}

// A name that answers otherwise each time gains nothing: what counts is the answer
// that is dialed.
func TestNamesThatLeadToPrivateAddresses(t *testing.T) {
	for name, answers := range map[string][]string{
		"private.example.": {"127.0.0.1"}, "mapped.example.": {"::ffff:127.0.0.1"}, "six.example.": {"::1"},
		"rebinding.example.": {"192.0.2.1", "127.0.0.1"}, "metadata.example.": {"169.254.169.254"},
	} {
		c := New(Policy{MaxBytes: 1 << 20, resolver: resolverOf(t, name, answers)})
		for _, answer := range answers { // a new one each time
			_, err := c.Open(t.Context(), "http://"+strings.TrimSuffix(name, ".")+"/", 0, nil)
			if video.CodeOf(err) != video.Invalid || !strings.Contains(err.Error(), "public hosts") {
				t.Errorf("%s as %s: %v", name, answer, err)
			}
		}
	}
}

func TestNamesThatDoNotExist(t *testing.T) {
	c := New(Policy{MaxBytes: 1 << 20, resolver: resolverOf(t, "there.example.", nil)})
	_, err := c.Open(t.Context(), "http://nowhere.example/", 0, nil)
	if video.CodeOf(err) != video.Invalid || strings.Contains(err.Error(), "nowhere") {
		t.Errorf("got %v", err)
	}
}

// An allowed host may redirect, but not to one that isn't allowed.
func TestRedirects(t *testing.T) {
	private, asked := target(t)
	var hops atomic.Int32
	var referer atomic.Value
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/loop":
			hops.Add(1)
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/here":
			http.Redirect(w, r, "/there?other", http.StatusTemporaryRedirect)
		case "/there":
			referer.Store(r.Header.Get("Referer"))
			w.Write([]byte("bytes"))
		default:
			http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusMovedPermanently)
		}
	}))
	defer front.Close()
	c := New(Policy{Allow: []string{front.Listener.Addr().String()}, MaxBytes: 1 << 20})
	defer c.Close()
	port := strings.TrimPrefix(private.URL, "http://127.0.0.1:")
	for _, to := range []string{
		private.URL, "http://localhost:" + port, "http://[::1]/", "http://[::ffff:127.0.0.1]:" + port, "http://2130706433/", "http://127.0.0.1/",
		"file:///etc/passwd", "http://me:secret@example.org/", "http://169.254.169.254/",
	} {
		_, err := c.Open(t.Context(), front.URL+"/?to="+to, 0, nil)
		if video.CodeOf(err) != video.Invalid {
			t.Errorf("to %s: %v", to, err)
		}
	}
	if asked.Load() != 0 {
		t.Error("a private host was asked")
	}
	if _, err := c.Open(t.Context(), front.URL+"/loop", 0, nil); video.CodeOf(err) != video.Invalid || hops.Load() != maxRedirects+1 {
		t.Errorf("a loop: %v after %d requests", err, hops.Load())
	}
	s, err := c.Open(t.Context(), front.URL+"/here?token=secret", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if referer.Load() != "" {
		t.Errorf("the next host was told %q", referer.Load())
	}
}

// resolverOf is a DNS server for one name, which gives its answers in turn.
func resolverOf(t *testing.T, name string, answers []string) *net.Resolver {
	t.Helper()
	var asked atomic.Int32
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		packet := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(packet)
			if err != nil {
				return
			}
			var query dnsmessage.Message
			if query.Unpack(packet[:n]) != nil || len(query.Questions) != 1 {
				continue
			}
			server.WriteTo(reply(query, name, answers, &asked), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

func reply(query dnsmessage.Message, name string, answers []string, asked *atomic.Int32) []byte {
	question := query.Questions[0]
	query.Response, query.Additionals = true, nil
	if question.Name.String() != name {
		query.RCode = dnsmessage.RCodeNameError
	} else if len(answers) > 0 {
		a := netip.MustParseAddr(answers[min(int(asked.Load()), len(answers)-1)])
		header := dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET}
		switch {
		case question.Type == dnsmessage.TypeA && a.Is4():
			asked.Add(1)
			query.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: a.As4()}}}
		case question.Type == dnsmessage.TypeAAAA && a.Is6():
			asked.Add(1)
			query.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}}}
		}
	}
	packed, _ := query.Pack()
	return packed
}
