package memory_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/key"
	"github.com/weirstream/weir/state/memory"
)

type sum struct{ count, sum int64 }

func kindOf[K comparable](t testing.TB) *key.Kind[K] {
	t.Helper()
	k, err := key.For[K]()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// batch finds keys in batches of 512 and counts them.
type batch[K comparable] struct {
	kind   *key.Kind[K]
	t      *memory.Table[K, sum]
	hashes []uint64
	idx    []uint32
}

func newBatch[K comparable](t testing.TB) *batch[K] {
	t.Helper()
	kind := kindOf[K](t)
	return &batch[K]{kind, memory.NewTable[K, sum](kind), make([]uint64, 512), make([]uint32, 512)}
}

func (b *batch[K]) add(keys []K) {
	b.kind.Hash(keys, b.hashes)
	b.t.Find(keys, b.hashes, b.idx)
	slots := b.t.Slots()
	for _, j := range b.idx[:len(keys)] {
		a := &slots[j].Acc
		a.count++
		a.sum += int64(j)
	}
}

// TestReserve checks M1: after Reserve several finds leave indices as they are.
func TestReserve(t *testing.T) {
	b := newBatch[uint64](t)
	b.t.Reserve(5000)
	at := map[uint64]uint32{}
	for from := uint64(0); from < 5000; from += 500 {
		keys := make([]uint64, 500)
		for i := range keys {
			keys[i] = from + uint64(i)
		}
		b.add(keys)
		for i, k := range keys {
			at[k] = b.idx[i]
		}
	}
	for k, i := range at {
		if *b.t.KeyAt(i) != k {
			t.Fatalf("the slot of %d has %d", k, *b.t.KeyAt(i))
		}
	}
}

// TestKeysAreCloned overwrites the buffer that keys came from, and keeps keys
// over Clear (M4).
func TestKeysAreCloned(t *testing.T) {
	b := newBatch[string](t)
	var kept []string
	for round := range 3 {
		buffer := []byte(strings.Repeat("0123456789abcdef", 100))
		var keys []string
		for i := range 100 {
			copy(buffer[16*i:], fmt.Sprintf("%d-%d", round, i))
			keys = append(keys, unsafe.String(&buffer[16*i], 16))
		}
		b.add(keys)
		clear(buffer)
		for _, i := range b.idx[:len(keys)] {
			kept = append(kept, *b.t.KeyAt(i))
		}
		b.t.Clear()
	}
	for i, k := range kept {
		if want := fmt.Sprintf("%d-%d", i/100, i%100); !strings.HasPrefix(k, want) || len(k) != 16 {
			t.Fatalf("key %q, want %s…", k, want)
		}
	}
}

// TestChurn inserts and deletes for ever: neither array nor arena may grow with
// the keys that were, only with those that are.
func TestChurn(t *testing.T) {
	b := newBatch[string](t)
	const live = 100
	for i := range 20_000 {
		b.add([]string{fmt.Sprintf("%0100d", i)})
		if i >= live {
			k := fmt.Sprintf("%0100d", i-live)
			j, ok := b.t.Lookup(k, b.kind.HashOne(k))
			if !ok {
				t.Fatalf("%s is gone", k)
			}
			b.t.Delete(j)
		}
	}
	if b.t.Len() != live || len(b.t.Slots()) > 256 {
		t.Errorf("%d keys in %d slots, want %d in 256", b.t.Len(), len(b.t.Slots()), live)
	}
	if n := b.t.ArenaBytes(); n > 200_000 {
		t.Errorf("the arena counts %d bytes for %d of live keys", n, live*100)
	}
}

// TestClearShrinks has one pane of exceptional size: the array goes back by
// halves, and not below what is used.
func TestClearShrinks(t *testing.T) {
	b := newBatch[uint64](t)
	fill := func(n int) {
		for from := 0; from < n; from += 500 {
			keys := make([]uint64, 500)
			for i := range keys {
				keys[i] = uint64(from + i)
			}
			b.add(keys)
		}
	}
	fill(100_000)
	big := len(b.t.Slots())
	b.t.Clear()
	if len(b.t.Slots()) != big {
		t.Errorf("a full table shrank from %d to %d slots", big, len(b.t.Slots()))
	}
	for range 20 {
		fill(1000)
		b.t.ClearRange(0, 10)
		b.t.ClearRange(10, uint32(len(b.t.Slots())))
	}
	if n := len(b.t.Slots()); n > 16*2*1000 || n < 2000 {
		t.Errorf("%d slots remain for 1,000 keys", n)
	}
}

func TestEmpty(t *testing.T) {
	b := newBatch[uint64](t)
	if _, ok := b.t.Lookup(1, 2); ok {
		t.Error("an empty table has a key")
	}
	if _, ok := b.t.Next(0); ok {
		t.Error("an empty table has a slot")
	}
	b.t.Clear()
	b.t.ClearRange(0, 0)
	b.t.Find(nil, nil, nil)
	s := b.t.Snapshot()
	b.add([]uint64{1})
	if slots, ok := s.Next(); ok || s.Len() != 0 {
		t.Errorf("the snapshot of an empty table has %v", slots)
	}
}

// TestSnapshotByAnotherGoroutine reads snapshots, two at a time, while the owner
// updates, grows and clears; the race detector watches. Every update adds one to
// each of a range of keys, so a torn snapshot shows as unequal counts.
func TestSnapshotByAnotherGoroutine(t *testing.T) {
	b := newBatch[uint64](t)
	group := goroutine.New(t.Context())
	for round := range 30 {
		n := 512 * (1 + round%7)
		keys := make([]uint64, 512)
		step := func() {
			for from := 0; from < n; from += 512 {
				for i := range keys {
					keys[i] = uint64(from + i)
				}
				b.add(keys)
			}
		}
		for range 3 {
			step()
		}
		for range 2 {
			snap := b.t.Snapshot()
			group.Go(func(context.Context) error { return checkCounts(snap) })
			step()
		}
		if round%3 == 0 {
			b.t.Clear()
		} else {
			for i, ok := b.t.Next(0); ok; i, ok = b.t.Next(i) {
				b.t.Delete(i)
			}
		}
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	if err := group.Close(); err != nil {
		t.Error(err)
	}
}

// TestSnapshotClosed closes snapshots while another goroutine reads them: what it
// read is not taken for the whole.
func TestSnapshotClosed(t *testing.T) {
	b := newBatch[uint64](t)
	keys := make([]uint64, 512)
	for i := range keys {
		keys[i] = uint64(i)
	}
	b.add(keys)
	group := goroutine.New(t.Context())
	for range 100 {
		snap, begun := b.t.Snapshot(), make(chan struct{})
		group.Go(func(context.Context) error {
			close(begun)
			n := 0
			for slots, ok := snap.Next(); ok; slots, ok = snap.Next() {
				n += len(slots)
			}
			if snap.Complete() != (n == snap.Len()) {
				return fmt.Errorf("%d of %d keys read, complete: %v", n, snap.Len(), snap.Complete())
			}
			return nil
		})
		<-begun
		b.add(keys)
		snap.Close()
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	snap := b.t.Snapshot()
	snap.Close()
	if _, ok := snap.Next(); ok || snap.Complete() {
		t.Error("a closed snapshot is read on, or complete")
	}
	if err := group.Close(); err != nil {
		t.Error(err)
	}
}

func checkCounts(snap *memory.Snapshot[uint64, sum]) error {
	defer snap.Close()
	keys, count := 0, int64(0)
	for {
		slots, ok := snap.Next()
		if !ok {
			break
		}
		for _, s := range slots {
			if count == 0 {
				count = s.Acc.count
			}
			if s.Acc.count != count {
				return fmt.Errorf("key %d was counted %d times, others %d", s.Key, s.Acc.count, count)
			}
			keys++
		}
	}
	if keys != snap.Len() || keys == 0 {
		return fmt.Errorf("the snapshot has %d keys, said %d", keys, snap.Len())
	}
	return nil
}

// TestNoAllocation runs the steady state: find, update, fire, clear, fill again.
func TestNoAllocation(t *testing.T) {
	b := newBatch[uint64](t)
	keys := make([]uint64, 512)
	for i := range keys {
		keys[i] = uint64(i % 300)
	}
	b.add(keys)
	if n := testing.AllocsPerRun(100, func() {
		b.t.Clear()
		b.add(keys)
		b.add(keys)
		for i, ok := b.t.Next(0); ok; i, ok = b.t.Next(i + 1) {
			*b.t.At(i) = sum{}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestSnapshotCopies counts the pages that are copied for a snapshot: each that
// is changed before it was read, and none that was.
func TestSnapshotCopies(t *testing.T) {
	b := newBatch[uint64](t)
	keys := make([]uint64, 512)
	for i := range keys {
		keys[i] = uint64(i)
	}
	b.t.Reserve(2 * len(keys)) // else the table grows, and leaves its array
	b.add(keys)
	pages := len(b.t.Slots()) / 256
	whole, begun := b.t.Snapshot(), b.t.Snapshot()
	if whole.Copies() != 0 {
		t.Errorf("%d pages are copied before anything changed", whole.Copies())
	}
	if _, ok := begun.Next(); !ok {
		t.Fatal("the first page is empty")
	}
	b.add(keys)
	if whole.Copies() != pages || begun.Copies() != pages-1 {
		t.Errorf("%d and %d pages are copied, want %d and one less", whole.Copies(), begun.Copies(), pages)
	}
	whole.Close()
	begun.Close()
	if b.add(keys[:1]); b.t.Snapshotting() {
		t.Error("snapshots that were closed still run")
	}
}
