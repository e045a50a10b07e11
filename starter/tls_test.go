package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/config"
)

// writeCertificate writes a certificate for this machine with a serial number.
func writeCertificate(t *testing.T, c *config.Config, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "reelflow"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{c.TLSCertFile: {Type: "CERTIFICATE", Bytes: der}, c.TLSKeyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		stamp := time.Now().Add(time.Duration(serial) * time.Second)
		if err := os.Chtimes(name, stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
}

// Where the gateway ends TLS it speaks HTTP/2, and takes up a renewed certificate.
func TestTLS(t *testing.T) {
	c := &config.Config{TLSCertFile: filepath.Join(t.TempDir(), "cert.pem")}
	if _, err := tlsConfig(c); err == nil {
		t.Error("a certificate without a key is accepted")
	}
	c.TLSKeyFile = filepath.Join(t.TempDir(), "key.pem")
	if _, err := tlsConfig(c); err == nil {
		t.Error("a certificate that isn't there is accepted")
	}
	writeCertificate(t, c, 1)
	settings, err := tlsConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{TLSConfig: settings, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Proto", r.Proto) })}
	go server.Serve(tls.NewListener(listener, settings))
	defer server.Close()
	ask := func() (serial int64, proto string) {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		answer, err := (&http.Client{Transport: transport}).Get("https://" + listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.TLS.PeerCertificates[0].SerialNumber.Int64(), answer.Header.Get("X-Proto")
	}
	if serial, proto := ask(); serial != 1 || proto != "HTTP/2.0" {
		t.Errorf("certificate %d, %s", serial, proto)
	}
	writeCertificate(t, c, 2)
	if serial, _ := ask(); serial != 2 {
		t.Errorf("the renewed certificate is not taken up: %d", serial)
	}
	if err := os.WriteFile(c.TLSKeyFile, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if serial, _ := ask(); serial != 2 {
		t.Errorf("while it is replaced the one before serves no more: %d", serial)
	}
}
