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
func exchange(t testing.TB, n, outBuffers, inBuffers, exclusive, fill int) (time.Duration, shuffle.Stats) {
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
	if testing.Verbose() {
		t.Logf("peer: buffers, reads, writes %s; sent %+v received %+v", received, w.endpoint.Stats().Sent, w.endpoint.Stats().Received)
	}
	peer.wait(t)
	s := w.endpoint.Stats()
	w.close()
	return took, s
}

// plain writes n frames to a peer process in a loop, with a checksum of each
// at both ends or without.
func plain(t testing.TB, n int, checksum bool) time.Duration {
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

// BenchmarkProcesses compares, in interleaved pairs, the exchange between two
// processes with a loop that writes and reads frames of the same size on a
// plain connection. Use it with -benchtime=1x.
func BenchmarkProcesses(b *testing.B) {
	const frames, pairs = 60_000, 7
	for b.Loop() {
		var ratios, against, rates []float64
		for range pairs {
			ours, _ := exchange(b, frames, 32, 16, 16, benchSegment-shuffle.HeaderSize-shuffle.SlackSize)
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
