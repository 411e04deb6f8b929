package main

import "github.com/weirstream/weir/bench/internal/workload"

// slot is a key with what is kept of it; a slot with a count of 0 is free.
type slot struct {
	key   uint64
	count int64
	sum   int64
}

// table holds the keys of a window, at most half full.
type table struct {
	slots []slot
	mask  uint64
	used  int
}

func newTable(slots int) *table { return &table{slots: make([]slot, slots), mask: uint64(slots - 1)} }

// add counts an event.
func (t *table) add(key uint64, value int64) {
	for h := mix(key); ; h++ {
		s := &t.slots[h&t.mask]
		if s.count != 0 && s.key == key {
			s.count++
			s.sum += value
			return
		}
		if s.count == 0 {
			*s = slot{key, 1, value}
			if t.used++; t.used*2 > len(t.slots) {
				t.grow()
			}
			return
		}
	}
}

func (t *table) grow() {
	old := t.slots
	t.slots = make([]slot, 2*len(old))
	t.mask = uint64(len(t.slots) - 1)
	for _, s := range old {
		if s.count == 0 {
			continue
		}
		h := mix(s.key)
		for t.slots[h&t.mask].count != 0 {
			h++
		}
		t.slots[h&t.mask] = s
	}
}

// fire moves the rows of the window that begins at start into a result.
func (t *table) fire(start int64, result *workload.Result) {
	if t.used == 0 {
		return
	}
	for i := range t.slots {
		if s := &t.slots[i]; s.count != 0 {
			result.Row(s.key, start, s.count, s.sum)
			*s = slot{}
		}
	}
	t.used = 0
}
