package security

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

const (
	authorization = "authorization"
	bearer        = "Bearer "
)

// ServerOptions returns what makes a gRPC server ask every call for the
// credential, and speak TLS unless encryption is nil (see [TLSFiles.Server]). A call
// with no or a wrong credential ends with UNAUTHENTICATED and is logged with
// its peer (S1); so is a connection whose TLS handshake failed.
func ServerOptions(credential Credential, encryption *tls.Config, log *slog.Logger) []grpc.ServerOption {
	g := &guard{want: sha256.Sum256([]byte(credential.value)), open: credential.value != "", log: log}
	transport := insecure.NewCredentials()
	if encryption != nil {
		transport = handshakes{TransportCredentials: credentials.NewTLS(encryption), log: log}
	}
	return []grpc.ServerOption{
		grpc.Creds(transport),
		// Before anything of a request's body is read: who has no credential cannot
		// make the server keep a large message.
		grpc.InTapHandle(func(ctx context.Context, call *tap.Info) (context.Context, error) {
			return ctx, g.check(ctx, call.FullMethodName)
		}),
	}
}

// handshakes logs why a connection was refused. The other side is often told
// nothing but that it is closed.
type handshakes struct {
	credentials.TransportCredentials

	log *slog.Logger
}

// ServerHandshake implements [credentials.TransportCredentials].
func (h handshakes) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := h.TransportCredentials.ServerHandshake(raw)
	// Who connects and leaves without a word only looks whether the port is open.
	if err != nil && !errors.Is(err, io.EOF) {
		h.log.Warn("connection refused", "reason", err, "peer", raw.RemoteAddr())
	}
	return conn, info, err
}

// Clone implements [credentials.TransportCredentials].
func (h handshakes) Clone() credentials.TransportCredentials {
	return handshakes{TransportCredentials: h.TransportCredentials.Clone(), log: h.log}
}

// guard is the one check in front of all handlers of a server.
type guard struct {
	// want is hashed, so that comparing takes the same time for every length (S2).
	want [sha256.Size]byte
	// open is false for a server without a credential: it lets nobody in.
	open bool
	log  *slog.Logger
}

func (g *guard) check(ctx context.Context, method string) error {
	hint := "; on the daemon's machine the credential is found by itself, elsewhere name its file with " + keyCredential
	reason := "wrong credential"
	switch values := metadata.ValueFromIncomingContext(ctx, authorization); {
	case len(values) == 0:
		reason = "the call carries no credential"
	case len(values) == 1 && g.matches(values[0]):
		return nil
	}
	caller := "unknown"
	if p, ok := peer.FromContext(ctx); ok {
		caller = p.Addr.String()
	}
	g.log.Warn("call refused", "reason", reason, "peer", caller, "method", method)
	return status.Error(codes.Unauthenticated, reason+hint)
}

func (g *guard) matches(header string) bool {
	if len(header) < len(bearer) || !strings.EqualFold(header[:len(bearer)], bearer) {
		return false
	}
	got := sha256.Sum256([]byte(header[len(bearer):]))
	return subtle.ConstantTimeCompare(got[:], g.want[:]) == 1 && g.open
}

// DialOptions returns what makes a gRPC client of the server at address
// ("host:port") carry the credential in every call, over TLS unless encryption is
// nil (see [TLSFiles.Client]). It returns an error if that would send the
// credential in the clear beyond loopback (S3).
func DialOptions(address string, credential Credential, encryption *tls.Config) ([]grpc.DialOption, error) {
	if credential.value == "" {
		return nil, fmt.Errorf("no credential for %s: name its file with %s", address, keyCredential)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address %q: want host:port", address)
	}
	carried := carrier{secret: credential.value, encrypted: encryption != nil}
	if encryption != nil {
		return []grpc.DialOption{
			grpc.WithTransportCredentials(credentials.NewTLS(encryption)),
			grpc.WithPerRPCCredentials(carried),
		}, nil
	}
	if !IsLoopback(host) {
		return nil, fmt.Errorf("%s is not on loopback, and without TLS the credential would go to it in the clear: "+
			"set %s: true with %s, %s and %s", address, keyTLS, keyCertificate, keyKey, keyCA)
	}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(carried),
		// No proxy of the environment is to see it either.
		grpc.WithNoProxy(),
	}, nil
}

// carrier puts the credential into every call.
type carrier struct {
	secret    string
	encrypted bool
}

// GetRequestMetadata implements [credentials.PerRPCCredentials].
func (c carrier) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{authorization: bearer + c.secret}, nil
}

// RequireTransportSecurity implements [credentials.PerRPCCredentials].
func (c carrier) RequireTransportSecurity() bool { return c.encrypted }
