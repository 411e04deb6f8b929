package shuffle_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/shuffle"
)

func TestEndpointConfigIsChecked(t *testing.T) {
	for want, change := range map[string]func(*shuffle.EndpointConfig){
		"worker index -1":    func(c *shuffle.EndpointConfig) { c.Worker = -1 },
		"secret has 15":      func(c *shuffle.EndpointConfig) { c.Secret = make([]byte, 15) },
		`network "udp"`:      func(c *shuffle.EndpointConfig) { c.Network = "udp" },
		"timeout":            func(c *shuffle.EndpointConfig) { c.ConnectTimeout = -1 },
		"segment size 1000:": func(c *shuffle.EndpointConfig) { c.SegmentSize = 1000 },
		"listen tcp":         func(c *shuffle.EndpointConfig) { c.Listen = "256.0.0.1:0" },
	} {
		cfg := endpointConfig(0, testSegment)
		change(&cfg)
		if _, err := shuffle.Listen(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestPartitionConfigIsChecked(t *testing.T) {
	w := newWorker(t, 10, endpointConfig(0, testSegment))
	defer w.close()
	pool := w.pool("pool", 2)
	for want, cfg := range map[string]shuffle.PartitionConfig{
		"needs a pool":                {Channels: []shuffle.Target{{}}},
		"at least one channel":        {Pool: pool},
		"receiver 4 appears twice":    {Pool: pool, Channels: []shuffle.Target{{Subtask: 4}, {Subtask: 4, Worker: 1}}},
		"receiver 4 runs on worker -": {Pool: pool, Channels: []shuffle.Target{{Subtask: 4, Worker: -1}}},
	} {
		cfg.Edge, cfg.From = 3, 2
		if _, err := w.endpoint.NewPartition(cfg); err == nil || !strings.Contains(err.Error(), "partition of edge 3 subtask 2: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	// Nothing of that took the pool or a channel.
	if _, err := w.endpoint.NewPartition(shuffle.PartitionConfig{Edge: 3, From: 2, Pool: pool, Channels: []shuffle.Target{{Subtask: 4}}}); err != nil {
		t.Error(err)
	}
	other := w.pool("other", 2)
	if _, err := w.endpoint.NewPartition(shuffle.PartitionConfig{Edge: 3, From: 2, Pool: other, Channels: []shuffle.Target{{Subtask: 4}}}); err == nil || !strings.Contains(err.Error(), "edge 3 channel 2→4 has a sender already") {
		t.Errorf("a second sender of a channel: %v", err)
	}
	small, err := shuffle.NewArena(1, testSegment/2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.endpoint.NewPartition(shuffle.PartitionConfig{Edge: 9, Pool: newPool(t, small, "small", 1), Channels: []shuffle.Target{{}}}); err == nil || !strings.Contains(err.Error(), `"small" has segments of 2048 bytes: the endpoint's have 4096`) {
		t.Errorf("a pool of another arena: %v", err)
	}
}

func TestGateConfigIsChecked(t *testing.T) {
	w := newWorker(t, 10, endpointConfig(0, testSegment))
	defer w.close()
	pool := w.pool("window gate 0", 5)
	inbox := shuffle.NewInbox()
	remote := []shuffle.Source{{Subtask: 0, Worker: 1}, {Subtask: 1, Worker: 2}, {Subtask: 2}}
	for want, cfg := range map[string]shuffle.GateConfig{
		"needs an inbox":                             {Channels: remote, Exclusive: 1, Pool: pool},
		"gate index -1":                              {Channels: remote, Exclusive: 1, Pool: pool, Inbox: inbox, Index: -1},
		"sender 4 appears twice":                     {Channels: []shuffle.Source{{Subtask: 4}, {Subtask: 4}}, Inbox: inbox},
		"sender 4 runs on worker -1":                 {Channels: []shuffle.Source{{Subtask: 4, Worker: -1}}, Inbox: inbox},
		"0 exclusive buffers":                        {Channels: remote, Pool: pool, Inbox: inbox},
		"2 channels come from other workers: a pool": {Channels: remote, Exclusive: 1, Inbox: inbox},
		`"window gate 0" has 5 buffers: 2 channels from other workers need 3 exclusive ones each, 6 in all`: {Channels: remote, Exclusive: 3, Pool: pool, Inbox: inbox},
	} {
		cfg.Edge, cfg.To = 3, 2
		if _, err := w.endpoint.NewGate(cfg); err == nil || !strings.Contains(err.Error(), "gate of edge 3 subtask 2: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if _, err := w.endpoint.NewGate(shuffle.GateConfig{Edge: 3, To: 2, Channels: remote, Exclusive: 2, Pool: pool, Inbox: inbox}); err != nil {
		t.Error(err)
	}
	if _, err := w.endpoint.NewGate(shuffle.GateConfig{Edge: 3, To: 2, Channels: remote, Exclusive: 2, Pool: w.pool("other", 5), Inbox: shuffle.NewInbox()}); err == nil || !strings.Contains(err.Error(), "has a receiver already") {
		t.Errorf("a second receiver of a channel: %v", err)
	}
}

// TestEndpointEmbedded has no listener, and everything in one worker.
func TestEndpointEmbedded(t *testing.T) {
	cfg := endpointConfig(0, testSegment)
	cfg.Listen = ""
	w := newWorker(t, 8, cfg)
	if w.endpoint.Addr() != nil {
		t.Errorf("listens on %v", w.endpoint.Addr())
	}
	inbox := shuffle.NewInbox()
	p := w.partition(1, 0, 4, shuffle.Target{})
	group := newGroup(t)
	group.start(func() { produce(t, p, 0, []shuffle.Target{{}}, 100) })
	w.gate(inbox, 1, 0, 0, 0, shuffle.Source{})
	consume(t, inbox, 0, []shuffle.Source{{}}, 100)
	group.wait()
	if s := w.endpoint.Stats(); s != (shuffle.Stats{}) {
		t.Errorf("local channels are counted as network traffic: %+v", s)
	}
	w.close()
}

// TestEndpointUnixSocket runs the data plane over a unix socket.
func TestEndpointUnixSocket(t *testing.T) {
	a, b := endpointConfig(0, testSegment), endpointConfig(1, testSegment)
	dir := t.TempDir()
	a.Network, a.Listen = "unix", filepath.Join(dir, "0")
	b.Network, b.Listen = "unix", filepath.Join(dir, "1")
	runPair(t, a, b)
}

// runPair exchanges buffers between two workers.
func runPair(t *testing.T, first, second shuffle.EndpointConfig) {
	t.Helper()
	a, b := newWorker(t, 8, first), newWorker(t, 8, second)
	p := a.partition(1, 0, 4, shuffle.Target{Worker: 1})
	inbox := shuffle.NewInbox()
	sources := []shuffle.Source{{Worker: 0}}
	b.gate(inbox, 1, 0, 4, 2, sources...)
	connect(t, a, b)
	group := newGroup(t)
	group.start(func() { produce(t, p, 0, []shuffle.Target{{}}, 200) })
	consume(t, inbox, 0, sources, 200)
	group.wait()
	closeAll(t, a, b)
}

// tlsConfig is a certificate for 127.0.0.1 that serves both directions and
// that both sides demand.
func tlsConfig(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "weir test"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs:      pool,
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}
}

func TestEndpointTLS(t *testing.T) {
	cfg := tlsConfig(t)
	a, b := endpointConfig(0, testSegment), endpointConfig(1, testSegment)
	a.TLS, b.TLS = cfg, cfg
	runPair(t, a, b)
}

// TestEndpointTLSRefusals has peers without TLS, and with another certificate.
func TestEndpointTLSRefusals(t *testing.T) {
	for want, cfg := range map[string]*tls.Config{
		"handshake: ":                   nil,
		"certificate signed by unknown": tlsConfig(t),
		"wanted to match example.com":   func() *tls.Config { c := tlsConfig(t); c.ServerName = "example.com"; return c }(),
	} {
		a, b := endpointConfig(0, testSegment), endpointConfig(1, testSegment)
		b.TLS = tlsConfig(t)
		if cfg != nil && cfg.ServerName != "" {
			b.TLS = cfg
		}
		a.TLS = cfg
		x, y := newWorker(t, 4, a), newWorker(t, 4, b)
		p := x.partition(1, 0, 4, shuffle.Target{Worker: 1})
		address := y.endpoint.Addr().String()
		if err := x.endpoint.Connect([]shuffle.Peer{{Worker: 1, Address: address}}); err != nil {
			t.Fatal(err)
		}
		wantConnectionError(t, requestFails(p), 1, address, want)
		closeAll(t, x, y)
	}
}

// TestDrainWaitsForTheReceiver drains a partition of which a local and a
// remote receiver are made later.
func TestDrainWaitsForTheReceiver(t *testing.T) {
	a := newWorker(t, 20, endpointConfig(0, testSegment))
	b := newWorker(t, 20, endpointConfig(1, testSegment))
	p := a.partition(1, 0, 4, shuffle.Target{Subtask: 0, Worker: 0}, shuffle.Target{Subtask: 1, Worker: 1})
	if err := p.Drain(nil); err != nil {
		t.Fatalf("draining nothing: %v", err)
	}
	stopped := make(chan struct{})
	close(stopped)
	for _, c := range []int{1, 0} {
		buf := request(t, p)
		fill(buf, 0, uint64(c))
		p.Send(c, buf)
		if err := p.Drain(stopped); !errors.Is(err, shuffle.ErrStopped) {
			t.Fatalf("drained a channel without a receiver: %v", err)
		}
	}
	drained := make(chan error, 1)
	group := newGroup(t)
	group.start(func() { drained <- p.Drain(nil) })
	local, remote := shuffle.NewInbox(), shuffle.NewInbox()
	a.gate(local, 1, 0, 0, 0, shuffle.Source{Worker: 0})
	select {
	case err := <-drained:
		t.Fatalf("drained with one receiver of two: %v", err)
	default:
	}
	b.gate(remote, 1, 1, 1, 1, shuffle.Source{Worker: 0})
	connect(t, a, b)
	if err := <-drained; err != nil {
		t.Fatal(err)
	}
	for c, in := range []*shuffle.Inbox{local, remote} {
		d := next(in)
		if err := check(d.Buffer, 0, uint64(c)); err != nil {
			t.Error(err)
		}
		d.Buffer.Recycle()
	}
	closeAll(t, a, b)
}

// TestDrainIsWokenByALocalGate drains into a worker of its own, where nothing
// else wakes it.
func TestDrainIsWokenByALocalGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := endpointConfig(0, testSegment)
		cfg.Listen = ""
		w := newWorker(t, 4, cfg)
		p := w.partition(1, 0, 4, shuffle.Target{})
		p.SendWatermark(0, 1)
		group := newGroup(t)
		group.start(func() {
			if err := p.Drain(nil); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait() // it waits
		w.gate(shuffle.NewInbox(), 1, 0, 0, 0, shuffle.Source{})
		group.wait()
		w.close()
	})
}

// TestCloseDiscards closes partitions with buffers queued for receivers that
// have no credit, or are not there.
func TestCloseDiscards(t *testing.T) {
	a := newWorker(t, 20, endpointConfig(0, testSegment))
	b := newWorker(t, 20, endpointConfig(1, testSegment))
	p := a.partition(1, 0, 6, shuffle.Target{Subtask: 0, Worker: 0}, shuffle.Target{Subtask: 1, Worker: 1}, shuffle.Target{Subtask: 2, Worker: 2})
	b.gate(shuffle.NewInbox(), 1, 1, 1, 1, shuffle.Source{Worker: 0})
	f := newFence(a, b)
	connect(t, a, b)
	for i := range 6 {
		buf := request(t, p)
		p.Send(i%3, buf)
	}
	f.wait()
	p.Close()
	p.Close()
	// The one that had credit may not have returned from its write.
	if out := a.pools[0].Out(); out > 1 {
		t.Errorf("%d buffers are out after the partition was closed", out)
	}
	// Credit that arrives now is for nobody.
	closeAll(t, a, b)
}

// TestCloseEndpointTwice may be done, also at the same time.
func TestCloseEndpointTwice(t *testing.T) {
	w := newWorker(t, 1, endpointConfig(0, testSegment))
	group := newGroup(t)
	for range 4 {
		group.start(func() {
			if err := w.endpoint.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	group.wait()
	w.close()
}

// TestExchangeManyChannels has more channels to announce, and more events to
// send, than fit into one write.
func TestExchangeManyChannels(t *testing.T) {
	const channels = 300
	a := newWorker(t, channels, endpointConfig(0, testSegment))
	b := newWorker(t, channels, endpointConfig(1, testSegment))
	var sources []shuffle.Source
	var partitions []*shuffle.Partition
	for i := range uint32(channels) {
		p := a.partition(1, i, 1, shuffle.Target{Worker: 1})
		p.Send(0, request(t, p))
		p.SendWatermark(0, int64(i))
		p.SendEvent(0, shuffle.Event{Kind: shuffle.EventEndOfInput})
		sources = append(sources, shuffle.Source{Subtask: i, Worker: 0})
		partitions = append(partitions, p)
	}
	inbox := shuffle.NewInbox()
	b.gate(inbox, 1, 0, channels, 1, sources...)
	connect(t, a, b)
	for _, p := range partitions { // the receiver has recycled nothing so far
		if err := p.Drain(nil); err != nil {
			t.Fatal(err)
		}
	}
	buffers := make(map[int]bool)
	for ended := 0; ended < channels; {
		d := next(inbox)
		switch {
		case d.Buffer != nil:
			if d.Watermark != int64(d.Channel) {
				t.Errorf("channel %d: watermark %d", d.Channel, d.Watermark)
			}
			buffers[d.Channel] = true
			d.Buffer.Recycle()
		case d.Event.Kind == shuffle.EventEndOfInput && buffers[d.Channel]:
			ended++
		default:
			t.Fatalf("delivered %+v %+v", d, d.Event)
		}
	}
	closeAll(t, a, b)
}
