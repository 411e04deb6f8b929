package memory

import "github.com/weirstream/weir/internal/invariants"

const (
	// minWaste is how many bytes of deleted keys an arena may hold before it is
	// worth looking whether they are the larger part.
	minWaste = 64 << 10

	// clearSlots slots are emptied at a time. Beyond 32 MiB the run-time clears
	// past the cache, so that every slot that is used next would miss it: 7 ns per
	// record of a pane of a million slots, and 8 more when they are used.
	clearSlots = 1 << 14

	// An array that is less than 1/sparse full when it is cleared is halved, down
	// to keepSlots, so that one exceptional pane does not make all later ones
	// sweep its size.
	sparse    = 16
	keepSlots = 4 * pageSlots
)

// Clear removes every key and keeps the array for reuse; slots are zeroed, so
// that nothing they referred to is kept alive.
func (t *Table[K, A]) Clear() {
	t.peak = t.n
	switch {
	case t.n == 0: // every slot is free
	case t.snapshotting():
		t.detach(false)
		t.slots = make([]Slot[K, A], len(t.slots))
	default:
		for rest := t.slots; len(rest) > 0; {
			n := min(clearSlots, len(rest))
			clear(rest[:n])
			rest = rest[n:]
		}
	}
	t.n = 0
	t.cleared()
}

// ClearRange empties the slots from index from up to to, exclusively, so that a
// table can be emptied while it is fired, piece by piece, and while the piece is
// in the cache. The pieces go from 0 to len(t.Slots()) in order; with the last
// the table is cleared. Until then only Next, At, KeyAt, Slots, Len, Snapshot
// and ClearRange may be called.
func (t *Table[K, A]) ClearRange(from, to uint32) {
	if from == 0 {
		t.peak = t.n
	}
	if t.snapshotting() {
		for i := from &^ (pageSlots - 1); i < to; i += pageSlots {
			t.Touch(i)
		}
	}
	part := t.slots[from:to]
	for i := range part {
		if part[i].tag != 0 {
			t.n--
		}
	}
	clear(part)
	if int(to) == len(t.slots) {
		t.cleared()
	}
}

// cleared ends a clear: the keys' bytes are let go, never used again (M4).
func (t *Table[K, A]) cleared() {
	if invariants.Enabled {
		t.checkChains()
	}
	t.arena.Reset()
	t.dead = 0
	t.added = t.added[:0]
	if t.peak < len(t.slots)/sparse && len(t.slots) > keepSlots {
		t.detach(false)
		t.slots = make([]Slot[K, A], len(t.slots)/2)
	}
}

// Delete removes the key in slot i, which must be occupied. Keys behind it move
// up, so that no other index stays valid.
func (t *Table[K, A]) Delete(i uint32) {
	slots, mask := t.slots, uint32(len(t.slots)-1)
	invariantOccupied(slots[i].tag, i)
	if t.keeps {
		t.dead += t.kind.StringBytes(&slots[i].Key)
	}
	if t.snapshotting() {
		t.Touch(i)
	}
	hole := i
	for j := (hole + 1) & mask; slots[j].tag != 0; j = (j + 1) & mask {
		// The key in j may move to the hole unless its home lies between them.
		home := uint32(slots[j].tag) & mask
		if (j-home)&mask < (j-hole)&mask {
			continue
		}
		if t.snapshotting() {
			t.Touch(j)
		}
		slots[hole] = slots[j]
		hole = j
	}
	slots[hole] = Slot[K, A]{}
	t.n--
	t.added = t.added[:0]
}

func invariantOccupied(tag uint64, i uint32) {
	if invariants.Enabled {
		invariants.Check(tag != 0, "slot %d holds no key to delete", i)
	}
}

// compact clones the keys into a new arena, when most of the old one's bytes
// belong to keys that were deleted.
func (t *Table[K, A]) compact() {
	t.arena.Reset()
	t.dead = 0
	for i := range t.slots {
		if s := &t.slots[i]; s.tag != 0 {
			s.Key = t.kind.Clone(s.Key, &t.arena)
		}
	}
}
