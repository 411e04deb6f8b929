package main

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/weirstream/weir/bench/internal/workload"
)

// windows are the windows that have not fired.
type windows struct {
	size int64
	// open has the table of each, by number; spare are tables that were emptied.
	open  map[int64]*table
	spare []*table
	// reached is, for each input, the window it is in; events that an input
	// brings are in no earlier one. oldest is the first that has not fired.
	reached [2]int64
	oldest  int64
	result  workload.Result
}

func newWindows(size int64) *windows { return &windows{size: size, open: map[int64]*table{}} }

// aggregate counts what arrives until both inputs have ended.
func (c *peer) aggregate(ctx context.Context) error {
	w := newWindows(c.params.Window)
	for !w.ended() {
		arrived, err := take(ctx, c.arrived)
		if err != nil {
			return err
		}
		if arrived.data == nil {
			w.reached[arrived.input] = noMore
			continue
		}
		w.add(arrived)
		w.fire()
		pool := c.free
		if arrived.input == fromPeer {
			pool = c.received
		}
		if err := put(ctx, pool, arrived.data[:0]); err != nil {
			return err
		}
	}
	w.fireRest()
	c.result = w.result
	return nil
}

func (w *windows) ended() bool { return w.reached[0] == noMore && w.reached[1] == noMore }

// add counts the events of a run, whose times rise.
func (w *windows) add(r inputRun) {
	end, t := int64(-1), (*table)(nil)
	for o := 0; o+eventSize <= len(r.data); o += eventSize {
		event := r.data[o : o+eventSize : o+eventSize]
		key := binary.LittleEndian.Uint64(event)
		time := int64(binary.LittleEndian.Uint64(event[8:]))
		value := int64(binary.LittleEndian.Uint64(event[16:]))
		if time >= end {
			number := time / w.size
			end = (number + 1) * w.size
			t = w.table(number)
			w.reached[r.input] = number
		}
		t.add(key, value)
	}
}

func (w *windows) table(number int64) *table {
	t := w.open[number]
	if t != nil {
		return t
	}
	if n := len(w.spare); n > 0 {
		t, w.spare = w.spare[n-1], w.spare[:n-1]
	} else {
		t = newTable(initialTable)
	}
	w.open[number] = t
	return t
}

// fire fires the windows that both inputs have passed.
func (w *windows) fire() {
	passed := min(w.reached[0], w.reached[1])
	if passed == noMore {
		return
	}
	for ; w.oldest < passed; w.oldest++ {
		t := w.open[w.oldest]
		if t == nil {
			continue
		}
		t.fire(w.oldest*w.size, &w.result)
		delete(w.open, w.oldest)
		w.spare = append(w.spare, t)
	}
}

// fireRest fires what is left, in order.
func (w *windows) fireRest() {
	for _, number := range slices.Sorted(maps.Keys(w.open)) {
		w.open[number].fire(number*w.size, &w.result)
	}
}
