package security_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/security"
)

// authority signs certificates for a test.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string
}

func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "ca.pem")
	writePEM(t, file, "CERTIFICATE", der)
	return &authority{certificate: certificate, key: key, file: file}
}

// issue writes a certificate for host, and its key.
func (a *authority) issue(t *testing.T, serial int64, host, certificateFile, keyFile string) {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: host},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, certificateFile, "CERTIFICATE", der)
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, keyFile, "PRIVATE KEY", encoded)
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	write(t, file, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})), 0o600)
}

func TestTLSBetweenServerAndClient(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir)
	other := newAuthority(t, t.TempDir())
	files := func(ca *authority, host string) security.TLSFiles {
		f := security.TLSFiles{
			Enabled: true, Certificate: filepath.Join(t.TempDir(), "cert.pem"), Key: filepath.Join(t.TempDir(), "key.pem"), CA: ca.file,
		}
		ca.issue(t, 2, host, f.Certificate, f.Key)
		return f
	}
	with := func(f security.TLSFiles, ca *authority) security.TLSFiles { f.CA = ca.file; return f }
	for _, test := range []struct {
		name           string
		server, client security.TLSFiles
		want           codes.Code
		message        string
	}{
		{"right", files(ca, "127.0.0.1"), files(ca, "cli"), codes.OK, ""},
		{"the server is another host", files(ca, "jobmanager.example"), files(ca, "cli"), codes.Unavailable, "127.0.0.1"},
		{"the server's authority is another", with(files(other, "127.0.0.1"), ca), files(ca, "cli"), codes.Unavailable, "unknown authority"},
		{"the client's authority is another", files(ca, "127.0.0.1"), with(files(other, "cli"), ca), codes.Unavailable, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			serverConfig, err := test.server.Server()
			if err != nil {
				t.Fatal(err)
			}
			address, _ := serve(t, credential(t, secret), serverConfig)
			clientConfig, err := test.client.Client()
			if err != nil {
				t.Fatal(err)
			}
			options, err := security.DialOptions(address, credential(t, secret), clientConfig)
			if err != nil {
				t.Fatal(err)
			}
			_, err = healthv1.NewHealthClient(connect(t, address, options...)).Check(t.Context(), &healthv1.HealthCheckRequest{})
			if status.Code(err) != test.want || !strings.Contains(status.Convert(err).Message(), test.message) {
				t.Errorf("got %v, want %v with %q", err, test.want, test.message)
			}
		})
	}
}

// serveTLS starts a server with a certificate of serial 2, which ca has issued, and
// with ca for those of its clients.
func serveTLS(t *testing.T) (ca *authority, files security.TLSFiles, address string, stop func() string) {
	t.Helper()
	dir := t.TempDir()
	ca = newAuthority(t, dir)
	files = security.TLSFiles{Enabled: true, Certificate: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), CA: ca.file}
	ca.issue(t, 2, "127.0.0.1", files.Certificate, files.Key)
	serverConfig, err := files.Server()
	if err != nil {
		t.Fatal(err)
	}
	address, stop = serve(t, credential(t, secret), serverConfig)
	return ca, files, address, stop
}

func TestAClientWithoutACertificateIsRefused(t *testing.T) {
	_, files, address, stop := serveTLS(t)
	clientConfig, err := files.Client()
	if err != nil {
		t.Fatal(err)
	}
	clientConfig.GetClientCertificate = nil
	options, err := security.DialOptions(address, credential(t, secret), clientConfig)
	if err != nil {
		t.Fatal(err)
	}
	_, err = healthv1.NewHealthClient(connect(t, address, options...)).Check(t.Context(), &healthv1.HealthCheckRequest{})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	// The operator reads why in the daemon's log.
	for _, want := range []string{"level=WARN", "connection refused", "client didn't provide a certificate", "peer=127.0.0.1:"} {
		if logged := stop(); !strings.Contains(logged, want) {
			t.Errorf("%q is missing in %q", want, logged)
		}
	}
}

func TestAConnectionWithoutAWordIsNotLogged(t *testing.T) {
	_, _, address, stop := serveTLS(t)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(conn) // until the server has closed it
	_ = conn.Close()
	if logged := stop(); logged != "" {
		t.Errorf("logged %q", logged)
	}
}

func TestARenewedCertificateIsUsedWithoutARestart(t *testing.T) {
	ca, files, address, _ := serveTLS(t)
	clientConfig, err := files.Client()
	if err != nil {
		t.Fatal(err)
	}
	clientConfig.NextProtos = []string{"h2"}
	if got := serialOf(t, address, clientConfig); got != 2 {
		t.Fatalf("serial %d, want 2", got)
	}
	ca.issue(t, 3, "127.0.0.1", files.Certificate, files.Key)
	if got := serialOf(t, address, clientConfig); got != 3 {
		t.Errorf("after the renewal: serial %d, want 3", got)
	}
	write(t, files.Key, "half of a ke", 0o600)
	if got := serialOf(t, address, clientConfig); got != 3 {
		t.Errorf("while the key is being written: serial %d, want 3", got)
	}
}

// serialOf connects and returns the serial number of the server's certificate.
func serialOf(t *testing.T, address string, config *tls.Config) int64 {
	t.Helper()
	dialer := tls.Dialer{Config: config}
	conn, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	state := conn.(*tls.Conn).ConnectionState()
	if state.Version != tls.VersionTLS13 {
		t.Errorf("TLS version %#x", state.Version)
	}
	return state.PeerCertificates[0].SerialNumber.Int64()
}

func TestTLSFilesThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir)
	path := func(name string) string { return filepath.Join(dir, name) }
	ca.issue(t, 2, "localhost", path("a.pem"), path("a.key"))
	ca.issue(t, 3, "localhost", path("b.pem"), path("b.key"))
	write(t, path("junk"), string(bytes.Repeat([]byte("x"), 100)), 0o600)

	for _, test := range []struct {
		name                 string
		certificate, key, ca string
		want                 []string
	}{
		{"nothing", "", "", "", []string{"security.ssl.certificate-file"}},
		{"no key", path("a.pem"), "", ca.file, []string{"security.ssl.key-file"}},
		{"no authority", path("a.pem"), path("a.key"), "", []string{"security.ssl.ca-file"}},
		{"missing certificate", path("none"), path("a.key"), ca.file, []string{"security.ssl.certificate-file", path("none")}},
		{"missing key", path("a.pem"), path("none"), ca.file, []string{"security.ssl.key-file", path("none")}},
		{"junk", path("junk"), path("a.key"), ca.file, []string{"security.ssl.certificate-file", path("junk")}},
		{"another's key", path("a.pem"), path("b.key"), ca.file, []string{path("a.pem"), path("b.key")}},
		{"missing authority", path("a.pem"), path("a.key"), path("none"), []string{"security.ssl.ca-file", path("none")}},
		{"junk authority", path("a.pem"), path("a.key"), path("junk"), []string{"security.ssl.ca-file", path("junk"), "PEM"}},
	} {
		files := security.TLSFiles{Enabled: true, Certificate: test.certificate, Key: test.key, CA: test.ca}
		_, serverErr := files.Server()
		_, clientErr := files.Client()
		for _, err := range []error{serverErr, clientErr} {
			if err == nil {
				t.Errorf("%s: accepted", test.name)
				continue
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %q is missing in: %v", test.name, want, err)
				}
			}
		}
	}
}

func TestTLSFilesOfAConfiguration(t *testing.T) {
	c, _, err := config.FromMap("test", map[string]string{
		"security.ssl.internal.enabled": "true", "security.ssl.certificate-file": "/c",
		"security.ssl.key-file": "/k", "security.ssl.ca-file": "/a",
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := security.TLSFilesOf(c), (security.TLSFiles{Enabled: true, Certificate: "/c", Key: "/k", CA: "/a"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := security.TLSFilesOf(config.Default()); got != (security.TLSFiles{}) {
		t.Errorf("by default: %+v", got)
	}
}

func TestTLSThatIsOffIsNil(t *testing.T) {
	server, serverErr := security.TLSFiles{Certificate: "x"}.Server()
	client, clientErr := security.TLSFiles{CA: "x"}.Client()
	if server != nil || client != nil || serverErr != nil || clientErr != nil {
		t.Errorf("got %v, %v, %v, %v", server, serverErr, client, clientErr)
	}
	if _, err := os.Stat("x"); err == nil {
		t.Error("there is a file x")
	}
}
