package shuffle

import (
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/weirstream/weir/internal/goroutine"
)

// An Endpoint is a worker's end of the data plane: it makes partitions and
// gates, and joins them to those of other workers, over one connection for
// each pair of workers. All methods may be called concurrently.
type Endpoint struct {
	cfg      EndpointConfig
	listener net.Listener // nil without an address to listen on
	group    *goroutine.Group
	// handshakes bounds the accepted connections that have not proved
	// themselves yet.
	handshakes chan struct{}
	// linger bounds how long Close waits for a peer to close its side.
	linger time.Duration
	stats  statistics

	mu struct {
		sync.Mutex
		connections map[int]*connection
		locals      map[channelKey]*localChannel
		closed      bool
	}
}

// NewPartition makes the sending end of an exchange for one subtask. Receivers
// on other workers need not be known yet: what is sent waits in the
// partition's buffers until the worker is connected and the receiver there.
func (e *Endpoint) NewPartition(cfg PartitionConfig) (*Partition, error) {
	fail := func(err error) (*Partition, error) {
		return nil, fmt.Errorf("partition of edge %d subtask %d: %w", cfg.Edge, cfg.From, err)
	}
	if err := cfg.Validate(); err != nil {
		return fail(err)
	}
	if err := e.checkSegments(cfg.Pool); err != nil {
		return fail(err)
	}
	p := &Partition{edge: cfg.Edge, from: cfg.From, pool: cfg.Pool, channels: make([]partitionChannel, len(cfg.Channels))}
	if err := cfg.Pool.attach(fmt.Sprintf("the partition of edge %d subtask %d", cfg.Edge, cfg.From), nil); err != nil {
		return fail(err)
	}
	for i, t := range cfg.Channels {
		key := channelKey{edge: cfg.Edge, from: cfg.From, to: t.Subtask}
		if err := e.openTarget(&p.channels[i], p, key, t.Worker); err != nil {
			p.channels = p.channels[:i]
			p.Close()
			return fail(err)
		}
	}
	return p, nil
}

func (e *Endpoint) openTarget(c *partitionChannel, p *Partition, key channelKey, worker int) error {
	if worker == e.cfg.Worker {
		l, err := e.local(key)
		if err != nil {
			return err
		}
		if err := l.takeSender(p); err != nil {
			return err
		}
		c.local = l
		return nil
	}
	conn, err := e.connection(worker)
	if err != nil {
		return err
	}
	ch := &outChannel{key: key, partition: p}
	if err := conn.addOutgoing(ch); err != nil {
		return err
	}
	c.connection, c.remote = conn, ch
	return nil
}

// NewGate makes the receiving end of an exchange for one subtask, and
// announces its credit to the senders on other workers.
func (e *Endpoint) NewGate(cfg GateConfig) (*Gate, error) {
	fail := func(err error) (*Gate, error) {
		return nil, fmt.Errorf("gate of edge %d subtask %d: %w", cfg.Edge, cfg.To, err)
	}
	if err := cfg.Validate(e.cfg.Worker); err != nil {
		return fail(err)
	}
	g := &Gate{edge: cfg.Edge, to: cfg.To, index: cfg.Index, inbox: cfg.Inbox, pool: cfg.Pool}
	if g.pool != nil {
		if err := e.checkSegments(g.pool); err != nil {
			return fail(err)
		}
		if err := g.pool.attach(fmt.Sprintf("the gate of edge %d subtask %d", cfg.Edge, cfg.To), g); err != nil {
			return fail(err)
		}
	}
	if err := g.inbox.register(g, cfg.Index, len(cfg.Channels)); err != nil {
		if g.pool != nil {
			g.pool.detach()
		}
		return fail(err)
	}
	if err := e.openSources(g, &cfg); err != nil {
		g.Close()
		return fail(err)
	}
	return g, nil
}

// openSources registers all channels of a gate, and only then lets anything
// arrive.
func (e *Endpoint) openSources(g *Gate, cfg *GateConfig) error {
	localAt := make([]int, 0, len(cfg.Channels))
	for i, s := range cfg.Channels {
		key := channelKey{edge: cfg.Edge, from: s.Subtask, to: cfg.To}
		if s.Worker == e.cfg.Worker {
			l, err := e.local(key)
			if err != nil {
				return err
			}
			if err := l.takeReceiver(g); err != nil {
				return err
			}
			g.local, localAt = append(g.local, l), append(localAt, i)
			continue
		}
		conn, err := e.connection(s.Worker)
		if err != nil {
			return err
		}
		in := &inChannel{key: key, gate: g, connection: conn, index: len(g.remote), channel: i}
		if err := conn.addIncoming(in); err != nil {
			return err
		}
		g.remote = append(g.remote, in)
	}
	if g.pool != nil {
		g.open(cfg.Exclusive)
	}
	for i, l := range g.local {
		l.attach(localAt[i])
	}
	return nil
}

// checkSegments refuses pools whose buffers are not what peers expect.
func (e *Endpoint) checkSegments(p *Pool) error {
	if size := p.arena.segmentSize; size != e.cfg.SegmentSize {
		return fmt.Errorf("buffer pool %q has segments of %d bytes: the endpoint's have %d", p.name, size, e.cfg.SegmentSize)
	}
	return nil
}

// connection returns the connection to another worker, made on first use.
func (e *Endpoint) connection(worker int) (*connection, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.closed {
		return nil, fmt.Errorf("endpoint of worker %d: %w", e.cfg.Worker, ErrClosed)
	}
	c := e.mu.connections[worker]
	if c == nil {
		c = newConnection(e, worker)
		e.mu.connections[worker] = c
	}
	return c, nil
}

// local returns a channel within this worker, made on first use.
func (e *Endpoint) local(key channelKey) (*localChannel, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.closed {
		return nil, fmt.Errorf("endpoint of worker %d: %w", e.cfg.Worker, ErrClosed)
	}
	l := e.mu.locals[key]
	if l == nil {
		l = &localChannel{key: key}
		e.mu.locals[key] = l
	}
	return l, nil
}

// Addr is the address that peers dial, nil without a listener.
func (e *Endpoint) Addr() net.Addr {
	if e.listener == nil {
		return nil
	}
	return e.listener.Addr()
}

// Stats tells what went over the endpoint's connections.
func (e *Endpoint) Stats() Stats {
	return Stats{Sent: e.stats.sent.load(), Received: e.stats.received.load()}
}

// Close ends all connections and waits for every goroutine of the endpoint.
// What was sent and has credit still leaves; peers have two seconds to take
// it. Partitions and gates should be closed by then: those that are not fail
// with [ErrClosed]. Closing again does nothing.
func (e *Endpoint) Close() error {
	e.mu.Lock()
	closed := e.mu.closed
	e.mu.closed = true
	connections, locals := e.mu.connections, e.mu.locals
	e.mu.Unlock()
	if closed {
		return e.group.Wait()
	}
	if e.listener != nil {
		_ = e.listener.Close() // accepts nothing either way
	}
	e.group.Stop()
	for _, c := range connections {
		c.shutdown()
	}
	for _, l := range locals {
		l.close()
	}
	return e.group.Wait()
}
