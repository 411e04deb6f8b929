package shuffle

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/weirstream/weir/internal/goroutine"
)

const (
	// maxHandshakes bounds the accepted connections that have not proved
	// themselves yet; further ones wait in the system's backlog.
	maxHandshakes = 64
	// firstRedial and lastRedial bound the pause between attempts to reach a
	// peer.
	firstRedial = 50 * time.Millisecond
	lastRedial  = time.Second
)

// Listen makes a worker's endpoint. With an address to listen on it accepts
// peers from now on, whether Connect names them or not: they prove who they
// are.
func Listen(cfg EndpointConfig) (*Endpoint, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("data endpoint of worker %d: %w", cfg.Worker, err)
	}
	cfg.setDefaults()
	e := &Endpoint{cfg: cfg, group: goroutine.New(context.Background()), handshakes: make(chan struct{}, maxHandshakes), linger: closeLinger}
	e.mu.connections = make(map[int]*connection)
	e.mu.locals = make(map[channelKey]*localChannel)
	if cfg.Listen == "" {
		return e, nil
	}
	listener, err := net.Listen(cfg.Network, cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("data endpoint of worker %d: %w", cfg.Worker, err)
	}
	e.listener = listener
	e.group.Go(e.acceptLoop)
	return e, nil
}

// Connect names the workers that this one shares channels with. Those with a
// larger index are dialled, those with a smaller one are expected to dial.
// Connect does not wait: partitions and gates may be made and used at once.
// A peer that is not connected within ConnectTimeout, or refuses, fails its
// channels as a lost connection does. It is an error when a peer is named
// twice, is this worker itself, or has no address.
func (e *Endpoint) Connect(peers []Peer) error {
	seen := make(map[int]bool, len(peers))
	for _, p := range peers {
		switch {
		case p.Worker < 0 || p.Worker > maxWorker || p.Worker == e.cfg.Worker:
			return fmt.Errorf("worker %d cannot connect to worker %d", e.cfg.Worker, p.Worker)
		case p.Address == "":
			return fmt.Errorf("worker %d has no address", p.Worker)
		case seen[p.Worker]:
			return fmt.Errorf("worker %d is named twice", p.Worker)
		}
		seen[p.Worker] = true
	}
	for _, p := range peers {
		c, err := e.connection(p.Worker)
		if err != nil {
			return err
		}
		if !c.expect(p.Address) {
			continue // named before
		}
		setUp := c.await
		if e.cfg.Worker < p.Worker {
			setUp = c.dial
		}
		if !e.group.Go(setUp) {
			return fmt.Errorf("endpoint of worker %d: %w", e.cfg.Worker, ErrClosed)
		}
	}
	return nil
}

// expect sets the peer's address, and reports false when it is set already.
func (c *connection) expect(address string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.expected {
		return false
	}
	c.mu.expected = true
	c.mu.address = address
	return true
}

// await gives the peer until the timeout to dial.
func (c *connection) await(ctx context.Context) error {
	timeout := c.endpoint.cfg.ConnectTimeout
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-c.settled:
	case <-ctx.Done(): // the endpoint closes, which ends the connection
	case <-timer.C:
		c.mu.Lock()
		refused := c.mu.refused
		c.mu.Unlock()
		if refused != nil {
			c.lost(fmt.Errorf("it was not made within %v; the last attempt failed: %w", timeout, refused))
		} else {
			c.lost(fmt.Errorf("the worker did not dial within %v", timeout))
		}
	}
	return nil
}

// dial reaches the peer, as often as it takes until the timeout, and proves
// itself. A peer that refuses is not asked again.
func (c *connection) dial(ctx context.Context) error {
	e := c.endpoint
	if c.claim() != nil {
		return nil // the endpoint closes
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.ConnectTimeout)
	defer cancel()
	c.mu.Lock()
	address := c.mu.address
	c.mu.Unlock()
	var dialer net.Dialer
	for pause := firstRedial; ; pause = min(2*pause, lastRedial) {
		stream, err := dialer.DialContext(ctx, e.cfg.Network, address)
		if err == nil {
			c.greet(ctx, stream)
			return nil
		}
		if !sleep(ctx, pause) {
			c.lost(err)
			return nil
		}
	}
}

// greet is the dialler's part of a connection's beginning.
func (c *connection) greet(ctx context.Context, stream net.Conn) {
	e := c.endpoint
	own := e.identity()
	own.peer = uint32(c.worker)
	if e.cfg.TLS != nil {
		stream = tls.Client(stream, e.clientTLS(stream))
	}
	err := e.shake(ctx, stream, func() error { return dialHandshake(stream, e.cfg.Secret, own) })
	if err != nil {
		_ = stream.Close() // err counts
		e.cfg.Logger.Warn("data connection could not be made", "worker", c.worker, "error", err)
		c.lost(err)
		return
	}
	c.open(stream)
}

// clientTLS is the configuration to dial with: the name to verify is the
// peer's host, unless the configuration has one.
func (e *Endpoint) clientTLS(stream net.Conn) *tls.Config {
	cfg := e.cfg.TLS
	if cfg.ServerName == "" && !cfg.InsecureSkipVerify {
		cfg = cfg.Clone()
		if host, _, err := net.SplitHostPort(stream.RemoteAddr().String()); err == nil {
			cfg.ServerName = host
		}
	}
	return cfg
}

// shake runs a handshake with a deadline, and ends it when ctx does.
func (e *Endpoint) shake(ctx context.Context, stream net.Conn, handshake func() error) error {
	if err := stream.SetDeadline(time.Now().Add(e.cfg.HandshakeTimeout)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	err := handshake()
	if !stop() && err == nil {
		err = ErrClosed
	}
	if err != nil {
		return err
	}
	return stream.SetDeadline(time.Time{})
}

func (e *Endpoint) identity() identity {
	return identity{
		job:         e.cfg.Job,
		attempt:     e.cfg.Attempt,
		worker:      uint32(e.cfg.Worker),
		segmentSize: uint32(e.cfg.SegmentSize),
		executable:  e.cfg.Executable,
	}
}

// acceptLoop accepts connections until the listener is closed. Whatever comes
// in on one of them, the next is accepted.
func (e *Endpoint) acceptLoop(ctx context.Context) error {
	for {
		select {
		case e.handshakes <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		stream, err := e.listener.Accept()
		if err != nil {
			<-e.handshakes
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			e.cfg.Logger.Error("accept data connection", "error", err)
			if !sleep(ctx, lastRedial) { // out of descriptors, most likely
				return nil
			}
			continue
		}
		started := e.group.Go(func(ctx context.Context) error {
			defer func() { <-e.handshakes }()
			e.welcome(ctx, stream)
			return nil
		})
		if !started {
			_ = stream.Close() // the endpoint closes
		}
	}
}

// sleep waits, and reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// welcome is the listener's part of a connection's beginning.
func (e *Endpoint) welcome(ctx context.Context, stream net.Conn) {
	remote := stream.RemoteAddr()
	if e.cfg.TLS != nil {
		stream = tls.Server(stream, e.cfg.TLS)
	}
	var c *connection
	err := e.shake(ctx, stream, func() error {
		peer, err := acceptHandshake(stream, e.cfg.Secret, e.identity(), func(worker int) *refusal {
			found, err := e.connection(worker)
			if err != nil {
				return &refusal{code: refusedClosing}
			}
			if r := found.claim(); r != nil {
				return r
			}
			c = found
			return nil
		})
		if err != nil && c == nil && peer >= 0 {
			e.noteRefusal(peer, err)
		}
		return err
	})
	if err == nil {
		c.open(stream)
		return
	}
	_ = stream.Close() // err counts
	e.cfg.Logger.Warn("data connection refused", "remote", remote, "error", err)
	if c != nil {
		c.lost(err) // it had proved itself
	}
}

// noteRefusal remembers why a peer that is expected was refused, for the
// message that it did not come.
func (e *Endpoint) noteRefusal(worker int, err error) {
	e.mu.Lock()
	c := e.mu.connections[worker]
	e.mu.Unlock()
	if c == nil {
		return
	}
	c.mu.Lock()
	c.mu.refused = err
	c.mu.Unlock()
}
