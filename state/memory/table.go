package memory

import (
	"fmt"

	"github.com/weirstream/weir/internal/key"
)

const (
	pageBits  = 8
	pageSlots = 1 << pageBits

	minSlots = pageSlots
	maxSlots = 1 << 32 // indices are 32 bits wide
)

// Slot is one entry of a table's array. A caller may write Acc, never Key.
type Slot[K comparable, A any] struct {
	Key K
	Acc A
}

// Table is a hash table from keys to accumulators. Create one with [NewTable];
// it has one owner and is not safe for concurrent use.
type Table[K comparable, A any] struct {
	array[K, A]
	n       int      // occupied slots
	deleted int      // slots marked deleted
	misses  []uint32 // of one Find: the records whose key is not in its home group
	added   []uint32 // of the last Find: the slots of new keys

	kind  *key.Kind[K]
	hash  func(K) uint64 // the kind's; tests let hashes collide
	keeps bool           // keys refer to memory and are cloned into the arena
	arena key.Arena
	dead  int // bytes of deleted keys that the arena still counts
	peak  int // keys there were when ClearRange began

	snapshots[K, A]
}

// array is where a table's keys are: slots, and of every eight of them a group
// of control bytes.
type array[K comparable, A any] struct {
	slots  []Slot[K, A]
	groups []group
}

func newArray[K comparable, A any](slots int) array[K, A] {
	return array[K, A]{make([]Slot[K, A], slots), make([]group, slots/groupSlots)}
}

// room is how many slots of size may be occupied or marked deleted.
func room(size int) int { return size / 8 * 7 }

// NewTable returns an empty table for keys of the given kind. It allocates its
// array when the first key comes.
func NewTable[K comparable, A any](kind *key.Kind[K]) *Table[K, A] {
	return &Table[K, A]{kind: kind, hash: kind.HashOne, keeps: kind.Pointers()}
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
	if t.n+t.deleted+n > room(len(t.slots)) {
		t.grow(n)
	}
}

// Find finds the slot of each key, inserting the keys that are not there with
// the zero accumulator, and writes its index to out. hashes are the keys' by the
// table's kind. out and hashes are at least as long as keys.
func (t *Table[K, A]) Find(keys []K, hashes []uint64, out []uint32) {
	n := len(keys)
	t.added = t.added[:0]
	if n == 0 {
		return
	}
	t.Reserve(n)
	if len(t.misses) < n {
		t.misses = make([]uint32, n)
	}
	hashes, out = hashes[:n], out[:n]

	// First the control bytes of the home groups, and of the groups after them for
	// the records that have no match there: no branch depends on what is in them,
	// so that the cache misses of many overlap. What has no match in either is
	// mostly new.
	misses := homes(t.groups, hashes, out, t.misses[:n])
	misses = neighbours(t.groups, hashes, out, misses)
	for _, i := range misses {
		out[i] = t.findOne(keys[i], hashes[i])
	}
	// Then the keys, which agree but for one in about fifty.
	slots := t.slots
	for i, j := range out {
		if slots[j].Key != keys[i] {
			out[i] = t.findOne(keys[i], hashes[i])
		}
	}
	if t.snapshotting() {
		t.touchAll(out)
	}
}

// findOne is Find for one key.
func (t *Table[K, A]) findOne(k K, hash uint64) uint32 {
	i, ok := t.probe(k, hash)
	if !ok {
		t.insert(i, k, hash)
	}
	return i
}

// insert puts a new key into the vacant slot i.
func (t *Table[K, A]) insert(i uint32, k K, hash uint64) {
	if t.snapshotting() {
		t.Touch(i)
	}
	if t.keeps {
		k = t.kind.Clone(k, &t.arena)
	}
	g := &t.groups[i/groupSlots]
	if g.isDeleted(i % groupSlots) {
		t.deleted--
	}
	g.set(i%groupSlots, tagOf(hash))
	t.slots[i].Key = k
	t.n++
	t.added = append(t.added, i)
}

// probe returns the slot of the key or, if there is none, the vacant slot where
// it belongs. The array is not empty.
func (t *Table[K, A]) probe(k K, hash uint64) (uint32, bool) {
	tag, mask := tagOf(hash), uint64(len(t.groups)-1)
	vacant, has := uint32(0), false
	for g := hash & mask; ; g = (g + 1) & mask {
		group, base := t.groups[g], uint32(g)*groupSlots
		for found := group.match(tag); found != 0; found = found.rest() {
			if i := base + found.first(); t.slots[i].Key == k {
				return i, true
			}
		}
		if open := group.vacant(); !has && open != 0 {
			vacant, has = base+open.first(), true
		}
		if group.free() != 0 {
			return vacant, false
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
// Keys may be deleted in between. Inserting in between may move slots.
func (t *Table[K, A]) Next(cursor uint32) (next uint32, ok bool) {
	return nextOccupied(t.groups, cursor)
}

// grow replaces the array by one that has room for n keys more, and no slot that
// is marked deleted.
func (t *Table[K, A]) grow(n int) {
	size := max(minSlots, len(t.slots))
	for room(size) < t.n+n {
		size *= 2
	}
	if size == len(t.slots) && t.n+n > room(size)/4*3 {
		size *= 2 // else it would be full again soon
	}
	if size > maxSlots {
		panic(fmt.Sprintf("memory: a table of %d keys cannot take %d more: it holds %d at most; raise the parallelism", t.n, n, room(maxSlots)))
	}
	t.detach(true)
	old := t.array
	t.array, t.deleted = newArray[K, A](size), 0
	t.refill(old)
	t.checkChains()
}

// refill puts the keys of another array into this one, which is empty.
func (t *Table[K, A]) refill(old array[K, A]) {
	mask := uint64(len(t.groups) - 1)
	for i, ok := nextOccupied(old.groups, 0); ok; i, ok = nextOccupied(old.groups, i+1) {
		hash := t.hash(old.slots[i].Key)
		g := hash & mask
		for t.groups[g].free() == 0 {
			g = (g + 1) & mask
		}
		slot := t.groups[g].free().first()
		t.groups[g].set(slot, tagOf(hash))
		t.slots[uint32(g)*groupSlots+slot] = old.slots[i]
	}
}
