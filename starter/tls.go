package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/reelflow/reelflow/internal/config"
)

// certificate is the one in two files, read again when either has changed: it is
// renewed while the gateway runs.
type certificate struct {
	certFile, keyFile string

	mu     sync.Mutex
	loaded *tls.Certificate
	from   [2]time.Time // when the files were last changed
}

// tlsConfig is nil where somebody else ends TLS, or nobody does. It fails where the
// certificate can't be used, or half of it is missing.
func tlsConfig(c *config.Config) (*tls.Config, error) {
	if c.TLSCertFile == "" && c.TLSKeyFile == "" {
		return nil, nil
	}
	if c.TLSCertFile == "" || c.TLSKeyFile == "" {
		return nil, fmt.Errorf("REELFLOW_TLS_CERT_FILE and REELFLOW_TLS_KEY_FILE belong together: set both or neither")
	}
	current := &certificate{certFile: c.TLSCertFile, keyFile: c.TLSKeyFile}
	if _, err := current.get(nil); err != nil {
		return nil, fmt.Errorf("the certificate of REELFLOW_TLS_CERT_FILE can't be used: %w", err)
	}
	return &tls.Config{GetCertificate: current.get, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}, nil
}

// get implements tls.Config's GetCertificate. While the files are being replaced the
// certificate before serves on.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed, err := c.changed()
	if err == nil && (c.loaded == nil || changed != c.from) {
		var fresh tls.Certificate
		if fresh, err = tls.LoadX509KeyPair(c.certFile, c.keyFile); err == nil {
			c.loaded, c.from = &fresh, changed
		}
	}
	if c.loaded != nil {
		return c.loaded, nil
	}
	return nil, err
}

func (c *certificate) changed() (at [2]time.Time, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return at, err
		}
		at[i] = info.ModTime()
	}
	return at, nil
}
