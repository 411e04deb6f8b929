package socket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir"
)

// peer is what a connection meets: an error, or what it reads piece by piece.
type peer struct {
	refuses error
	says    []string
	breaks  error // after that; nil closes the connection
}

// conn reads what a peer says. Only its reads and its end are used.
type conn struct {
	net.Conn
	peer peer
}

func (c *conn) Read(b []byte) (int, error) {
	if len(c.peer.says) > 0 {
		n := copy(b, c.peer.says[0])
		c.peer.says = c.peer.says[1:]
		return n, nil
	}
	if c.peer.breaks != nil {
		return 0, c.peer.breaks
	}
	return 0, io.EOF
}

func (c *conn) Close() error { return nil }

// peers returns a dialFunc that meets these peers in turn, and where it notes at
// what time it did.
func peers(all ...peer) (dialFunc, *[]time.Duration) {
	began, times := time.Now(), new([]time.Duration)
	return func(context.Context, string, string) (net.Conn, error) {
		*times = append(*times, time.Since(began))
		if len(all) == 0 {
			return nil, errRefused
		}
		p := all[0]
		all = all[1:]
		return &conn{peer: p}, p.refuses
	}, times
}

var (
	errRefused = errors.New("connection refused")
	errReset   = errors.New("connection reset by peer")
)

// readAll reads until an error, and waits where a task would.
func readAll(r weir.Reader[string]) (lines []string, err error) {
	values := make([]string, 3)
	for {
		n, err := r.Read(values)
		lines = append(lines, values[:n]...)
		if err != nil {
			return lines, err
		}
		if n == 0 {
			<-r.(weir.Notifier).Ready()
		}
	}
}

// TestRetry: when a further connection is made, and what the source ends with.
func TestRetry(t *testing.T) {
	closes, refused := peer{}, peer{refuses: errRefused}
	line := func(lines ...string) peer { return peer{says: lines} }
	for _, test := range []struct {
		name   string
		option Option
		peers  []peer
		lines  string
		err    string // "" is io.EOF
		times  string // of the connections, in seconds
	}{
		{"once", nil, []peer{line("a\nb")}, "a b", "", "[0s]"},
		{"nobody there", nil, nil, "", "cannot connect from", "[0s]"},
		{"closed", Retry(2, time.Second), []peer{line("a\n"), line("b"), closes, closes}, "a b", "", "[0s 1s 2s 3s]"},
		{"a line begins anew", Retry(1, time.Second), []peer{closes, line("a"), line("b"), closes}, "a b", "", "[0s 1s 2s 3s]"},
		{"comes late", Retry(3, time.Minute), []peer{refused, refused, refused, line("a\n"), refused, refused, closes}, "a", "", "[0s 1m0s 2m0s 3m0s 4m0s 5m0s 6m0s]"},
		{"does not come", Retry(2, time.Second), nil, "", "connection refused: is something listening there, such as nc -lk? On a cluster the address must lead there from the TaskManager (connecting again is given up, attempts in a row: 2)", "[0s 1s 2s]"},
		{"does not come again", Retry(1, 0), []peer{line("a\n")}, "a", "connection refused", "[0s 0s]"},
		{"breaks between lines", Retry(1, time.Second), []peer{{says: []string{"a\n"}, breaks: errReset}, line("b\n"), closes}, "a b", "", "[0s 1s 2s]"},
		{"breaks without retry", nil, []peer{{says: []string{"a\n"}, breaks: errReset}}, "a", "the connection to nowhere:1 broke: connection reset", "[0s]"},
		{"breaks within a line", Retry(-1, 0), []peer{{says: []string{"a\nbcd"}, breaks: errReset}}, "a", "the connection to nowhere:1 broke within line 2, of which 3 bytes had come: connection reset", "[0s]"},
		{"long line", Retry(-1, 0), []peer{line("a\n123456789\n")}, "a", "the socket nowhere:1: line 2 is longer than 8 bytes", "[0s]"},
		{"long last line", Retry(-1, 0), []peer{line("a\n", "1234", "56789")}, "a", "line 2 is longer than 8 bytes", "[0s]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				options := []Option{MaxLength(8)}
				if test.option != nil {
					options = append(options, test.option)
				}
				dial, times := peers(test.peers...)
				r := newReader(t.Context(), Lines("nowhere:1", options...).(source), dial)
				lines, err := readAll(r)
				if got := strings.Join(lines, " "); got != test.lines {
					t.Errorf("lines %s, want %s", got, test.lines)
				}
				if test.err == "" && !errors.Is(err, io.EOF) || test.err != "" && !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want %q", err, test.err)
				}
				if err := r.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				if got := fmt.Sprint(*times); got != test.times {
					t.Errorf("connections at %v, want %v", got, test.times)
				}
			})
		})
	}
}

// TestCloseEndsAPause: neither Close nor the end of the task waits for a retry.
func TestCloseEndsAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial, _ := peers()
		r := newReader(t.Context(), Lines("nowhere:1", Retry(-1, time.Hour)).(source), dial)
		synctest.Wait()
		began := time.Now()
		if err := r.Close(); err != nil || time.Since(began) != 0 {
			t.Errorf("Close: %v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		r = newReader(ctx, Lines("nowhere:1", Retry(-1, time.Hour)).(source), dial)
		synctest.Wait()
		canceled := errors.New("canceled")
		cancel(canceled)
		if _, err := readAll(r); !errors.Is(err, canceled) || time.Since(began) != 0 {
			t.Errorf("the task ended %v ago: %v", time.Since(began), err)
		}
		_ = r.Close()
	})
}

// TestOneBatchAhead: a peer is read no further than one batch ahead of the task,
// and Close does not wait until somebody takes it.
func TestOneBatchAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var says, want []string
		for i := range 100 {
			says = append(says, fmt.Sprint(i, "\n"))
			want = append(want, fmt.Sprint(i))
		}
		dial, _ := peers(peer{says: says})
		r := newReader(t.Context(), Lines("nowhere:1").(source), dial)
		synctest.Wait()
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}

		p := &conn{peer: peer{says: says}}
		r = newReader(t.Context(), Lines("nowhere:1").(source), func(context.Context, string, string) (net.Conn, error) { return p, nil })
		synctest.Wait()
		if n := len(p.peer.says); n != 98 { // one is ready, one in hand
			t.Errorf("%d of 100 parts are not read while nobody asks", n)
		}
		if got, err := readAll(r); !slices.Equal(got, want) || !errors.Is(err, io.EOF) {
			t.Errorf("got %q, %v", got, err)
		}
		_ = r.Close()
	})
}
