package security

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// IsLoopback reports whether host names this machine only: "localhost",
// 127.0.0.0/8 or ::1. An empty host and 0.0.0.0, which listen everywhere, do
// not, and no name does but localhost, whatever it resolves to today.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}

// CheckListen returns nil if a daemon may listen at address ("host:port", or a
// host alone), and otherwise an error that says what is missing: beyond
// loopback it needs TLS and a credential that was configured, since one that
// was created is known on this machine only. key is the configuration key that
// the address comes from.
func CheckListen(key, address string, encrypted bool, credential Credential) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if IsLoopback(host) {
		return nil
	}
	var missing []string
	if !encrypted {
		missing = append(missing, fmt.Sprintf("TLS (%s: true with %s, %s and %s)", keyTLS, keyCertificate, keyKey, keyCA))
	}
	if !credential.Configured() {
		missing = append(missing, fmt.Sprintf("a configured credential (%s)", keyCredential))
	}
	if len(missing) == 0 {
		return nil
	}
	where := host
	if host == "" {
		where = "all addresses"
	}
	return fmt.Errorf("%s: listening on %s, beyond loopback, needs %s; or set %s: localhost",
		key, where, strings.Join(missing, " and "), key)
}

// Listen opens a TCP port at address if [CheckListen] allows it. Where it was
// allowed for "localhost", it also checks that this name leads to loopback.
func Listen(ctx context.Context, key, address string, encrypted bool, credential Credential) (net.Listener, error) {
	if err := CheckListen(key, address, encrypted, credential); err != nil {
		return nil, err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if err := CheckListen(key, listener.Addr().String(), encrypted, credential); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("%s leads to %s here: %w", address, listener.Addr(), err)
	}
	return listener, nil
}
