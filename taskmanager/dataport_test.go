package taskmanager

import (
	"net"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/ids"
)

// The ledger gives each worker the first port that no other holds and that was
// not tried, whatever comes and goes.
func TestPortLedger(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ports := config.Ports{{First: 7003, Last: 7005}, {First: 7004, Last: 7006}, {First: 7001, Last: 7001}}
		order := []uint16{7003, 7004, 7005, 7006, 7001}
		l := newPortLedger(ports)
		model := map[attempt]uint16{}
		who := rapid.Custom(func(t *rapid.T) attempt {
			return attempt{ids.JobID{byte(rapid.IntRange(1, 6).Draw(t, "job"))}, 1}
		})
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				a, tried := who.Draw(t, "who"), rapid.MapOf(rapid.SampledFrom(order), rapid.Just(true)).Draw(t, "tried")
				delete(model, a)
				free := slices.DeleteFunc(slices.Clone(order), func(p uint16) bool {
					for _, held := range model {
						if held == p {
							return true
						}
					}
					return tried[p]
				})
				got, ok := l.take(a, tried)
				if ok != (len(free) > 0) || ok && got != free[0] {
					t.Fatalf("got %d, %t; free are %v", got, ok, free)
				}
				if ok {
					model[a] = got
				}
			},
			"release": func(t *rapid.T) {
				a := who.Draw(t, "who")
				l.release(a)
				delete(model, a)
			},
		})
	})
}

// A port is nobody else's from its reservation until its worker listens.
func TestPortReservation(t *testing.T) {
	port := freePort(t)
	d := newDataPorts("127.0.0.1", config.Ports{{First: port, Last: port}})
	a, b := attempt{ids.JobID{1}, 1}, attempt{ids.JobID{2}, 1}
	address, reservation, err := d.reserve(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := net.Listen("tcp", address); err == nil {
		l.Close()
		t.Error("another program could take the port")
	}
	if _, _, err := d.reserve(t.Context(), b); err == nil || !strings.Contains(err.Error(), "of the 1 that") ||
		!strings.Contains(err.Error(), "1 are held by workers of this TaskManager and 0 by other programs") {
		t.Errorf("a second worker: %v", err)
	}
	reservation.close()
	reservation.close()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("the worker cannot listen: %v", err)
	}
	d.release(a) // Its listener is still there, as if it were another program's.
	if _, _, err := d.reserve(t.Context(), b); err == nil || !strings.Contains(err.Error(), "0 are held by workers of this TaskManager and 1 by other programs") {
		t.Errorf("a port that is in use: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again, reservation, err := d.reserve(t.Context(), b)
	if err != nil || again != address {
		t.Fatalf("got %s, %v: want %s", again, err, address)
	}
	reservation.close()
}

func TestAnyPortIsNotReserved(t *testing.T) {
	for _, ports := range []config.Ports{nil, {{}}} {
		d := newDataPorts("::1", ports)
		address, reservation, err := d.reserve(t.Context(), attempt{})
		if address != "[::1]:0" || reservation != nil || err != nil {
			t.Errorf("got %s, %v, %v", address, reservation, err)
		}
		reservation.close()
	}
}

// An address that is not this host's is no matter of the port.
func TestBindHostOfAnotherHost(t *testing.T) {
	d := newDataPorts("192.0.2.1", config.Ports{{First: 7000, Last: 7001}})
	_, _, err := d.reserve(t.Context(), attempt{})
	if err == nil || !strings.Contains(err.Error(), "taskmanager.bind-host") || !strings.Contains(err.Error(), "192.0.2.1:7000") {
		t.Errorf("got %v", err)
	}
	if len(d.mu.ledger.held) != 0 {
		t.Error("the port is still held")
	}
}

// freePort returns a port that nobody listens on.
func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}
