package task

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// barrierItem is something on a channel of the model: a record, the barrier of a
// checkpoint, or the end.
type barrierItem struct {
	barrier uint64
	end     bool
}

// barrierRun drives the machine as a task's head does, over scripted channels.
type barrierRun struct {
	t        *testing.T
	machine  *barriers
	channels [][]barrierItem
	// at is how much of each channel has come, read how many records of it were read.
	at, read []int
	held     [][]barrierItem // by channel
	complete map[uint64][]int
	order    []uint64
}

func newBarrierRun(t *testing.T, channels [][]barrierItem, exactlyOnce bool) *barrierRun {
	t.Helper()
	n := len(channels)
	return &barrierRun{
		t: t, machine: newBarriers(n, exactlyOnce), channels: channels,
		at: make([]int, n), read: make([]int, n), held: make([][]barrierItem, n), complete: map[uint64][]int{},
	}
}

// step takes what comes next on a channel.
func (r *barrierRun) step(c int) {
	item := r.channels[c][r.at[c]]
	r.at[c]++
	if r.machine.waits(c) {
		r.held[c] = append(r.held[c], item)
		return
	}
	r.take(c, item)
	for r.replay() {
	}
}

// replay takes what was held on channels that need not wait any more.
func (r *barrierRun) replay() (any bool) {
	for c := range r.held {
		for len(r.held[c]) > 0 && !r.machine.waits(c) {
			item := r.held[c][0]
			r.held[c] = r.held[c][1:]
			r.take(c, item)
			any = true
		}
	}
	return any
}

func (r *barrierRun) take(c int, item barrierItem) {
	switch {
	case item.end:
		r.taken(r.machine.end(c))
	case item.barrier > 0:
		_, complete := r.machine.arrive(c, item.barrier, int64(item.barrier))
		r.taken(complete)
	default:
		r.read[c]++
	}
}

func (r *barrierRun) taken(complete []alignment) {
	for _, a := range complete {
		if _, ok := r.complete[a.id]; ok {
			r.t.Fatalf("checkpoint %d was complete twice", a.id)
		}
		r.complete[a.id] = slices.Clone(r.read)
		r.order = append(r.order, a.id)
	}
}

// recordsBefore returns how many records of a channel come before a barrier, or before the
// end where it has none.
func recordsBefore(channel []barrierItem, id uint64) (n int) {
	for _, item := range channel {
		switch {
		case item.barrier == id:
			return n
		case item.barrier == 0 && !item.end:
			n++
		}
	}
	return n
}

// randomChannels are channels with records, the barriers from 1 to last, of which one
// that ends early lacks the later ones, and an end.
func randomChannels(rng *rand.Rand, n int, last uint64) [][]barrierItem {
	channels := make([][]barrierItem, n)
	for c := range channels {
		ends := uint64(rng.IntN(int(last) + 2)) // before this barrier
		for id := uint64(1); id <= last+1; id++ {
			channels[c] = append(channels[c], make([]barrierItem, rng.IntN(4))...)
			if id > ends || id == last+1 {
				channels[c] = append(channels[c], barrierItem{end: true})
				break
			}
			channels[c] = append(channels[c], barrierItem{barrier: id})
		}
	}
	return channels
}

// TestBarriersSeparateRecords: each checkpoint has exactly the records before its
// barriers, whatever the order in which channels bring them, and whichever of them end
// before, between or behind barriers (rows a1 to a3 of the reliability table).
func TestBarriersSeparateRecords(t *testing.T) {
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		last := uint64(1 + rng.IntN(4))
		r := newBarrierRun(t, randomChannels(rng, 1+rng.IntN(4), last), true)
		announced := uint64(0)
		for {
			var open []int
			for c := range r.channels {
				if r.at[c] < len(r.channels[c]) {
					open = append(open, c)
				}
			}
			if len(open) == 0 && announced == last {
				break
			}
			if i := rng.IntN(len(open) + 1); i < len(open) {
				r.step(open[i])
			} else if announced < last {
				announced++
				r.taken(r.machine.announce(announced, 0))
				for r.replay() {
				}
			}
		}
		for id := uint64(1); id <= last; id++ {
			got, ok := r.complete[id]
			if !ok {
				t.Fatalf("seed %d: checkpoint %d of %d never was complete: %v", seed, id, last, r.order)
			}
			for c, n := range got {
				if want := recordsBefore(r.channels[c], id); n != want {
					t.Fatalf("seed %d: checkpoint %d has %d records of channel %d, want %d (%s)", seed, id, n, c, want, fmt.Sprint(r.channels))
				}
			}
		}
		if !slices.IsSorted(r.order) {
			t.Fatalf("seed %d: %v", seed, r.order)
		}
		if slices.ContainsFunc(r.held, func(items []barrierItem) bool { return len(items) > 0 }) {
			t.Fatalf("seed %d: something is still held", seed)
		}
	}
}

// TestBarriersAtLeastOnce: no channel waits, and a checkpoint has at least the records
// before its barriers.
func TestBarriersAtLeastOnce(t *testing.T) {
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 2))
		r := newBarrierRun(t, randomChannels(rng, 1+rng.IntN(4), 3), false)
		for id := uint64(1); id <= 3; id++ {
			r.taken(r.machine.announce(id, 0))
		}
		for {
			var open []int
			for c := range r.channels {
				if r.machine.waits(c) {
					t.Fatalf("seed %d: channel %d waits", seed, c)
				}
				if r.at[c] < len(r.channels[c]) {
					open = append(open, c)
				}
			}
			if len(open) == 0 {
				break
			}
			r.step(open[rng.IntN(len(open))])
		}
		if len(r.order) == 0 || r.order[len(r.order)-1] != 3 {
			t.Fatalf("seed %d: complete were %v", seed, r.order)
		}
		for id, got := range r.complete {
			for c, n := range got {
				if want := recordsBefore(r.channels[c], id); n < want {
					t.Fatalf("seed %d: checkpoint %d lacks records of channel %d: %d of %d", seed, id, c, n, want)
				}
			}
		}
	}
}

// TestBarriersGivenUp: channels that wait for a checkpoint that is aborted, or whose
// barrier another channel has skipped, are read again.
func TestBarriersGivenUp(t *testing.T) {
	b := newBarriers(2, true)
	if begun, complete := b.arrive(0, 1, 0); !begun || len(complete) > 0 || !b.waits(0) || b.waits(1) {
		t.Fatalf("after the first barrier: %+v", b)
	}
	b.abort(1, true)
	if b.waits(0) {
		t.Fatal("channel 0 waits for a checkpoint that was aborted")
	}
	if _, complete := b.arrive(1, 1, 0); len(complete) > 0 || b.waits(1) {
		t.Fatal("a barrier of an aborted checkpoint counts")
	}
	b.arrive(0, 2, 0)
	if begun, _ := b.arrive(1, 3, 0); !begun || b.waits(0) || !b.waits(1) {
		t.Fatalf("channel 1 has skipped checkpoint 2, which is over: %+v", b)
	}
	if _, complete := b.arrive(0, 3, 0); len(complete) != 1 || complete[0].id != 3 {
		t.Fatalf("checkpoint 3: %v", complete)
	}
	b.announce(4, 0)
	b.abort(5, false) // which nobody has heard of yet
	if _, complete := b.arrive(1, 4, 0); len(complete) > 0 || !b.waits(1) {
		t.Fatal("checkpoint 4 was given up with the one after it")
	}
	if _, complete := b.arrive(0, 4, 0); len(complete) != 1 {
		t.Fatalf("checkpoint 4: %v", complete)
	}
	if begun, complete := b.arrive(0, 5, 0); begun || len(complete) > 0 || b.waits(0) {
		t.Fatalf("the barrier of an aborted checkpoint counts: %+v", b)
	}
}
