package worker

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/goroutine"
)

// newCertificate returns a certificate of its own key, as PEM.
func newCertificate(t *testing.T) (certificate, key []byte) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// shake connects two ends and returns whether each accepts the other.
func shake(t *testing.T, server, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	a, b := net.Pipe()
	group := goroutine.New(t.Context())
	group.Go(func(context.Context) error {
		conn := tls.Server(a, server)
		serverErr = conn.Handshake()
		a.Close()
		return nil
	})
	conn := tls.Client(b, client)
	clientErr = conn.Handshake()
	// In TLS 1.3 a client is done before the server has seen its certificate.
	if clientErr == nil {
		_, _ = conn.Read(make([]byte, 1))
	}
	b.Close()
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return serverErr, clientErr
}

func TestJobTLS(t *testing.T) {
	ours, err := jobTLS(newCertificate(t))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := jobTLS(newCertificate(t))
	if err != nil {
		t.Fatal(err)
	}
	anonymous := &tls.Config{InsecureSkipVerify: true}
	for _, test := range []struct {
		name                      string
		server, client            *tls.Config
		serverAccepts, bothAccept bool
	}{
		{"the same job", ours, ours, true, true},
		{"another job", ours, theirs, false, false},
		{"no certificate", ours, anonymous, false, false},
	} {
		serverErr, clientErr := shake(t, test.server, test.client)
		if (serverErr == nil) != test.serverAccepts || (serverErr == nil && clientErr == nil) != test.bothAccept {
			t.Errorf("%s: the server says %v, the client %v", test.name, serverErr, clientErr)
		}
	}
	// A client must not accept a server that accepts everybody.
	open := &tls.Config{Certificates: theirs.Certificates}
	if _, clientErr := shake(t, open, ours); clientErr == nil {
		t.Error("the client accepts a server with another certificate")
	}
}
