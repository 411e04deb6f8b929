package security

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
)

// The configuration keys of TLS. Flink's security.ssl.* take Java key stores;
// these take PEM files.
const (
	KeyTLSEnabled     = "security.ssl.enabled"
	KeyTLSCertificate = "security.ssl.certificate-file"
	KeyTLSKey         = "security.ssl.key-file"
	KeyTLSCA          = "security.ssl.ca-file"
)

// TLSFiles is TLS as it is configured.
type TLSFiles struct {
	Enabled bool
	// Certificate is the PEM file of a server's certificate, followed by those
	// that lead to its authority; Key is the PEM file of its private key.
	Certificate, Key string
	// CA is the PEM file of the authorities whose certificates a client
	// accepts; empty means those of the operating system.
	CA string
}

// Server loads what a server needs. It returns nil if TLS is not enabled, and
// an error that names key and file if one is missing or unusable. A renewed
// certificate is used from the next connection on, without a restart.
func (f TLSFiles) Server() (*tls.Config, error) {
	if !f.Enabled {
		return nil, nil
	}
	if f.Certificate == "" || f.Key == "" {
		return nil, fmt.Errorf("%s: true needs a server's certificate and private key: set %s and %s to PEM files",
			KeyTLSEnabled, KeyTLSCertificate, KeyTLSKey)
	}
	pair := &keyPair{files: f}
	if _, err := pair.load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.current(), nil },
	}, nil
}

// Client loads what a client needs. It returns nil if TLS is not enabled, and
// an error that names key and file if the authorities cannot be read. The
// server's certificate must be valid for the host name that is dialled.
func (f TLSFiles) Client() (*tls.Config, error) {
	if !f.Enabled {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13}
	if f.CA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", KeyTLSCA, err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: %s holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", KeyTLSCA, f.CA)
	}
	return config, nil
}

// keyPair is a server's certificate, read anew for each connection.
type keyPair struct {
	files TLSFiles

	mu struct {
		sync.Mutex
		last *tls.Certificate
	}
}

func (p *keyPair) load() (*tls.Certificate, error) {
	certificate, err := os.ReadFile(p.files.Certificate)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", KeyTLSCertificate, err)
	}
	key, err := os.ReadFile(p.files.Key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", KeyTLSKey, err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %s with %s: %s: %w", KeyTLSCertificate, p.files.Certificate, KeyTLSKey, p.files.Key, err)
	}
	p.mu.Lock()
	p.mu.last = &pair
	p.mu.Unlock()
	return &pair, nil
}

// current returns the certificate as it is on disk now or, while the files are
// being replaced and do not fit together, the last good one.
func (p *keyPair) current() *tls.Certificate {
	if pair, err := p.load(); err == nil {
		return pair
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.last
}
