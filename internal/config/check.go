package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// check notes everything that is wrong with the values. It shows no value that
// may hold a secret.
func (c *Config) check(f *findings) {
	f.note("http-addr", checkListen(c.HTTPAddr))
	f.note("ui-addr", checkListen(c.UIAddr))
	if c.HealthAddr != "" {
		f.note("health-addr", checkListen(c.HealthAddr))
	}
	f.note("url", checkURL(Address(c.URL), "http", "https"))
	f.note("public-url", c.checkPublicURL())
	_, err := parseNetworks(c.TrustedProxies)
	f.note("trusted-proxies", err)
	f.note("token", notEmpty(string(c.Token)))
	f.note("data-dir", notEmpty(c.DataDir))
	f.note("database-url", checkURL(c.DatabaseURL, "sqlite", "postgres", "postgresql"))
	f.note("vault", checkVault(c.Vault))
	f.note("vault-root", c.checkVaultRoot())
	f.note("auth", checkAuth(c.Auth))
	f.note("oidc-audience", c.checkAudience())
	f.note("import-allow", checkHosts(c.ImportAllow))
	f.note("role", oneOf(c.Role, "all", "control", "transfer", "media"))
	f.note("sandbox", oneOf(c.Sandbox, "require", "prefer", "off"))
	f.note("log-level", checkLevel(c.LogLevel))
	f.note("log-format", oneOf(c.LogFormat, "auto", "text", "json"))
	c.checkStores(f)
	c.checkNumbers(f)
}

func (c *Config) checkStores(f *findings) {
	names := map[string]bool{}
	one := func(setting string, a Address) {
		name, err := checkStore(a)
		if err == nil && names[name] {
			err = fmt.Errorf("two stores are named %q", name)
		}
		f.note(setting, err)
		names[name] = true
	}
	one("primary", c.Primary)
	for _, a := range c.Backups {
		one("backups", a)
	}
}

func (c *Config) checkNumbers(f *findings) {
	least := func(setting string, d, least time.Duration) {
		if d < least && !f.bad[setting] {
			f.note(setting, fmt.Errorf("%v is too short; the least is %v", d, least))
		}
	}
	least("delete-grace", c.DeleteGrace, 0)
	least("overdue-after", c.OverdueAfter, 0)
	least("cancel-grace", c.CancelGrace, 0)
	least("draft-ttl", c.DraftTTL, time.Second)
	least("rejected-ttl", c.RejectedTTL, 0)
	least("upload-stall", c.UploadStall, time.Second)
	least("upload-idle", c.UploadIdle, time.Second)
	least("publish-delay", c.PublishDelay, 0)
	least("audit-every", c.AuditEvery, time.Second)
	least("root-rotation", c.RootRotation, time.Second)
	least("audit-settle", c.AuditSettle, 0)
	least("max-duration", c.MaxDuration, time.Second)
	atLeast := func(setting string, n, least int64) {
		if n < least && !f.bad[setting] {
			f.note(setting, fmt.Errorf("%d is too small; the least is %d", n, least))
		}
	}
	atLeast("max-bytes", c.MaxBytes, 1)
	atLeast("max-open-uploads", c.MaxOpenUploads, 0)
	atLeast("quota-bytes", c.QuotaBytes, 0)
	atLeast("rate-creates", c.RateCreates, 0)
	atLeast("rate-commands", c.RateCommands, 0)
	atLeast("rate-reads", c.RateReads, 0)
}

func checkListen(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not an address; write HOST:PORT or :PORT", address)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%q is not a port", port)
	}
	return nil
}

func notEmpty(text string) error {
	if text == "" {
		return errors.New("must not be empty")
	}
	return nil
}

func oneOf(value string, allowed ...string) error {
	if !slices.Contains(allowed, value) {
		return fmt.Errorf("%q is not one of %s", value, strings.Join(allowed, ", "))
	}
	return nil
}

// checkHosts reads a comma separated list of HOST or HOST:PORT.
func checkHosts(list string) error {
	for host := range strings.SplitSeq(list, ",") {
		host = strings.TrimSpace(host)
		if strings.ContainsAny(host, "/@?# ") || strings.HasPrefix(host, "*") {
			return fmt.Errorf("%q is not a host; write HOST or HOST:PORT, comma separated", host)
		}
		if _, port, err := net.SplitHostPort(host); err == nil {
			if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
				return fmt.Errorf("%q is not a port", port)
			}
		}
	}
	return nil
}

func checkLevel(level string) error {
	if new(slog.Level).UnmarshalText([]byte(level)) != nil {
		return fmt.Errorf("%q is not one of debug, info, warn, error", level)
	}
	return nil
}

// checkURL demands one of the schemes, or any when none is given. The error of
// url.Parse repeats the address with its password, so it is not passed on.
func checkURL(a Address, schemes ...string) error {
	u, err := url.Parse(string(a))
	if err != nil || u.Scheme == "" || u.Host+u.Path == "" {
		return errors.New("is not a URL")
	}
	if len(schemes) > 0 && !slices.Contains(schemes, u.Scheme) {
		return fmt.Errorf("the scheme %q is not one of %s", u.Scheme, strings.Join(schemes, ", "))
	}
	return nil
}

// checkPublicURL: pages, playlists and cookies are for a whole host. An issuer sends
// browsers back to an address that it was told beforehand.
func (c *Config) checkPublicURL() error {
	if c.PublicURL == "" {
		if c.Auth != "dev" && checkAuth(c.Auth) == nil {
			return errors.New("an issuer needs it: how people reach the gateway, as https://reels.example")
		}
		return nil
	}
	if err := checkURL(Address(c.PublicURL), "http", "https"); err != nil {
		return err
	}
	if u, err := url.Parse(c.PublicURL); err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery+u.Fragment != "" || u.User != nil {
		return errors.New("must be a scheme and a host alone, as https://reels.example: no path can stand before the pages'")
	}
	return nil
}

// parseNetworks reads a comma separated list of networks, or single addresses.
func parseNetworks(list string) (networks []netip.Prefix, err error) {
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		network, err := netip.ParsePrefix(text)
		if address, addressErr := netip.ParseAddr(text); addressErr == nil {
			network, err = address.Prefix(address.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("%q is not a network; write for example 10.0.0.0/8, comma separated", text)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

// Proxies are the networks of TrustedProxies.
func (c *Config) Proxies() []netip.Prefix {
	networks, _ := parseNetworks(c.TrustedProxies) // checked when it was parsed
	return networks
}

func checkVault(a Address) error {
	if strings.Contains(string(a), "://") {
		return checkURL(a, "file", "postgres", "postgresql")
	}
	return notEmpty(string(a))
}

// checkVaultRoot: a vault in a folder keeps its root in it.
func (c *Config) checkVaultRoot() error {
	switch {
	case c.VaultRoot == "":
		return nil
	case checkURL(c.Vault, "postgres", "postgresql") != nil:
		return errors.New("only a vault at postgres://… can have its root elsewhere; one in a folder keeps it there")
	}
	return checkURL(c.VaultRoot, "postgres", "postgresql", "file")
}

func checkAuth(auth string) error {
	if auth == "dev" {
		return nil
	}
	if err := checkURL(Address(auth), "http", "https"); err != nil {
		return fmt.Errorf("neither dev nor the URL of an issuer: %w", err)
	}
	return nil
}

// checkAudience: a token that was made for another service must not be good here.
func (c *Config) checkAudience() error {
	if c.Auth != "dev" && checkAuth(c.Auth) == nil && c.OIDCAudience == "" && c.OIDCClientID == "" {
		return errors.New("an issuer needs it, or --oidc-client-id")
	}
	return nil
}

// otherPlaces are what starter adopt calls the places that are no stores.
var otherPlaces = []string{"catalog", "vault", "temporal"}

// checkStore returns the store's name.
func checkStore(a Address) (string, error) {
	if err := checkURL(a, "s3"); err != nil {
		return "", fmt.Errorf("a store: %w", err)
	}
	u, err := url.Parse(string(a))
	if err != nil {
		return "", errors.New("is not a URL")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", errors.New("a store: the parameters can't be read")
	}
	bucket := strings.Trim(u.Path, "/")
	switch {
	case bucket == "" || strings.Contains(bucket, "/"):
		return "", errors.New("a store needs one bucket: s3://HOST/BUCKET")
	case query.Get("name") == "":
		return "", errors.New("a store needs a name: …&name=NAME")
	case strings.Trim(query.Get("name"), "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return "", errors.New("a store's name is made of a-z, 0-9 and -")
	case slices.Contains(otherPlaces, query.Get("name")):
		return "", fmt.Errorf("a store can't be named %q: starter adopt %[1]s means another place", query.Get("name"))
	}
	if tls := query.Get("tls"); tls != "" {
		if _, err := strconv.ParseBool(tls); err != nil {
			return "", errors.New("a store's tls is true or false")
		}
	}
	return query.Get("name"), nil
}
