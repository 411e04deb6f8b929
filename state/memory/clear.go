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
	case t.n == 0 && t.deleted == 0: // every slot is free
	case t.snapshotting():
		t.detach(false)
		t.array = newArray[K, A](len(t.slots))
	default:
		for rest := t.slots; len(rest) > 0; {
			n := min(clearSlots, len(rest))
			clear(rest[:n])
			rest = rest[n:]
		}
		clear(t.groups)
	}
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
	clear(t.slots[from:to])
	for from < to {
		g, slot := &t.groups[from/groupSlots], from%groupSlots
		n := min(groupSlots-slot, to-from)
		mask := ^group(0) >> (64 - 8*n) << (8 * slot)
		t.n -= (*g & mask).occupied().len()
		*g &^= mask
		from += n
	}
	if int(to) == len(t.slots) {
		t.cleared()
	}
}

// cleared ends a clear: the keys' bytes are let go, never used again (M4).
func (t *Table[K, A]) cleared() {
	t.n, t.deleted = 0, 0
	t.checkChains()
	t.arena.Reset()
	t.dead = 0
	t.added = t.added[:0]
	if t.peak < len(t.slots)/sparse && len(t.slots) > keepSlots {
		t.detach(false)
		t.array = newArray[K, A](len(t.slots) / 2)
	}
}

// Delete removes the key in slot i, which must be occupied.
func (t *Table[K, A]) Delete(i uint32) {
	g, slot := &t.groups[i/groupSlots], i%groupSlots
	if invariants.Enabled {
		invariants.Check(*g>>(8*slot)&0x80 != 0, "slot %d holds no key to delete", i)
	}
	if t.keeps {
		t.dead += t.kind.StringBytes(&t.slots[i].Key)
	}
	if t.snapshotting() {
		t.Touch(i)
	}
	// Searches have gone on past this group only if it was full.
	if g.free() != 0 {
		g.set(slot, markFree)
	} else {
		g.set(slot, markDeleted)
		t.deleted++
	}
	t.slots[i] = Slot[K, A]{}
	t.n--
	t.added = t.added[:0]
}

// compact clones the keys into a new arena, when most of the old one's bytes
// belong to keys that were deleted.
func (t *Table[K, A]) compact() {
	t.arena.Reset()
	t.dead = 0
	for i, ok := t.Next(0); ok; i, ok = t.Next(i + 1) {
		k := t.KeyAt(i)
		*k = t.kind.Clone(*k, &t.arena)
	}
}

// checkChains panics unless M2 holds and the counts are right.
func (t *Table[K, A]) checkChains() {
	if !invariants.Enabled || len(t.slots) == 0 {
		return
	}
	n, deleted, mask := 0, 0, uint64(len(t.groups)-1)
	for _, g := range t.groups {
		deleted += (g.vacant() &^ g.free()).len()
	}
	for i, ok := t.Next(0); ok; i, ok = t.Next(i + 1) {
		n++
		home := t.hash(*t.KeyAt(i)) & mask
		for g := home; g != uint64(i/groupSlots); g = (g + 1) & mask {
			invariants.Check(t.groups[g].free() == 0, "group %d has a free slot before slot %d of a key with home %d", g, i, home)
		}
	}
	invariants.Check(n == t.n && deleted == t.deleted, "%d slots are occupied and %d deleted, %d and %d are counted", n, deleted, t.n, t.deleted)
}
