package metastore_test

import (
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(withEtcd{m})
}

// withEtcd runs the tests beside one real etcd server, which has gone before the
// leak check.
type withEtcd struct{ *testing.M }

// etcdAddress is the client address of the server.
var etcdAddress string

// Run starts the server, runs the tests and stops the server.
func (m withEtcd) Run() int {
	if os.Getenv(childKey) != "" { // A child process, which its parent kills, needs none.
		return m.M.Run()
	}
	dir, err := os.MkdirTemp("", "metastore-etcd-*")
	if err != nil {
		return failed(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	server, err := startEtcd(dir)
	if err != nil {
		return failed(err)
	}
	defer server.Close()
	etcdAddress = server.Clients[0].Addr().String()
	return m.M.Run()
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, "start etcd:", err)
	return 1
}

func startEtcd(dir string) (*embed.Etcd, error) {
	c := embed.NewConfig()
	c.Dir = dir
	c.UnsafeNoFsync = true
	c.TickMs, c.ElectionMs = 10, 100
	// It is made while the tests begin, and races with them for variables of package os.
	c.EnableGRPCGateway = false
	loopback := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	c.ListenClientUrls, c.ListenPeerUrls = loopback, loopback
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	server, err := embed.StartEtcd(c)
	if err != nil {
		return nil, err
	}
	select {
	case <-server.Server.ReadyNotify():
		return server, nil
	case err := <-server.Err():
		server.Close()
		return nil, err
	case <-time.After(20 * time.Second):
		server.Close()
		return nil, fmt.Errorf("etcd is not ready after 20 s")
	}
}
