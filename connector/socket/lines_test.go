package socket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/socket"
	"github.com/weirstream/weir/connector/stdout"
	"github.com/weirstream/weir/internal/goroutine"
)

// serve listens on loopback and serves each connection with talk, one after the
// other. It returns the address.
func serve(t testing.TB, talk func(ctx context.Context, conn *net.TCPConn) error) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	group := goroutine.New(context.WithoutCancel(t.Context()))
	group.Go(func(ctx context.Context) error {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return nil // the test is over
			}
			if err := errors.Join(talk(ctx, conn.(*net.TCPConn)), conn.Close()); err != nil {
				t.Errorf("the peer: %v", err)
			}
		}
	})
	t.Cleanup(func() {
		group.Stop()
		_ = listener.Close()
		_ = group.Wait()
	})
	return listener.Addr().String()
}

// say returns a peer that says some text and closes the connection.
func say(text string) func(context.Context, *net.TCPConn) error {
	return func(_ context.Context, conn *net.TCPConn) error {
		_, err := io.WriteString(conn, text)
		return err
	}
}

func open(ctx context.Context, t *testing.T, source weir.Source[string]) weir.Reader[string] {
	t.Helper()
	splits, err := source.Splits(ctx, 4)
	if err != nil || len(splits) != 1 {
		t.Fatalf("splits %v, %v", splits, err)
	}
	r, err := source.Open(ctx, splits[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// readAll reads until an error, and waits where a task would.
func readAll(r weir.Reader[string]) (lines []string, err error) {
	values := make([]string, 100)
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

// TestLines reads a text that is larger than what is read at a time.
func TestLines(t *testing.T) {
	var want []string
	for i := range 50_000 {
		want = append(want, strings.Repeat("x", i%37)+fmt.Sprint(i))
	}
	want = append(want, strings.Repeat("y", 1<<20), "the end")
	source := socket.Lines(serve(t, say(strings.Join(want, "\r\n"))))
	if source.Bounded() {
		t.Error("it is bounded")
	}
	r := open(t.Context(), t, source)
	if got, err := readAll(r); !slices.Equal(got, want) || !errors.Is(err, io.EOF) {
		t.Errorf("%d of %d lines, error %v", len(got), len(want), err)
	}
	if position, err := r.Position(); position == nil || len(position) > 0 || err != nil {
		t.Errorf("position %v, %v", position, err)
	}
}

// TestBrokenConnection: a reset is no end.
func TestBrokenConnection(t *testing.T) {
	read := make(chan struct{})
	r := open(t.Context(), t, socket.Lines(serve(t, func(ctx context.Context, conn *net.TCPConn) error {
		if err := say("a\nb")(ctx, conn); err != nil {
			return err
		}
		<-read
		return conn.SetLinger(0) // so that Close resets it
	})))
	values := make([]string, 1)
	for n := 0; n == 0; {
		var err error
		if n, err = r.Read(values); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			<-r.(weir.Notifier).Ready()
		}
	}
	close(read)
	got, err := readAll(r)
	if values[0] != "a" || len(got) != 0 || err == nil || !strings.Contains(err.Error(), "broke within line 2, of which 1 bytes had come") {
		t.Errorf("%q, then %q and %v", values, got, err)
	}
}

// TestSilentPeer: S3, with a peer that says no more, and what a reader says whose
// task has ended.
func TestSilentPeer(t *testing.T) {
	gone := make(chan struct{}, 2)
	address := serve(t, func(ctx context.Context, conn *net.TCPConn) error {
		if err := say("a\n")(ctx, conn); err != nil {
			return err
		}
		_, err := conn.Read(make([]byte, 1)) // until the other side closes
		gone <- struct{}{}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return err
	})
	canceled := errors.New("canceled")
	for _, cancels := range []bool{false, true} {
		ctx, cancel := context.WithCancelCause(t.Context())
		r, err := socket.Lines(address).Open(ctx, weir.Split{}, []byte{})
		if err != nil {
			t.Fatal(err)
		}
		<-r.(weir.Notifier).Ready()
		for _, want := range []int{1, 0} {
			if n, err := r.Read(make([]string, 2)); n != want || err != nil {
				t.Errorf("Read: %d, %v; want %d", n, err, want)
			}
		}
		if cancels {
			cancel(canceled)
			if _, err := readAll(r); !errors.Is(err, canceled) {
				t.Errorf("after the end of the task: %v", err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		<-gone
		cancel(nil)
	}
}

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		source weir.Source[string]
		want   string
	}{
		{socket.Lines("localhost:9000"), ""},
		{socket.Lines("[::1]:1", socket.Delimiter("\x00"), socket.MaxLength(1), socket.Retry(-1, 0)), ""},
		{socket.Lines("localhost"), "missing port"},
		{socket.Lines(":9000"), "host:port"},
		{socket.Lines("localhost:0"), "between 1 and 65535"},
		{socket.Lines("localhost:65536"), "between 1 and 65535"},
		{socket.Lines("localhost:http"), "between 1 and 65535"},
		{socket.Lines("localhost:1", socket.Delimiter("")), "the delimiter is empty"},
		{socket.Lines("localhost:1", socket.MaxLength(0)), "the longest line is 0 bytes"},
		{socket.Lines("localhost:1", socket.Retry(1, -1)), "is -1ns"},
	} {
		err := test.source.(weir.Validator).Validate()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
		_, splitsErr := test.source.Splits(t.Context(), 1)
		if err == nil {
			continue
		}
		if _, openErr := test.source.Open(t.Context(), weir.Split{}, nil); splitsErr == nil || openErr == nil {
			t.Errorf("Splits and Open accept what Validate does not: %v", err)
		}
	}
}

// TestJob: a job reads a socket to its end, at a parallelism of which the most
// have nothing to read.
func TestJob(t *testing.T) {
	var got strings.Builder
	address := serve(t, say("to be\nor not\n"))
	err := weir.Run(t.Context(), "words", func(env *weir.Env) {
		weir.From(env, "lines", socket.Lines(address)).To("stdout", stdout.JSON[string](stdout.To(&got)))
	}, weir.Setting("parallelism.default", "3"), weir.WithoutWarnings())
	if err != nil || got.String() != "\"to be\"\n\"or not\"\n" {
		t.Errorf("got %q, %v", got.String(), err)
	}
}

// Reading what a peer says, as nc -l 9000 would, until it closes.
func ExampleLines() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	peer := goroutine.New(context.Background())
	peer.Go(func(context.Context) error {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		_, err = io.WriteString(conn, "to be\nor not\n")
		return errors.Join(err, conn.Close())
	})

	err = weir.Run(context.Background(), "shout", func(env *weir.Env) {
		weir.From(env, "lines", socket.Lines(listener.Addr().String())).
			Map(strings.ToUpper).
			To("stdout", stdout.JSON[string]())
	}, weir.Setting("parallelism.default", "1"), weir.WithoutWarnings())
	fmt.Println(errors.Join(err, peer.Wait(), listener.Close()))
	peer.Stop()
	// Output:
	// "TO BE"
	// "OR NOT"
	// <nil>
}
