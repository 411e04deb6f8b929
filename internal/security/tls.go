package security

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"

	"github.com/weirstream/weir/internal/config"
)

// The configuration keys of TLS. Flink's name Java key stores; these name PEM
// files.
var (
	keyTLS         = config.TLSEnabled.Key()
	keyCertificate = config.TLSCertificateFile.Key()
	keyKey         = config.TLSKeyFile.Key()
	keyCA          = config.TLSCAFile.Key()
)

// TLSFiles is TLS as it is configured. Both sides of a connection show a
// certificate, as Flink's do within a cluster.
type TLSFiles struct {
	Enabled bool
	// Certificate is the PEM file of this process's certificate, followed by
	// those that lead to its authority; Key is the PEM file of its private key.
	Certificate, Key string
	// CA is the PEM file of the authorities whose certificates are accepted of
	// the other side.
	CA string
}

// TLSFilesOf returns what the configuration says about TLS.
func TLSFilesOf(c *config.Config) TLSFiles {
	return TLSFiles{
		Enabled:     config.TLSEnabled.Get(c),
		Certificate: config.TLSCertificateFile.Get(c),
		Key:         config.TLSKeyFile.Get(c),
		CA:          config.TLSCAFile.Get(c),
	}
}

// Server loads what a server needs. It returns nil if TLS is not enabled, and
// an error that names key and file if one is missing or unusable. A renewed
// certificate is used from the next connection on, without a restart.
func (f TLSFiles) Server() (*tls.Config, error) {
	if !f.Enabled {
		return nil, nil
	}
	pair, authorities, err := f.load()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.current(), nil },
		ClientAuth:     tls.RequireAndVerifyClientCert,
		ClientCAs:      authorities,
	}, nil
}

// Client loads what a client needs, like [TLSFiles.Server]. The server's
// certificate must be valid for the host name that is dialled.
func (f TLSFiles) Client() (*tls.Config, error) {
	if !f.Enabled {
		return nil, nil
	}
	pair, authorities, err := f.load()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		RootCAs:              authorities,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair.current(), nil },
	}, nil
}

func (f TLSFiles) load() (*keyPair, *x509.CertPool, error) {
	for _, file := range []struct{ key, path string }{{keyCertificate, f.Certificate}, {keyKey, f.Key}, {keyCA, f.CA}} {
		if file.path == "" {
			return nil, nil, fmt.Errorf("%s: true needs certificate, private key and authorities: set %s to a PEM file", keyTLS, file.key)
		}
	}
	pair := &keyPair{files: f}
	if _, err := pair.load(); err != nil {
		return nil, nil, err
	}
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", keyCA, err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(pem) {
		return nil, nil, fmt.Errorf("%s: %s holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", keyCA, f.CA)
	}
	return pair, authorities, nil
}

// keyPair is a certificate with its key, read anew for each connection.
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
		return nil, fmt.Errorf("%s: %w", keyCertificate, err)
	}
	key, err := os.ReadFile(p.files.Key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyKey, err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %s with %s: %s: %w", keyCertificate, p.files.Certificate, keyKey, p.files.Key, err)
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
