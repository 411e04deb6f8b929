package shuffle_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/weirstream/weir/internal/invariants"
	"github.com/weirstream/weir/shuffle"
)

func newArena(t *testing.T, segments int) *shuffle.Arena {
	t.Helper()
	a, err := shuffle.NewArena(segments, testSegment)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newPool(t *testing.T, a *shuffle.Arena, name string, buffers int) *shuffle.Pool {
	t.Helper()
	p, err := a.NewPool(name, buffers)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// local returns a partition and the gate that it feeds, in one endpoint.
func local(t *testing.T, buffers int) (*testWorker, *shuffle.Partition, *shuffle.Gate, *shuffle.Inbox) {
	t.Helper()
	w := newWorker(t, buffers, endpointConfig(0, testSegment))
	inbox := shuffle.NewInbox()
	g := w.gate(inbox, 1, 0, 0, 0, shuffle.Source{})
	p := w.partition(1, 0, buffers, shuffle.Target{})
	return w, p, g, inbox
}

func request(t *testing.T, p *shuffle.Partition) *shuffle.Buffer {
	t.Helper()
	b, err := p.Request(t.Context().Done())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got := fmt.Sprint(recover()); !strings.Contains(got, want) {
			t.Errorf("panic %q, want %q", got, want)
		}
	}()
	f()
}

func TestArenaHandsOutSegmentsByCount(t *testing.T) {
	a := newArena(t, 10)
	p := newPool(t, a, "map partition", 7)
	_, err := a.NewPool("window gate 0", 4)
	want := `insufficient number of network buffers: "window gate 0" requires 4, but only 3 of 10 are available`
	if err == nil || err.Error() != want {
		t.Fatalf("error %v, want %s", err, want)
	}
	if got := a.Free(); got != 3 {
		t.Fatalf("%d segments are free after a refusal, want 3", got)
	}
	q := newPool(t, a, "window gate 0", 3)
	err = a.Close()
	if !errors.Is(err, shuffle.ErrBuffersOut) || !strings.Contains(err.Error(), "10 of 10 segments") {
		t.Fatalf("closing with pools open: %v", err)
	}
	p.Close()
	p.Close()
	if got := a.Free(); got != 7 {
		t.Fatalf("%d segments are free after a pool was closed, want 7", got)
	}
	q.Close()
	for range 2 {
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.NewPool("late", 1); err == nil {
		t.Fatal("a closed arena gave a pool")
	}
}

func TestArenaRefusesBadSizes(t *testing.T) {
	for _, size := range []int{-64, 0, 64, 448, 4095, 4097, 128 << 20} {
		if _, err := shuffle.NewArena(4, size); err == nil || !strings.Contains(err.Error(), fmt.Sprint(size)) {
			t.Errorf("segment size %d: error %v", size, err)
		}
	}
	for _, n := range []int{-1, 0} {
		if _, err := shuffle.NewArena(n, testSegment); err == nil {
			t.Errorf("%d segments: no error", n)
		}
	}
	a := newArena(t, 1)
	for _, n := range []int{-1, 0} {
		if _, err := a.NewPool("none", n); err == nil {
			t.Errorf("pool of %d buffers: no error", n)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMapArenaSharesTheFile writes through a buffer and finds it in the file,
// which is closed by then.
func TestMapArenaSharesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slot")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shuffle.MapArena(f, testSegment); err == nil {
		t.Error("an empty file was mapped")
	}
	if err := f.Truncate(3*testSegment - 1); err != nil {
		t.Fatal(err)
	}
	if _, err := shuffle.MapArena(f, testSegment); err == nil || !strings.Contains(err.Error(), "12287 bytes") {
		t.Errorf("a file of two and a half segments: %v", err)
	}
	if err := f.Truncate(3 * testSegment); err != nil {
		t.Fatal(err)
	}
	a, err := shuffle.MapArena(f, testSegment)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if a.Segments() != 3 || a.SegmentSize() != testSegment {
		t.Fatalf("%d segments of %d bytes", a.Segments(), a.SegmentSize())
	}
	w := &testWorker{t: t, arena: a}
	if w.endpoint, err = shuffle.Listen(endpointConfig(0, testSegment)); err != nil {
		t.Fatal(err)
	}
	p := w.partition(1, 0, 3, shuffle.Target{})
	b := request(t, p)
	copy(b.Payload(), "written through a buffer")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if at := bytes.Index(content, []byte("written through a buffer")); at%testSegment != shuffle.HeaderSize {
		t.Errorf("the payload is at byte %d of the file, want byte %d of a segment", at, shuffle.HeaderSize)
	}
	b.Recycle()
	w.close()
}

func TestBufferLayout(t *testing.T) {
	w, p, _, _ := local(t, 2)
	defer w.close()
	b := request(t, p)
	payload := b.Payload()
	if len(payload) != testSegment-shuffle.HeaderSize-shuffle.SlackSize || len(payload) != b.Cap() || cap(payload) != len(payload) {
		t.Errorf("payload of %d bytes, capacity %d, Cap %d", len(payload), cap(payload), b.Cap())
	}
	if at := uintptr(unsafe.Pointer(&payload[0])); at%64 != 0 {
		t.Errorf("payload at %#x is not aligned to 64 bytes", at)
	}
	if b.Len() != 0 || b.Records != 0 || b.Watermark != shuffle.NoWatermark || b.Run != shuffle.RunNone || b.Mark {
		t.Errorf("a new buffer has length %d records %d watermark %d run %d mark %v", b.Len(), b.Records, b.Watermark, b.Run, b.Mark)
	}
	b.SetLen(10)
	if got := b.Bytes(); len(got) != 10 || cap(got) != 10 || &got[0] != &payload[0] {
		t.Errorf("bytes in use: length %d capacity %d", len(got), cap(got))
	}
	for _, n := range []int{-1, b.Cap() + 1} {
		mustPanic(t, "length out of range", func() { b.SetLen(n) })
	}
	b.Records, b.Watermark, b.Run, b.Mark = 5, 6, shuffle.RunLast, true
	b.Recycle()
	b = request(t, p)
	if b.Len() != 0 || b.Records != 0 || b.Watermark != shuffle.NoWatermark || b.Run != shuffle.RunNone || b.Mark {
		t.Errorf("a buffer that was used before has length %d records %d watermark %d run %d mark %v", b.Len(), b.Records, b.Watermark, b.Run, b.Mark)
	}
	b.Recycle()
}

func TestBufferMisuseIsCaught(t *testing.T) {
	w, p, _, _ := local(t, 1)
	b := request(t, p)
	b.Recycle()
	mustPanic(t, `a buffer of pool "partition" was recycled twice`, b.Recycle)
	if !invariants.Enabled {
		w.close()
		return
	}
	mustPanic(t, `a buffer of pool "partition" was sent after it was recycled`, func() { p.Send(0, b) })
	if got := b.Payload()[:3]; !bytes.Equal(got, []byte{0xDB, 0xDB, 0xDB}) {
		t.Errorf("a recycled buffer has %x", got)
	}
	b.Payload()[100] = 1
	mustPanic(t, `was written to after it was recycled, near byte 64 of its payload`, func() { p.TryRequest() })
	if err := w.endpoint.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestPartitionWaitsForBuffers(t *testing.T) {
	w, p, _, _ := local(t, 2)
	defer w.close()
	if !p.Available() {
		t.Fatal("a new partition has no buffer available")
	}
	first, second := p.TryRequest(), p.TryRequest()
	if first == nil || second == nil || p.TryRequest() != nil || p.Available() {
		t.Fatalf("a pool of two gave %v and %v, and then a third", first, second)
	}
	select {
	case <-p.Ready():
		t.Fatal("ready without a buffer")
	default:
	}
	stop := make(chan struct{})
	close(stop)
	if b, err := p.Request(stop); b != nil || !errors.Is(err, shuffle.ErrStopped) {
		t.Fatalf("a stopped request gave %v, %v", b, err)
	}
	group := newGroup(t)
	group.start(first.Recycle)
	<-p.Ready()
	if !p.Available() {
		t.Fatal("ready, but no buffer available")
	}
	group.start(second.Recycle)
	third, fourth := request(t, p), request(t, p)
	group.wait()
	third.Recycle()
	fourth.Recycle()
	p.Close()
	if b, err := p.Request(nil); b != nil || !errors.Is(err, shuffle.ErrClosed) {
		t.Fatalf("a closed partition gave %v, %v", b, err)
	}
}

func TestPoolBelongsToOne(t *testing.T) {
	w := newWorker(t, 4, endpointConfig(0, testSegment))
	defer w.close()
	p := w.partition(3, 1, 2, shuffle.Target{})
	_, err := w.endpoint.NewPartition(shuffle.PartitionConfig{Edge: 4, Pool: w.pools[0], Channels: []shuffle.Target{{}}})
	if want := "belongs to the partition of edge 3 subtask 1 already"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
	p.Close()
	closed := w.pool("closed", 1)
	closed.Close()
	if _, err := w.endpoint.NewPartition(shuffle.PartitionConfig{Edge: 4, Pool: closed, Channels: []shuffle.Target{{}}}); err == nil {
		t.Error("a partition was made of a closed pool")
	}
}

// TestPoolClosedWithBuffersOut gives the segments back as they come home.
func TestPoolClosedWithBuffersOut(t *testing.T) {
	w, p, _, _ := local(t, 3)
	b := request(t, p)
	p.Close()
	w.pools[0].Close()
	if free, out := w.arena.Free(), w.pools[0].Out(); free != 2 || out != 1 {
		t.Errorf("%d segments are free and %d out, want 2 and 1", free, out)
	}
	b.Recycle()
	if free, out := w.arena.Free(), w.pools[0].Out(); free != 3 || out != 0 {
		t.Errorf("%d segments are free and %d out, want 3 and 0", free, out)
	}
	w.close()
}
