package memory

import (
	"fmt"

	"github.com/weirstream/weir/internal/invariants"
	"github.com/weirstream/weir/internal/key"
)

const (
	// tagBit makes a tag of a hash. It is above the bits that index a table, and
	// below the 16 that are the key's group.
	tagBit = 1 << 40

	pageBits  = 8
	pageSlots = 1 << pageBits

	minSlots = pageSlots
	maxSlots = 1 << 32 // indices are 32 bits wide
)

// Slot is one entry of a table's array. A caller may write Acc, never Key.
type Slot[K comparable, A any] struct {
	tag uint64 // the hash with tagBit set; 0 is a free slot
	Key K
	Acc A
}

// Occupied reports whether the slot holds a key.
func (s *Slot[K, A]) Occupied() bool { return s.tag != 0 }

// Group returns the key group of an occupied slot's key.
func (s *Slot[K, A]) Group() uint16 { return key.Group(s.tag) }

// Table is a hash table from keys to accumulators. Create one with [NewTable];
// it has one owner and is not safe for concurrent use.
type Table[K comparable, A any] struct {
	slots  []Slot[K, A]
	n      int      // occupied slots
	misses []uint32 // of one Find: the records whose key is not in its home slot
	added  []uint32 // of the last Find: the slots of new keys

	kind  *key.Kind[K]
	keeps bool // keys refer to memory and are cloned into the arena
	arena key.Arena
	dead  int // bytes of deleted keys that the arena still counts
	peak  int // keys there were when ClearRange began

	snapshots[K, A]
}

// NewTable returns an empty table for keys of the given kind. It allocates its
// array when the first key comes.
func NewTable[K comparable, A any](kind *key.Kind[K]) *Table[K, A] {
	return &Table[K, A]{kind: kind, keeps: kind.Pointers()}
}

// Len returns the number of keys.
func (t *Table[K, A]) Len() int { return t.n }

// At returns the accumulator in slot i. The pointer is good as long as the index
// is (M1).
func (t *Table[K, A]) At(i uint32) *A { return &t.slots[i].Acc }

// KeyAt returns the key in slot i, which must not be changed.
func (t *Table[K, A]) KeyAt(i uint32) *K { return &t.slots[i].Key }

// Slots returns the array, for loops over the indices that Find gave. It is good
// as long as the indices are (M1).
func (t *Table[K, A]) Slots() []Slot[K, A] { return t.slots }

// New returns the slots of the keys that the last Find inserted, in the order in
// which it met them, so that their accumulators can be given a first value. The
// slice is good until the next Find.
func (t *Table[K, A]) New() []uint32 { return t.added }

// Reserve makes room for n keys more, so that the next finds of n keys together
// keep the indices that were given out between them valid. It may move every
// slot itself. A single Find needs no Reserve.
func (t *Table[K, A]) Reserve(n int) {
	if t.dead > minWaste && 2*t.dead > t.arena.Used() && !t.snapshotting() {
		t.compact()
	}
	if 2*(t.n+n) > len(t.slots) {
		t.grow(n)
	}
}

// Find finds the slot of each key, inserting the keys that are not there with
// the zero accumulator, and writes its index to out. hashes are the keys' by the
// table's kind. out and hashes are at least as long as keys.
func (t *Table[K, A]) Find(keys []K, hashes []uint64, out []uint32) {
	n := len(keys)
	if n == 0 {
		t.added = t.added[:0]
		return
	}
	if 2*(t.n+n) > len(t.slots) || t.dead > minWaste {
		t.Reserve(n)
	}
	if len(t.misses) < n {
		t.misses = make([]uint32, n)
	}
	t.added = t.added[:0]
	hashes, out = hashes[:n], out[:n]
	slots, misses := t.slots, t.misses[:n]
	mask := uint64(len(slots) - 1)

	// First the home slots: no branch depends on what is in them, so that the
	// cache misses of many overlap. A record that is not there is noted.
	m := 0
	for i, h := range hashes {
		home := h & mask
		out[i] = uint32(home)
		misses[m] = uint32(i)
		next := m + 1
		if slots[home].tag == h|tagBit {
			next = m
		}
		m = next
	}
	// Then the others, by their tags alone.
	for _, i := range misses[:m] {
		tag := hashes[i] | tagBit
		j := tag & mask
		for slots[j].tag != tag {
			if slots[j].tag == 0 {
				t.insert(uint32(j), keys[i], tag)
				break
			}
			j = (j + 1) & mask
		}
		out[i] = uint32(j)
	}
	// At last the keys, which agree unless two hashes collide in 63 bits.
	for i, j := range out {
		if slots[j].Key != keys[i] {
			out[i] = t.findOne(keys[i], hashes[i])
		}
	}
	if t.snapshotting() {
		t.touchAll(out)
	}
}

// findOne is Find for a key whose tag another key has.
func (t *Table[K, A]) findOne(k K, hash uint64) uint32 {
	i, ok := t.probe(k, hash)
	if !ok {
		t.insert(i, k, hash|tagBit)
	}
	return i
}

// insert puts a new key into the free slot i.
//
//go:noinline
func (t *Table[K, A]) insert(i uint32, k K, tag uint64) {
	if t.snapshotting() {
		t.Touch(i)
	}
	if t.keeps {
		k = t.kind.Clone(k, &t.arena)
	}
	s := &t.slots[i]
	s.tag, s.Key = tag, k
	t.n++
	t.added = append(t.added, i)
}

// probe returns the slot of the key or, if there is none, the free slot where
// its search ends. The array is not empty.
func (t *Table[K, A]) probe(k K, hash uint64) (uint32, bool) {
	tag, mask := hash|tagBit, uint64(len(t.slots)-1)
	for j := tag & mask; ; j = (j + 1) & mask {
		s := &t.slots[j]
		if s.tag == tag && s.Key == k {
			return uint32(j), true
		}
		if s.tag == 0 {
			return uint32(j), false
		}
	}
}

// Lookup returns the slot of the key, and whether it is there. While a snapshot
// runs, call [Table.Touch] before writing through the index.
func (t *Table[K, A]) Lookup(k K, hash uint64) (uint32, bool) {
	if t.n == 0 {
		return 0, false
	}
	i, ok := t.probe(k, hash)
	if !ok {
		return 0, false
	}
	return i, true
}

// Next returns the first occupied slot from cursor on, and false when there is
// none. It is resumable; the order is that of the array:
//
//	for i, ok := t.Next(0); ok; i, ok = t.Next(i + 1) { … }
//
// Inserting in between may move slots. A key may be deleted in between if it is
// the one that Next returned, and the search continues at its own index: another
// key may have moved there. (One that lay across the end of the array is then
// met twice.)
func (t *Table[K, A]) Next(cursor uint32) (next uint32, ok bool) {
	for i := int(cursor); i < len(t.slots); i++ {
		if t.slots[i].tag != 0 {
			return uint32(i), true
		}
	}
	return 0, false
}

// grow replaces the array by one that is at most half full with n keys more.
func (t *Table[K, A]) grow(n int) {
	size := max(minSlots, 2*len(t.slots))
	for size < 2*(t.n+n) {
		size *= 2
	}
	if size > maxSlots {
		panic(fmt.Sprintf("memory: a table of %d keys cannot take %d more: it holds %d at most; raise the parallelism", t.n, n, maxSlots/2))
	}
	t.detach(true)
	old := t.slots
	t.slots = make([]Slot[K, A], size)
	slots, mask := t.slots, uint64(size-1)
	for i := range old {
		tag := old[i].tag
		if tag == 0 {
			continue
		}
		j := tag & mask
		for slots[j].tag != 0 {
			j = (j + 1) & mask
		}
		slots[j] = old[i]
	}
	if invariants.Enabled {
		t.checkChains()
	}
}

// checkChains panics unless M2 holds.
func (t *Table[K, A]) checkChains() {
	mask, n := uint64(len(t.slots)-1), 0
	for i := range t.slots {
		tag := t.slots[i].tag
		if tag == 0 {
			continue
		}
		n++
		for j := tag & mask; j != uint64(i); j = (j + 1) & mask {
			invariants.Check(t.slots[j].tag != 0, "slot %d is free before slot %d of a key with home %d", j, i, tag&mask)
		}
	}
	invariants.Check(n == t.n, "%d slots are occupied, %d keys are counted", n, t.n)
}
