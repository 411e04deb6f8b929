package taskmanager

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// socketPair returns the two ends of a connection: one to keep, one for a child
// to inherit. Neither is inherited by other children.
func socketPair() (ours net.Conn, theirs *os.File, err error) {
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("create the worker's session socket: %w", err)
	}
	kept := os.NewFile(uintptr(fds[0]), "session")
	theirs = os.NewFile(uintptr(fds[1]), "worker's session")
	defer kept.Close()
	ours, err = net.FileConn(kept)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("create the worker's session socket: %w", err), theirs.Close())
	}
	return ours, theirs, nil
}

// oneConn is a listener that accepts the one connection that there is.
type oneConn struct {
	conn   net.Conn
	once   chan struct{}
	closed chan struct{}
	close  sync.Once
}

func listenOne(conn net.Conn) *oneConn {
	l := &oneConn{conn: conn, once: make(chan struct{}, 1), closed: make(chan struct{})}
	l.once <- struct{}{}
	return l
}

// Accept returns the connection, and after that blocks until Close.
func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case <-l.once:
		return l.conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept. The connection belongs to who accepted it; if nobody did,
// it is closed.
func (l *oneConn) Close() error {
	l.close.Do(func() { close(l.closed) })
	select {
	case <-l.once:
		return l.conn.Close()
	default:
		return nil
	}
}

func (l *oneConn) Addr() net.Addr { return l.conn.LocalAddr() }
