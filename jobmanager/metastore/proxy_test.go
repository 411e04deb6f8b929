package metastore_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/weirstream/weir/internal/goroutine"
)

// proxy stands between a client and etcd and spoils what passes.
type proxy struct {
	t        *testing.T
	listener net.Listener
	group    *goroutine.Group

	mu struct {
		sync.Mutex
		target string
		// deaf drops what etcd answers; holding keeps what clients send.
		deaf, holding bool
		connections   map[*connection]bool
		// look is called with what a client sends, before it is passed on.
		look func(sent []byte)
	}
	// changed wakes those who wait for what is held or answered.
	changed *sync.Cond
}

// connection is one connection of a client and the one to etcd that belongs to it.
// Its fields are guarded by the proxy's lock.
type connection struct {
	client, server net.Conn
	// held has not been passed on to etcd. A connection that is orphaned has lost its
	// client and is kept for what it holds.
	held     []byte
	orphaned bool
	// answers counts the data frames of etcd, rest is the beginning of the next frame.
	answers int
	rest    []byte
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, listener: listener, group: goroutine.New(context.WithoutCancel(t.Context()))}
	p.changed = sync.NewCond(&p.mu.Mutex)
	p.mu.target = target
	p.mu.connections = map[*connection]bool{}
	p.group.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) close() {
	p.group.Stop()
	_ = p.listener.Close()
	p.mu.Lock()
	for c := range p.mu.connections {
		_ = c.client.Close()
		_ = c.server.Close()
	}
	p.mu.Unlock()
	if err := p.group.Wait(); err != nil {
		p.t.Error(err)
	}
}

func (p *proxy) accept(ctx context.Context) error {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return nil // it was closed
		}
		p.mu.Lock()
		target := p.mu.target
		p.mu.Unlock()
		server, err := new(net.Dialer).DialContext(ctx, "tcp", target)
		if err != nil {
			_ = client.Close()
			continue
		}
		c := &connection{client: client, server: server}
		p.mu.Lock()
		p.mu.connections[c] = true
		p.mu.Unlock()
		if !p.group.Go(func(context.Context) error { p.forward(c); return nil }) ||
			!p.group.Go(func(context.Context) error { p.answer(c); return nil }) {
			_ = client.Close()
			_ = server.Close()
		}
	}
}

// forward passes on what the client sends.
func (p *proxy) forward(c *connection) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := c.client.Read(buffer)
		if err != nil {
			p.mu.Lock()
			orphaned := c.orphaned
			p.mu.Unlock()
			if !orphaned {
				_ = c.server.Close()
			}
			return
		}
		p.mu.Lock()
		look := p.mu.look
		p.mu.Unlock()
		if look != nil {
			look(buffer[:n])
		}
		p.mu.Lock()
		if p.mu.holding {
			c.held = append(c.held, buffer[:n]...)
			p.changed.Broadcast()
			p.mu.Unlock()
			continue
		}
		p.mu.Unlock()
		if _, err := c.server.Write(buffer[:n]); err != nil {
			_ = c.client.Close()
			return
		}
	}
}

// answer passes on what etcd answers.
func (p *proxy) answer(c *connection) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := c.server.Read(buffer)
		if err != nil {
			_ = c.client.Close()
			p.mu.Lock()
			delete(p.mu.connections, c)
			p.mu.Unlock()
			return
		}
		p.mu.Lock()
		c.count(buffer[:n])
		p.changed.Broadcast()
		deaf := p.mu.deaf || c.orphaned
		p.mu.Unlock()
		if !deaf {
			_, _ = c.client.Write(buffer[:n])
		}
	}
}

// count counts data frames of HTTP/2: a header has the length (3 bytes), the type
// (0 is data), flags and the stream.
func (c *connection) count(received []byte) {
	c.rest = append(c.rest, received...)
	for len(c.rest) >= 9 {
		length := int(binary.BigEndian.Uint32(c.rest) >> 8)
		if len(c.rest) < 9+length {
			return
		}
		if c.rest[3] == 0 {
			c.answers++
		}
		c.rest = c.rest[9+length:]
	}
}

func (p *proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// dropAnswers lets etcd hear everything, and its clients nothing.
func (p *proxy) dropAnswers() { p.set(func() { p.mu.deaf = true }) }

// hold keeps what clients send.
func (p *proxy) hold() { p.set(func() { p.mu.holding = true }) }

// heal lets everything pass again, on new connections: the old ones are reset. What
// is held stays held.
func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.deaf, p.mu.holding = false, false
	for c := range p.mu.connections {
		c.orphaned = len(c.held) != 0
		_ = c.client.(*net.TCPConn).SetLinger(0)
		_ = c.client.Close()
		if !c.orphaned {
			_ = c.server.Close()
		}
	}
}

// awaitHeld waits until a request that contains text is held.
func (p *proxy) awaitHeld(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for c := range p.mu.connections {
			if bytes.Contains(c.held, []byte(text)) {
				return
			}
		}
		p.changed.Wait()
	}
}

// release sends to etcd what was held, and waits until etcd has answered it. The
// clients that sent it are gone.
func (p *proxy) release() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	released := 0
	for c := range p.mu.connections {
		if !c.orphaned {
			continue
		}
		released++
		before := c.answers
		if _, err := c.server.Write(c.held); err != nil {
			return err
		}
		for c.answers == before {
			p.changed.Wait()
		}
		_ = c.server.Close()
	}
	if released != 1 {
		return errors.New("nothing, or more than one connection, was held")
	}
	return nil
}
