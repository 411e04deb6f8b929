package task

import (
	"math/bits"

	"github.com/weirstream/weir/internal/key"
	"github.com/weirstream/weir/state/memory"
)

// dictionary gives each key a small number, its id, as long as some pane has it.
type dictionary[K comparable] struct {
	kind  *key.Kind[K]
	table *memory.Table[K, uint32]
	keys  []K      // by id
	live  []uint64 // a bit for each id
	free  []uint32
	index []uint32
}

func newDictionary[K comparable](kind *key.Kind[K]) dictionary[K] {
	return dictionary[K]{kind: kind, table: memory.NewTable[K, uint32](kind), index: make([]uint32, BatchSize)}
}

// size is what every id is less than.
func (d *dictionary[K]) size() int { return len(d.keys) }

// find returns the ids of keys, which are good until the next call.
func (d *dictionary[K]) find(keys []K, hashes []uint64) []uint32 {
	ids := d.index[:len(keys)]
	d.table.Reserve(len(keys))
	d.table.Find(keys, hashes, ids)
	for _, slot := range d.table.New() {
		*d.table.At(slot) = d.assign(*d.table.KeyAt(slot))
	}
	slots := d.table.Slots()
	for i, slot := range ids {
		ids[i] = slots[slot].Acc
	}
	return ids
}

func (d *dictionary[K]) assign(k K) uint32 {
	var id uint32
	if n := len(d.free); n > 0 {
		id = d.free[n-1]
		d.free = d.free[:n-1]
		d.keys[id] = k
	} else {
		id = uint32(len(d.keys))
		d.keys = append(d.keys, k)
		if int(id)/64 == len(d.live) {
			d.live = append(d.live, 0)
		}
	}
	d.live[id/64] |= 1 << (id % 64)
	return id
}

// remove frees an id.
func (d *dictionary[K]) remove(id uint32) {
	k := d.keys[id]
	if slot, ok := d.table.Lookup(k, d.kind.HashOne(k)); ok {
		d.table.Delete(slot)
	}
	var zero K
	d.keys[id] = zero
	d.live[id/64] &^= 1 << (id % 64)
	d.free = append(d.free, id)
}

// column is accumulators by id, and which of them are there. Those that are not are
// zero.
type column[A any] struct {
	accs []A
	has  []uint64
}

// room makes room for the ids less than n.
func (c *column[A]) room(n int) {
	if n <= len(c.accs) {
		return
	}
	n = max(n, min(2*len(c.accs), len(c.accs)+1<<20), 64)
	n = (n + 63) &^ 63
	accs, has := make([]A, n), make([]uint64, n/64)
	copy(accs, c.accs)
	copy(has, c.has)
	c.accs, c.has = accs, has
}

// word returns a word of the bitmap of any length.
func (c *column[A]) word(w int) uint64 {
	if w < len(c.has) {
		return c.has[w]
	}
	return 0
}

// at returns the accumulator of an id, prepared by init if it was not there.
func (c *column[A]) at(id uint32, init func(*A)) *A {
	w, bit := id/64, uint64(1)<<(id%64)
	acc := &c.accs[id]
	if c.has[w]&bit == 0 {
		c.has[w] |= bit
		if init != nil {
			init(acc)
		}
	}
	return acc
}

// merge adds the accumulators of words from to before to of other.
func (c *column[A]) merge(other *column[A], from, to int, init func(*A), merge func(acc, other *A)) (n int) {
	c.room(len(other.accs))
	for w := from; w < to; w++ {
		there := other.has[w]
		if there == 0 {
			continue
		}
		if init != nil {
			for fresh := there &^ c.has[w]; fresh != 0; fresh &= fresh - 1 {
				init(&c.accs[w*64+bits.TrailingZeros64(fresh)])
			}
		}
		c.has[w] |= there
		n += bits.OnesCount64(there)
		accs, others := c.accs[w*64:w*64+64], other.accs[w*64:w*64+64]
		for ; there != 0; there &= there - 1 {
			i := bits.TrailingZeros64(there)
			merge(&accs[i&63], &others[i&63])
		}
	}
	return n
}

// clear empties words from to before to.
func (c *column[A]) clear(from, to int) {
	clear(c.has[from:to])
	clear(c.accs[from*64 : to*64])
}

// copy returns a column with the same accumulators.
func (c *column[A]) copy(clone func(*A) A) column[A] {
	copied := column[A]{accs: append([]A(nil), c.accs...), has: append([]uint64(nil), c.has...)}
	if clone != nil {
		_ = copied.each(func(_ int, a *A) error { *a = clone(a); return nil })
	}
	return copied
}

// each calls f for each accumulator that is there.
func (c *column[A]) each(f func(id int, a *A) error) error {
	for w, there := range c.has {
		for ; there != 0; there &= there - 1 {
			id := w*64 + bits.TrailingZeros64(there)
			if err := f(id, &c.accs[id]); err != nil {
				return err
			}
		}
	}
	return nil
}
