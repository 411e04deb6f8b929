package security_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/security"
)

// serve starts a gRPC server with one unary and one streaming method, and
// returns its address and what it logs, which is complete once stop was called.
func serve(t *testing.T, credential security.Credential, config *tls.Config, more ...grpc.ServerOption) (address string, stop func() string) {
	t.Helper()
	listener, err := security.Listen(t.Context(), "test.address", "127.0.0.1:0", config != nil, credential)
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	options := security.ServerOptions(credential, config, slog.New(slog.NewTextHandler(&logged, nil)))
	server := grpc.NewServer(append(options, more...)...)
	healthv1.RegisterHealthServer(server, health.NewServer())
	g := goroutine.New(t.Context())
	g.Go(func(context.Context) error { return server.Serve(listener) })
	stop = func() string {
		server.Stop()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		return logged.String()
	}
	t.Cleanup(func() { server.Stop(); _ = g.Wait() })
	return listener.Addr().String(), stop
}

func credential(t *testing.T, secret string) security.Credential {
	t.Helper()
	c, err := security.NewCredential(secret)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func connect(t *testing.T, address string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// call makes a unary call, a streaming call and one of an unknown method, and
// returns how each ended.
func call(ctx context.Context, conn *grpc.ClientConn) [3]codes.Code {
	_, unary := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{})
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, streaming := healthv1.NewHealthClient(conn).Watch(watching, &healthv1.HealthCheckRequest{})
	if streaming == nil {
		_, streaming = stream.Recv()
	}
	unknown := conn.Invoke(ctx, "/weir.Nothing/Nothing", &healthv1.HealthCheckRequest{}, &healthv1.HealthCheckResponse{})
	return [3]codes.Code{status.Code(unary), status.Code(streaming), status.Code(unknown)}
}

func TestEveryCallNeedsTheCredential(t *testing.T) {
	admitted := [3]codes.Code{codes.OK, codes.OK, codes.Unimplemented}
	refused := [3]codes.Code{codes.Unauthenticated, codes.Unauthenticated, codes.Unauthenticated}
	address, stop := serve(t, credential(t, secret), nil)
	conn := connect(t, address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	for _, test := range []struct {
		name    string
		headers []string
		want    [3]codes.Code
	}{
		{"right", []string{"Bearer " + secret}, admitted},
		{"the scheme has no case", []string{"bearer " + secret}, admitted},
		{"none", nil, refused},
		{"empty", []string{""}, refused},
		{"wrong", []string{"Bearer " + strings.Repeat("x", 32)}, refused},
		{"longer", []string{"Bearer " + secret + "0"}, refused},
		{"shorter", []string{"Bearer " + secret[:31]}, refused},
		{"no scheme", []string{secret}, refused},
		{"another scheme", []string{"Basic  " + secret}, refused},
		{"two", []string{"Bearer " + secret, "Bearer " + secret}, refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx := t.Context()
			for _, header := range test.headers {
				ctx = metadata.AppendToOutgoingContext(ctx, "authorization", header)
			}
			if got := call(ctx, conn); got != test.want {
				t.Errorf("unary, streaming, unknown method: %v, want %v", got, test.want)
			}
		})
	}
	logged := stop()
	for _, want := range []string{"call refused", "wrong credential", "no credential", "peer=127.0.0.1:", "method=/grpc.health.v1.Health/Watch"} {
		if !strings.Contains(logged, want) {
			t.Errorf("%q is not in the log:\n%s", want, logged)
		}
	}
	if strings.Contains(logged, secret) {
		t.Error("the log shows the secret")
	}
}

// received notes the requests that a server has read.
type received struct {
	requests atomic.Int64
}

func (r *received) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (r *received) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (r *received) HandleConn(context.Context, stats.ConnStats)                       {}
func (r *received) HandleRPC(_ context.Context, event stats.RPCStats) {
	if _, ok := event.(*stats.InPayload); ok {
		r.requests.Add(1)
	}
}

// Who has no credential cannot make the server read, and keep, a large request.
func TestARefusedRequestIsNotRead(t *testing.T) {
	seen := &received{}
	address, _ := serve(t, credential(t, secret), nil, grpc.StatsHandler(seen))
	conn := connect(t, address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	request := &healthv1.HealthCheckRequest{Service: strings.Repeat("x", 1<<20)}
	for range 10 {
		if _, err := healthv1.NewHealthClient(conn).Check(t.Context(), request); status.Code(err) != codes.Unauthenticated {
			t.Fatalf("got %v", err)
		}
	}
	if n := seen.requests.Load(); n != 0 {
		t.Errorf("%d refused requests were read", n)
	}
	admitted := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+secret)
	if _, err := healthv1.NewHealthClient(conn).Check(admitted, request); status.Code(err) != codes.NotFound {
		t.Errorf("admitted: %v", err)
	}
	if n := seen.requests.Load(); n != 1 {
		t.Errorf("%d admitted requests were read, want 1", n)
	}
}

func TestDialOptionsCarryTheCredential(t *testing.T) {
	address, _ := serve(t, credential(t, secret), nil)
	for want, secret := range map[codes.Code]string{codes.OK: secret, codes.Unauthenticated: strings.Repeat("x", 40)} {
		options, err := security.DialOptions(address, credential(t, secret), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = healthv1.NewHealthClient(connect(t, address, options...)).Check(t.Context(), &healthv1.HealthCheckRequest{})
		if status.Code(err) != want {
			t.Errorf("got %v, want %v", err, want)
		}
		if want == codes.Unauthenticated && !strings.Contains(err.Error(), "security.credential.file") {
			t.Errorf("the refusal does not say what to set: %v", err)
		}
	}
}

func TestAServerWithoutACredentialLetsNobodyIn(t *testing.T) {
	address, _ := serve(t, security.Credential{}, nil)
	conn := connect(t, address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer ")
	if _, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("got %v", err)
	}
}

func TestDialOptionsRefuse(t *testing.T) {
	c := credential(t, secret)
	for _, test := range []struct {
		name, address string
		credential    security.Credential
		config        *tls.Config
		want          string
	}{
		{"clear text beyond loopback", "jobmanager.example:6123", c, nil, "in the clear: set security.ssl.internal.enabled: true with security.ssl.certificate-file"},
		{"clear text to any address", ":6123", c, nil, "in the clear"},
		{"no credential", "localhost:6123", security.Credential{}, nil, "security.credential.file"},
		{"no port", "localhost", c, &tls.Config{MinVersion: tls.VersionTLS13}, "want host:port"},
	} {
		if _, err := security.DialOptions(test.address, test.credential, test.config); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
	if _, err := security.DialOptions("jobmanager.example:6123", c, &tls.Config{MinVersion: tls.VersionTLS13}); err != nil {
		t.Errorf("TLS beyond loopback: %v", err)
	}
}

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "127.0.0.1": true, "127.8.9.10": true, "::1": true, "[::1]": true,
		"::ffff:127.0.0.1": true,
		"":                 false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "example.com": false,
		"localhost.example.com": false, "128.0.0.1": false,
	} {
		if got := security.IsLoopback(host); got != want {
			t.Errorf("IsLoopback(%q) = %v", host, got)
		}
	}
}

func TestListeningBeyondLoopback(t *testing.T) {
	stateHome(t)
	created, err := security.LoadOrCreateCredential("")
	if err != nil {
		t.Fatal(err)
	}
	chosen := credential(t, secret)
	const key = "jobmanager.bind-host"
	for _, test := range []struct {
		address    string
		encrypted  bool
		credential security.Credential
		want       []string // empty: allowed
	}{
		{"localhost:6123", false, created, nil},
		{"[::1]:6123", false, created, nil},
		{"127.0.0.1", false, created, nil},
		{"0.0.0.0:6123", true, chosen, nil},
		{"jobmanager.example:6123", true, chosen, nil},
		{"0.0.0.0:6123", false, chosen, []string{key, "0.0.0.0", "security.ssl.internal.enabled", "security.ssl.certificate-file", "security.ssl.key-file"}},
		{"0.0.0.0:6123", true, created, []string{key, "security.credential.file"}},
		{":6123", false, created, []string{key, "all addresses", "security.ssl.internal.enabled", "security.credential.file", key + ": localhost"}},
		{"10.1.2.3", false, created, []string{"10.1.2.3"}},
	} {
		err := security.CheckListen(key, test.address, test.encrypted, test.credential)
		if (err == nil) != (len(test.want) == 0) {
			t.Errorf("%s, TLS %v, configured %v: %v", test.address, test.encrypted, test.credential.Configured(), err)
		}
		for _, want := range test.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is missing in: %v", test.address, want, err)
			}
		}
	}
	if _, err := security.Listen(t.Context(), key, "0.0.0.0:0", false, created); err == nil {
		t.Error("Listen opened a port on every address")
	}
}

func TestAPortInUseIsNamed(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	_, err = security.Listen(t.Context(), "jobmanager.rpc.port", taken.Addr().String(), false, credential(t, secret))
	if err == nil || !strings.Contains(err.Error(), "jobmanager.rpc.port") || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("got %v", err)
	}
}
