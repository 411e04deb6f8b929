package shuffle_test

import (
	"net"
	"sync"
	"testing"
)

// relay stands between two workers as a network that a test can break.
type relay struct {
	listener net.Listener
	target   string
	group    *testGroup

	mu     sync.Mutex
	mangle func(offset int64, data []byte) // what the dialler sends, in place
	conns  []net.Conn
}

func newRelay(t testing.TB, target string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: l, target: target, group: newGroup(t)}
	t.Cleanup(func() {
		_ = l.Close()
		r.cut()
	})
	r.group.start(r.accept)
	return r
}

func (r *relay) address() string { return r.listener.Addr().String() }

// setMangle changes what passes from the dialler to the target from now on.
func (r *relay) setMangle(f func(offset int64, data []byte)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mangle = f
}

// cut ends all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
}

func (r *relay) accept() {
	for {
		in, err := r.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", r.target)
		if err != nil {
			_ = in.Close()
			continue
		}
		r.mu.Lock()
		r.conns = append(r.conns, in, out)
		r.mu.Unlock()
		r.group.start(func() { r.pass(out, in, true) })
		r.group.start(func() { r.pass(in, out, false) })
	}
}

func (r *relay) pass(to, from net.Conn, mangled bool) {
	buf := make([]byte, 64<<10)
	var offset int64
	for {
		n, err := from.Read(buf)
		if mangled {
			r.mu.Lock()
			if r.mangle != nil {
				r.mangle(offset, buf[:n])
			}
			r.mu.Unlock()
		}
		offset += int64(n)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				_ = from.Close()
				return
			}
		}
		if err != nil {
			_ = to.(*net.TCPConn).CloseWrite()
			return
		}
	}
}
