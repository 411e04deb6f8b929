package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/bench/internal/report"
	"github.com/weirstream/weir/bench/internal/workload"
	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/leaktest"
)

// TestMain is also the main of the two processes that a test starts.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "-id") {
		main()
		os.Exit(0)
	}
	// With the race detector each process would sleep for a second at its end.
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0")
	leaktest.Main(m)
}

func TestAnswers(t *testing.T) {
	for _, p := range []workload.Params{
		{Events: 300_000, Keys: 1000, Window: 1000, Rate: 100_000},
		{Events: 100_000, Keys: 50_000, Window: 7, Rate: 999_999},
		{Events: 10_000, Keys: 1, Window: 1000, Rate: 1000}, // One process has nothing to count.
		{Events: 1, Keys: 2, Window: 1, Rate: 1},
		{Events: 40, Keys: 100, Window: 1, Rate: 1}, // Windows are further apart than events.
	} {
		line, err := parent(t.Context(), p)
		if err != nil {
			t.Fatalf("%+v: %v", p, err)
		}
		if want := p.Answer(processes); line.Result != want {
			t.Errorf("%+v: %+v, want %+v", p, line.Result, want)
		}
		if want := crossing(p); *line.TCPRecords != want || line.Events != 2*p.Events || line.EventsPerSecond <= 0 {
			t.Errorf("%+v: %d over TCP of %d events at %v per second, want %d of %d", p, *line.TCPRecords, line.Events, line.EventsPerSecond, want, 2*p.Events)
		}
	}
}

// crossing counts the events whose key belongs to the other process.
func crossing(p workload.Params) (n int64) {
	for split := range processes {
		g := p.Split(split)
		events := make([]workload.Event, 100)
		for filled := g.Fill(events); filled > 0; filled = g.Fill(events) {
			for _, e := range events[:filled] {
				if owner(e.Key) != split {
					n++
				}
			}
		}
	}
	return n
}

func TestPrintsAFigure(t *testing.T) {
	var out bytes.Buffer
	if err := run([]string{"-n", "1000", "-keys", "10"}, &out); err != nil {
		t.Fatal(err)
	}
	var line report.LimitLine
	decoder := json.NewDecoder(&out)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&line); err != nil || line.System != "limit" || line.Bench != "keyed-window" || line.Keys != 10 || line.Events != 2000 {
		t.Errorf("%+v, %v", line, err)
	}
}

func TestRefuses(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"-n 0", "-n 0"},
		{"-id 2", "-id 2"},
		{"-id 0", "run limit without -id"}, // The test has no such file descriptors.
	} {
		if err := run(strings.Fields(test.args), io.Discard); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.args, err, test.want)
		}
	}
}

// TestReceiveCuts has reads end in the middle of events.
func TestReceiveCuts(t *testing.T) {
	out, in := pair(t)
	c, err := newPeer(0, workload.Params{Events: 1, Keys: 1, Window: 1, Rate: 1})
	if err != nil {
		t.Fatal(err)
	}
	sent := make([]byte, 100*eventSize)
	for i := range sent {
		sent[i] = byte(i * 7)
	}
	group := goroutine.New(t.Context())
	group.Go(func(ctx context.Context) error { return c.receive(ctx, in) })
	var got []byte
	for rest := sent; len(got) < len(sent); {
		// The next piece is sent when the last one has arrived.
		piece := rest[:min(len(rest), 1+len(rest)%75)]
		rest = rest[len(piece):]
		if _, err := out.Write(piece); err != nil {
			t.Fatal(err)
		}
		for len(got) < (len(sent)-len(rest))/eventSize*eventSize {
			arrived := <-c.arrived
			if arrived.input != fromPeer || len(arrived.data)%eventSize != 0 {
				t.Fatalf("%d bytes from input %d", len(arrived.data), arrived.input)
			}
			got = append(got, arrived.data...)
			c.received <- arrived.data[:0]
		}
	}
	if !bytes.Equal(got, sent) {
		t.Error("the events are not those that were sent")
	}
	if _, err := out.Write(sent[:5]); err != nil {
		t.Fatal(err)
	}
	_ = out.Close()
	if err := group.Wait(); err == nil || !strings.Contains(err.Error(), "5 bytes of an event") {
		t.Errorf("an end in the middle of an event: %v", err)
	}
}

func pair(t *testing.T) (out, in *net.TCPConn) {
	t.Helper()
	dialed, accepted, err := connection()
	if err != nil {
		t.Fatal(err)
	}
	connect := func(f *os.File) *net.TCPConn {
		defer f.Close()
		conn, err := net.FileConn(f)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn.(*net.TCPConn)
	}
	return connect(dialed), connect(accepted)
}

// TestTable compares a table that grows with a map.
func TestTable(t *testing.T) {
	type row struct{ count, sum int64 }
	want := map[uint64]row{}
	table := newTable(4)
	for round := range 2 { // It is used again after it has fired.
		var expected, fired workload.Result
		clear(want)
		for i := range 10_000 {
			key, value := uint64(i*i%777), int64(i)
			r := want[key]
			want[key] = row{r.count + 1, r.sum + value}
			table.add(key, value)
		}
		for key, r := range want {
			expected.Row(key, 5, r.count, r.sum)
		}
		table.fire(5, &fired)
		if fired != expected {
			t.Errorf("round %d: %+v, want %+v", round, fired, expected)
		}
		if table.fire(5, &fired); fired != expected {
			t.Errorf("round %d: an empty table fires %+v", round, fired)
		}
	}
}
