package config

import (
	"log/slog"
	"net/url"
	"strings"
)

const redacted = "[redacted]"

// Secret is a setting that is never printed: formatting, logging and encoding it
// as text or JSON give a placeholder. Convert it to a string where it is used.
type Secret string

// String hides the secret; an empty one stays empty.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the secret from logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Address is a URL that may hold credentials, which are never printed. Convert
// it to a string where it is used.
type Address string

// String is the address without credentials and without the values of query
// parameters that look like one.
func (a Address) String() string {
	u, err := url.Parse(string(a))
	if err != nil {
		return redacted // what can't be parsed can't be cleaned either
	}
	if u.User != nil {
		u.User = url.User("redacted")
	}
	query := u.Query()
	for name := range query {
		if secretParameter(name) {
			query.Set(name, "redacted")
			u.RawQuery = query.Encode()
		}
	}
	return u.String()
}

func secretParameter(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"password", "secret", "token", "key"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// GoString hides credentials from %#v.
func (a Address) GoString() string { return a.String() }

// LogValue hides credentials from logs.
func (a Address) LogValue() slog.Value { return slog.StringValue(a.String()) }

// MarshalText hides credentials from encoders.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Addresses is a comma-separated list of addresses.
type Addresses []Address

// Strings returns the addresses with their credentials: to be used, not printed.
func (as Addresses) Strings() []string {
	out := make([]string, len(as))
	for i, a := range as {
		out[i] = string(a)
	}
	return out
}
