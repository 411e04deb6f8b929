package memory

// Insert finds the slot of one key, inserting it with the zero accumulator if it
// is not there; made says so. The slot may be written through. An operator that
// cannot say before a batch which keys it will change uses it with
// [Table.Lookup] in place of [Table.Find].
func (t *Table[K, A]) Insert(k K, hash uint64) (i uint32, made bool) {
	t.added = t.added[:0]
	t.Reserve(1)
	i = t.findOne(k, hash)
	if t.snapshotting() {
		t.prune()
		t.Touch(i)
	}
	return i, len(t.added) > 0
}

// Remove is [Table.Delete], after which the table gives up memory that so few keys
// do not need: it may move every slot.
func (t *Table[K, A]) Remove(i uint32) {
	t.Delete(i)
	if t.n == 0 && t.dead > minWaste {
		t.arena.Reset()
		t.dead = 0
	}
	if t.n < len(t.slots)/sparse && len(t.slots) > keepSlots {
		t.resize(len(t.slots) / 4)
	}
}

// resize puts all keys into an array of another size, which has room for them.
func (t *Table[K, A]) resize(size int) {
	t.detach(true)
	old := t.array
	t.array, t.deleted = newArray[K, A](size), 0
	t.refill(old)
	t.checkChains()
}
