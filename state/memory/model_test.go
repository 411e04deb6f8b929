package memory_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/key"
	"github.com/weirstream/weir/state/memory"
)

// history is an accumulator that refers to memory which is changed in place.
type history struct {
	sum  int64
	last []int64 // the last three values, written round
}

func (h *history) add(v int64) {
	if h.last == nil {
		h.last = make([]int64, 3)
	}
	h.last[h.sum%3&1] = v
	h.sum += v
}

func cloneHistory(h *history) history { return history{h.sum, slices.Clone(h.last)} }

// model is a table beside the map that it must equal, and the snapshots that
// run beside the maps that they must yield.
type model[K comparable] struct {
	t      *memory.Table[K, history]
	hash   func(K) uint64
	want   map[K]*history
	snaps  []*modelSnapshot[K]
	values int64
}

type modelSnapshot[K comparable] struct {
	s    *memory.Snapshot[K, history]
	want map[K]*history
	got  map[K]history
}

func copied[K comparable](m map[K]*history) map[K]*history {
	c := maps.Clone(m)
	for k, h := range c {
		v := cloneHistory(h)
		c[k] = &v
	}
	return c
}

// update finds a batch and adds to every accumulator, as an operator does.
func (m *model[K]) update(t *rapid.T, keys []K) {
	hashes, idx := make([]uint64, len(keys)), make([]uint32, len(keys))
	for i, k := range keys {
		hashes[i] = m.hash(k)
	}
	m.t.Find(keys, hashes, idx)
	var fresh []K
	for i, k := range keys {
		if *m.t.KeyAt(idx[i]) != k {
			t.Fatalf("key %v was found in the slot of %v", k, *m.t.KeyAt(idx[i]))
		}
		if m.want[k] == nil {
			m.want[k] = &history{}
			fresh = append(fresh, k)
		}
	}
	added := map[K]bool{}
	for _, i := range m.t.New() {
		added[*m.t.KeyAt(i)] = true
		if a := m.t.At(i); a.sum != 0 || a.last != nil {
			t.Fatalf("new key %v begins with %v", *m.t.KeyAt(i), *a)
		}
	}
	if len(added) != len(fresh) || len(m.t.New()) != len(fresh) {
		t.Fatalf("New has %d keys in %d slots, want %v", len(added), len(m.t.New()), fresh)
	}
	for _, k := range fresh {
		if !added[k] {
			t.Fatalf("New lacks %v", k)
		}
	}
	slots := m.t.Slots()
	for i, k := range keys {
		m.values++
		slots[idx[i]].Acc.add(m.values)
		m.want[k].add(m.values)
	}
}

func (m *model[K]) delete(t *rapid.T, k K) {
	i, ok := m.t.Lookup(k, m.hash(k))
	if ok != (m.want[k] != nil) {
		t.Fatalf("Lookup of %v is %v, want %v", k, ok, !ok)
	}
	if ok {
		m.t.Delete(i)
		delete(m.want, k)
	}
}

// deleteWhere deletes while it iterates.
func (m *model[K]) deleteWhere(match func(int64) bool) {
	for i, ok := m.t.Next(0); ok; {
		if match(m.t.At(i).sum) {
			delete(m.want, *m.t.KeyAt(i))
			m.t.Delete(i)
		} else {
			i++
		}
		i, ok = m.t.Next(i)
	}
}

// fire empties the table piece by piece and checks what is in it.
func (m *model[K]) fire(t *rapid.T, piece int) {
	got := map[K]history{}
	end := uint32(len(m.t.Slots()))
	for from := uint32(0); from < end; from = min(end, from+uint32(piece)) {
		to := min(end, from+uint32(piece))
		for i, ok := m.t.Next(from); ok && i < to; i, ok = m.t.Next(i + 1) {
			got[*m.t.KeyAt(i)] = *m.t.At(i)
		}
		m.t.ClearRange(from, to)
	}
	equal(t, "fired", got, m.want)
	m.want = map[K]*history{}
}

func (m *model[K]) snapshot() {
	m.snaps = append(m.snaps, &modelSnapshot[K]{m.t.Snapshot(), copied(m.want), map[K]history{}})
}

// read reads some of a snapshot, or all.
func (m *model[K]) read(t *rapid.T, i, parts int) {
	s := m.snaps[i]
	for ; parts > 0; parts-- {
		slots, ok := s.s.Next()
		if !ok {
			if s.s.Len() != len(s.got) || !s.s.Complete() {
				t.Fatalf("the snapshot said %d keys and had %d, complete: %v", s.s.Len(), len(s.got), s.s.Complete())
			}
			equal(t, "snapshot", s.got, s.want)
			m.snaps = slices.Delete(m.snaps, i, i+1)
			return
		}
		for _, slot := range slots {
			if _, twice := s.got[slot.Key]; twice {
				t.Fatalf("the snapshot has %v twice", slot.Key)
			}
			s.got[slot.Key] = cloneHistory(&slot.Acc)
		}
	}
}

func (m *model[K]) check(t *rapid.T) {
	got := map[K]history{}
	for i, ok := m.t.Next(0); ok; i, ok = m.t.Next(i + 1) {
		got[*m.t.KeyAt(i)] = *m.t.At(i)
	}
	equal(t, "table", got, m.want)
	if m.t.Len() != len(m.want) {
		t.Fatalf("Len is %d, want %d", m.t.Len(), len(m.want))
	}
}

func equal[K comparable](t *rapid.T, what string, got map[K]history, want map[K]*history) {
	for k, h := range got {
		if w := want[k]; w == nil || !reflect.DeepEqual(h, *w) {
			t.Fatalf("%s: %v has %v, want %v", what, k, h, w)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d keys, want %d", what, len(got), len(want))
	}
}

// drive performs random operations. Every hash function is tried, also those
// under which most keys collide.
func drive[K comparable](t *testing.T, draw func(int) K, hash func(K) uint64) {
	t.Helper()
	kind, err := key.For[K]()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		m := &model[K]{t: memory.NewTable[K, history](kind), hash: hash, want: map[K]*history{}}
		m.t.HashWith(hash)
		m.t.CloneWith(cloneHistory)
		spread := rapid.SampledFrom([]int{3, 100, 5000}).Draw(t, "spread")
		one := rapid.Map(rapid.IntRange(0, spread), draw)
		t.Repeat(map[string]func(*rapid.T){
			"":       m.check,
			"update": func(t *rapid.T) { m.update(t, rapid.SliceOfN(one, 0, 600).Draw(t, "keys")) },
			"range": func(t *rapid.T) {
				var keys []K
				from := rapid.IntRange(0, spread).Draw(t, "from")
				for i := range rapid.IntRange(1, 512).Draw(t, "n") {
					keys = append(keys, draw(from+i))
				}
				m.update(t, keys)
			},
			"reserve": func(t *rapid.T) { m.t.Reserve(rapid.IntRange(0, 2000).Draw(t, "n")) },
			"delete":  func(t *rapid.T) { m.delete(t, one.Draw(t, "key")) },
			"expire": func(t *rapid.T) {
				d := rapid.Int64Range(1, 4).Draw(t, "divisor")
				m.deleteWhere(func(v int64) bool { return v%d == 0 })
			},
			"clear":    func(*rapid.T) { m.t.Clear(); m.want = map[K]*history{} },
			"fire":     func(t *rapid.T) { m.fire(t, rapid.IntRange(1, 1000).Draw(t, "piece")) },
			"snapshot": func(*rapid.T) { m.snapshot() },
			"read": func(t *rapid.T) {
				if len(m.snaps) > 0 {
					m.read(t, rapid.IntRange(0, len(m.snaps)-1).Draw(t, "snapshot"), rapid.SampledFrom([]int{1, 3, 1 << 20}).Draw(t, "parts"))
				}
			},
			"close": func(t *rapid.T) {
				if len(m.snaps) > 0 {
					m.snaps[0].s.Close()
					m.snaps = m.snaps[1:]
				}
			},
		})
		for len(m.snaps) > 0 {
			m.read(t, 0, 1<<20)
		}
	})
}

func TestTableAgainstModel(t *testing.T) {
	ints, err := key.For[uint64]()
	if err != nil {
		t.Fatal(err)
	}
	strs, err := key.For[string]()
	if err != nil {
		t.Fatal(err)
	}
	number := func(i int) uint64 { return uint64(i) }
	text := func(i int) string { return fmt.Sprintf("key %d", i) }
	t.Run("integers", func(t *testing.T) { drive(t, number, ints.HashOne) })
	t.Run("strings", func(t *testing.T) { drive(t, text, strs.HashOne) })
	t.Run("equal hashes", func(t *testing.T) { drive(t, number, func(k uint64) uint64 { return k / 40 }) })
	t.Run("clusters", func(t *testing.T) { drive(t, number, func(k uint64) uint64 { return k<<48 | k&3 }) })
	t.Run("end of the array", func(t *testing.T) { drive(t, number, func(k uint64) uint64 { return ^uint64(0) - k%50 }) })
	t.Run("equal groups", func(t *testing.T) { drive(t, number, func(k uint64) uint64 { return k << 33 }) })
}
