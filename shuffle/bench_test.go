package shuffle_test

import (
	"bytes"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/weirstream/weir/shuffle"
)

const benchSegment = 32 << 10

// exchange sends n full buffers to a peer process and returns the time it took
// from the first one to the peer's answer that it has them all.
func exchange(t testing.TB, n, outBuffers, inBuffers, exclusive, fill int) time.Duration {
	t.Helper()
	peer := startPeer(t, "sink", "GOMAXPROCS="+strconv.Itoa(runtime.GOMAXPROCS(0)),
		fmt.Sprintf("WEIR_SHUFFLE_TEST_SINK=%d %d %d", benchSegment, inBuffers, exclusive))
	w := newWorker(t, outBuffers+2, endpointConfig(0, benchSegment))
	p := w.partition(1, 0, outBuffers, shuffle.Target{Worker: 1})
	inbox := shuffle.NewInbox()
	w.gate(inbox, 2, 0, 2, 1, shuffle.Source{Worker: 1})
	peer.say(t, w.endpoint.Addr().String())
	if err := w.endpoint.Connect([]shuffle.Peer{{Worker: 1, Address: peer.line(t)}}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for range n {
		b, err := p.Request(nil)
		if err != nil {
			t.Fatal(err)
		}
		b.SetLen(fill)
		b.Records = uint32(fill / 32)
		p.Send(0, b)
	}
	p.SendEvent(0, shuffle.Event{Kind: shuffle.EventEndOfInput})
	if d := next(inbox); d.Event == nil || d.Event.Kind != shuffle.EventEndOfInput {
		t.Fatalf("the peer answered %+v", d)
	}
	took := time.Since(start)
	received := peer.line(t)
	if want := strconv.Itoa(n); received[:len(want)] != want {
		t.Fatalf("the peer received %s buffers of %d", received, n)
	}
	peer.wait(t)
	w.close()
	return took
}

// plain writes n frames to a peer process in a loop, with a checksum of each
// at both ends or without.
func plain(t testing.TB, n int, checksum bool) time.Duration {
	t.Helper()
	role := "plain"
	if checksum {
		role = "plain checksum"
	}
	peer := startPeer(t, role, "GOMAXPROCS="+strconv.Itoa(runtime.GOMAXPROCS(0)))
	c, err := net.Dial("tcp", peer.line(t))
	if err != nil {
		t.Fatal(err)
	}
	frame := bytes.Repeat([]byte{1}, benchSegment)
	var sum uint64
	start := time.Now()
	for range n {
		if checksum {
			sum += xxh3.Hash(frame)
		}
		if _, err := c.Write(frame); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, want := peer.line(t), strconv.FormatUint(sum, 10); got != want {
		t.Fatalf("the peer read frames with checksums of %s, written were %s", got, want)
	}
	took := time.Since(start)
	peer.wait(t)
	return took
}

// lockstep sends buffers and takes them at the other end, a few at a time, in
// one goroutine.
type lockstep struct {
	partition *shuffle.Partition
	inbox     *shuffle.Inbox
	fill      int
}

func (l *lockstep) round(t testing.TB, buffers int) {
	t.Helper()
	for range buffers {
		b, err := l.partition.Request(nil)
		if err != nil {
			t.Fatal(err)
		}
		b.SetLen(l.fill)
		b.Records = 1
		l.partition.Send(0, b)
	}
	l.partition.SendWatermark(0, 1)
	for got := 0; got < buffers; {
		d := next(l.inbox)
		if d.Event != nil {
			t.Fatal(d.Event.Err)
		}
		if d.Buffer != nil {
			d.Buffer.Recycle()
			got++
		}
	}
}

// newLockstep joins a partition to a gate: within a worker, or over TCP.
func newLockstep(t testing.TB, remote bool, fill int) (l *lockstep, end func()) {
	t.Helper()
	l = &lockstep{inbox: shuffle.NewInbox(), fill: fill}
	a := newWorker(t, 32, endpointConfig(0, benchSegment))
	b := newWorker(t, 16, endpointConfig(1, benchSegment))
	target, source, receiver := 0, 0, a
	if remote {
		target, receiver = 1, b
	}
	l.partition = a.partition(1, 0, 16, shuffle.Target{Worker: target})
	receiver.gate(l.inbox, 1, 0, 16, 16, shuffle.Source{Worker: source})
	connect(t, a, b)
	return l, func() { closeAll(t, a, b) }
}

// TestExchangeAllocatesNothing guards the cost of a buffer.
func TestExchangeAllocatesNothing(t *testing.T) {
	for _, remote := range []bool{false, true} {
		l, end := newLockstep(t, remote, benchSegment/2)
		for range 10 {
			l.round(t, 8)
		}
		if n := testing.AllocsPerRun(100, func() { l.round(t, 8) }); n != 0 {
			t.Errorf("remote %v: eight buffers and a watermark cost %v allocations, want none", remote, n)
		}
		end()
	}
}

// BenchmarkExchange is the cost of a buffer between two endpoints of one
// process.
func BenchmarkExchange(b *testing.B) {
	for _, remote := range []bool{false, true} {
		for _, fill := range []int{64, 4 << 10, benchSegment - shuffle.HeaderSize - shuffle.SlackSize} {
			b.Run(fmt.Sprintf("remote=%v/bytes=%d", remote, fill), func(b *testing.B) {
				l, end := newLockstep(b, remote, fill)
				b.SetBytes(int64(8 * fill))
				b.ReportAllocs()
				for b.Loop() {
					l.round(b, 8)
				}
				b.StopTimer()
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(8*b.N), "ns/buffer")
				end()
			})
		}
	}
}

// BenchmarkLatency is the time of one small buffer there and back between two
// endpoints of one process, each of which waits for it.
func BenchmarkLatency(b *testing.B) {
	first := newWorker(b, 16, endpointConfig(0, benchSegment))
	second := newWorker(b, 16, endpointConfig(1, benchSegment))
	there, back := shuffle.NewInbox(), shuffle.NewInbox()
	ping := first.partition(1, 0, 4, shuffle.Target{Worker: 1})
	pong := second.partition(2, 0, 4, shuffle.Target{Worker: 0})
	second.gate(there, 1, 0, 4, 4, shuffle.Source{Worker: 0})
	first.gate(back, 2, 0, 4, 4, shuffle.Source{Worker: 1})
	connect(b, first, second)
	group := newGroup(b)
	group.start(func() {
		for {
			d := next(there)
			if d.Event != nil {
				return
			}
			d.Buffer.Recycle()
			reply, err := pong.Request(nil)
			if err != nil {
				b.Error(err)
				return
			}
			reply.SetLen(64)
			pong.Send(0, reply)
		}
	})
	for b.Loop() {
		buf, err := ping.Request(nil)
		if err != nil {
			b.Fatal(err)
		}
		buf.SetLen(64)
		ping.Send(0, buf)
		next(back).Buffer.Recycle()
	}
	ping.SendEvent(0, shuffle.Event{Kind: shuffle.EventEndOfInput})
	group.wait()
	closeAll(b, first, second)
}

// BenchmarkProcessLatency is the time of one small buffer to another process
// and back, when one is sent each 100 microseconds.
func BenchmarkProcessLatency(b *testing.B) {
	peer := startPeer(b, "echo", "GOMAXPROCS="+strconv.Itoa(runtime.GOMAXPROCS(0)),
		fmt.Sprintf("WEIR_SHUFFLE_TEST_SINK=%d %d %d", benchSegment, 8, 8))
	w := newWorker(b, 16, endpointConfig(0, benchSegment))
	p := w.partition(1, 0, 8, shuffle.Target{Worker: 1})
	inbox := shuffle.NewInbox()
	w.gate(inbox, 2, 0, 8, 8, shuffle.Source{Worker: 1})
	peer.say(b, w.endpoint.Addr().String())
	if err := w.endpoint.Connect([]shuffle.Peer{{Worker: 1, Address: peer.line(b)}}); err != nil {
		b.Fatal(err)
	}
	ticker := time.NewTicker(100 * time.Microsecond)
	defer ticker.Stop()
	var took []time.Duration
	for b.Loop() {
		<-ticker.C
		start := time.Now()
		buf, err := p.Request(nil)
		if err != nil {
			b.Fatal(err)
		}
		buf.SetLen(64)
		p.Send(0, buf)
		next(inbox).Buffer.Recycle()
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
	p.SendEvent(0, shuffle.Event{Kind: shuffle.EventEndOfInput})
	next(inbox)
	peer.line(b)
	peer.wait(b)
	w.close()
}

// BenchmarkProcesses compares, in interleaved pairs, the exchange between two
// processes with a loop that writes and reads frames of the same size on a
// plain connection. Use it with -benchtime=1x.
func BenchmarkProcesses(b *testing.B) {
	const frames, pairs = 60_000, 7
	for b.Loop() {
		var ratios, against, rates []float64
		for range pairs {
			ours := exchange(b, frames, 32, 16, 16, benchSegment-shuffle.HeaderSize-shuffle.SlackSize)
			bare := plain(b, frames, false)
			summed := plain(b, frames, true)
			ratios = append(ratios, bare.Seconds()/ours.Seconds())
			against = append(against, summed.Seconds()/ours.Seconds())
			rates = append(rates, frames*benchSegment/ours.Seconds()/1e9)
		}
		slices.Sort(ratios)
		slices.Sort(against)
		slices.Sort(rates)
		b.ReportMetric(rates[pairs/2], "GB/s")
		b.ReportMetric(ratios[pairs/2], "ratio/plain")
		b.ReportMetric(ratios[0], "low")
		b.ReportMetric(ratios[pairs-1], "high")
		b.ReportMetric(against[pairs/2], "ratio/checksummed")
	}
}
