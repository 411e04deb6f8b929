package taskmanager

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"

	"github.com/weirstream/weir/internal/config"
)

// portLedger says which data port each worker holds. It is a plain value
// without I/O; its user serialises the calls.
type portLedger struct {
	ports []uint16
	held  map[attempt]uint16
}

func newPortLedger(ports config.Ports) *portLedger {
	l := &portLedger{held: map[attempt]uint16{}}
	seen := map[uint16]bool{}
	for port := range ports.All() {
		if !seen[port] {
			seen[port] = true
			l.ports = append(l.ports, port)
		}
	}
	return l
}

// take gives a the first port, in the order of the configuration, that no
// other worker holds and that was not tried; ok is false if there is none. What
// a held before is free again.
func (l *portLedger) take(a attempt, tried map[uint16]bool) (port uint16, ok bool) {
	delete(l.held, a)
	taken := map[uint16]bool{}
	for _, p := range l.held {
		taken[p] = true
	}
	for _, p := range l.ports {
		if !taken[p] && !tried[p] {
			l.held[a] = p
			return p, true
		}
	}
	return 0, false
}

// release takes back what a holds.
func (l *portLedger) release(a attempt) { delete(l.held, a) }

// dataPorts hands out the addresses where workers listen for data connections.
// Its methods may be called concurrently.
type dataPorts struct {
	host  string
	ports config.Ports

	mu struct {
		sync.Mutex
		ledger *portLedger
	}
}

func newDataPorts(host string, ports config.Ports) *dataPorts {
	d := &dataPorts{host: host, ports: ports}
	d.mu.ledger = newPortLedger(ports)
	return d
}

// anyPort reports whether the system picks each worker's port.
func (d *dataPorts) anyPort() bool { return len(d.ports) == 0 || d.ports[0].First == 0 }

// reserve gives a worker an address of its own, "host:port", until release. So
// that no other program takes the port while the worker starts, it is listened
// on until the reservation is closed; only then can the worker listen on it. The
// reservation is nil if the system picks the port.
func (d *dataPorts) reserve(ctx context.Context, a attempt) (address string, reservation *portReservation, err error) {
	if d.anyPort() {
		return net.JoinHostPort(d.host, "0"), nil, nil
	}
	tried := map[uint16]bool{}
	for {
		port, ok := d.take(a, tried)
		if !ok {
			return "", nil, d.exhausted(len(tried))
		}
		address = net.JoinHostPort(d.host, strconv.Itoa(int(port)))
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		switch {
		case err == nil:
			return address, &portReservation{listener: l}, nil
		case errors.Is(err, syscall.EADDRINUSE):
			tried[port] = true // Another program has it.
		default:
			d.release(a)
			return "", nil, fmt.Errorf("the port for its data connections (taskmanager.bind-host, taskmanager.data.port): %w", err)
		}
	}
}

func (d *dataPorts) take(a attempt, tried map[uint16]bool) (uint16, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.ledger.take(a, tried)
}

func (d *dataPorts) release(a attempt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.ledger.release(a)
}

func (d *dataPorts) exhausted(byOthers int) error {
	all := len(d.mu.ledger.ports)
	return fmt.Errorf("no port for its data connections is free: of the %d that taskmanager.data.port has (%s), %d are held by workers of this TaskManager "+
		"and %d by other programs; it needs one for each job that runs on the TaskManager at a time", all, d.ports, all-byOthers, byOthers)
}

// portReservation keeps a port until its worker listens on it.
type portReservation struct {
	listener net.Listener
	once     sync.Once
}

// close gives the port to the worker. It may be called several times, and of a
// nil reservation.
func (r *portReservation) close() {
	if r == nil {
		return
	}
	r.once.Do(func() {
		// A process that is being started has a copy of every file of this one
		// for a moment: with that the port would stay in use.
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		_ = r.listener.Close() // Nobody came; there is nothing to lose.
	})
}
