package task

import (
	"cmp"
	"slices"

	"github.com/weirstream/weir/internal/key"
	"github.com/weirstream/weir/state/memory"
	"github.com/weirstream/weir/state/snapshot"
)

// timers are the timers of an operator in one of the two times: at most one for each
// key and time, in the order of their times, those of one time in the order in which
// they were registered. It is a pure data structure.
//
// A heap has the order, a table finds the timer of a key and a time, and nodes tie
// the two together: they know where in both a timer stands.
type timers[K comparable] struct {
	kind  *key.Kind[timerKey[K]]
	table *memory.Table[timerKey[K], uint32] // the node of each timer
	// array is where the table's slots were when the nodes were told theirs: a table
	// that moves its keys moves them to another array.
	array *memory.Slot[timerKey[K], uint32]
	nodes []timerNode
	free  []uint32
	heap  []timerEntry
	made  uint64
}

// timerKey is what there is one timer for.
type timerKey[K comparable] struct {
	Key  K
	Time int64
}

// timerNode is where a timer stands in the table and in the heap.
type timerNode struct{ slot, place uint32 }

type timerEntry struct {
	time int64
	made uint64
	node uint32
}

func (e timerEntry) before(o timerEntry) bool {
	return e.time < o.time || e.time == o.time && e.made < o.made
}

func newTimers[K comparable]() (*timers[K], error) {
	kind, err := key.For[timerKey[K]]()
	if err != nil {
		return nil, err
	}
	return &timers[K]{kind: kind, table: memory.NewTable[timerKey[K], uint32](kind)}, nil
}

// add registers a timer, and reports whether there was none like it.
func (t *timers[K]) add(k K, time int64) bool {
	tk := timerKey[K]{k, time}
	slot, made := t.table.Insert(tk, t.kind.HashOne(tk))
	if !made {
		t.settle() // room was made all the same
		return false
	}
	node := uint32(len(t.nodes))
	if last := len(t.free) - 1; last >= 0 {
		node, t.free = t.free[last], t.free[:last]
	} else {
		t.nodes = append(t.nodes, timerNode{})
	}
	*t.table.At(slot) = node
	t.nodes[node].slot = slot
	t.settle()
	t.made++
	t.heap = append(t.heap, timerEntry{time: time, made: t.made, node: node})
	t.up(len(t.heap) - 1)
	return true
}

// remove deletes a timer, and reports whether there was one.
func (t *timers[K]) remove(k K, time int64) bool {
	tk := timerKey[K]{k, time}
	slot, ok := t.table.Lookup(tk, t.kind.HashOne(tk))
	if ok {
		t.drop(*t.table.At(slot))
	}
	return ok
}

// next returns the earliest time, and false if there is no timer.
func (t *timers[K]) next() (time int64, ok bool) {
	if len(t.heap) == 0 {
		return 0, false
	}
	return t.heap[0].time, true
}

// pop takes the earliest timer, which there is.
func (t *timers[K]) pop() (k K, time int64) {
	first := t.heap[0]
	k = t.table.KeyAt(t.nodes[first.node].slot).Key
	t.drop(first.node)
	return k, first.time
}

// drop removes the timer of a node.
func (t *timers[K]) drop(node uint32) {
	n := t.nodes[node]
	t.table.Remove(n.slot)
	t.settle()
	t.free = append(t.free, node)

	last := len(t.heap) - 1
	moved := t.heap[last]
	t.heap = t.heap[:last]
	if int(n.place) < last {
		t.put(int(n.place), moved)
		t.down(int(n.place))
		t.up(int(t.nodes[moved.node].place))
	}
	t.shrink()
}

// settle tells the nodes where in the table they are, if it has moved its keys.
func (t *timers[K]) settle() {
	slots := t.table.Slots()
	if &slots[0] == t.array {
		return
	}
	t.array = &slots[0]
	for i, ok := t.table.Next(0); ok; i, ok = t.table.Next(i + 1) {
		t.nodes[*t.table.At(i)].slot = i
	}
}

// shrink gives memory back once few of many timers are left.
func (t *timers[K]) shrink() {
	const least = 1024
	if len(t.nodes) <= least || len(t.heap) > len(t.nodes)/4 {
		return
	}
	nodes, heap := make([]timerNode, len(t.heap)), make([]timerEntry, len(t.heap))
	for i, e := range t.heap {
		nodes[i] = t.nodes[e.node]
		*t.table.At(nodes[i].slot) = uint32(i)
		e.node = uint32(i)
		heap[i] = e
	}
	t.nodes, t.heap, t.free = nodes, heap, nil
}

func (t *timers[K]) put(place int, e timerEntry) {
	t.heap[place] = e
	t.nodes[e.node].place = uint32(place)
}

func (t *timers[K]) up(place int) {
	e := t.heap[place]
	for place > 0 {
		parent := (place - 1) / 2
		if !e.before(t.heap[parent]) {
			break
		}
		t.put(place, t.heap[parent])
		place = parent
	}
	t.put(place, e)
}

func (t *timers[K]) down(place int) {
	e := t.heap[place]
	for {
		child := 2*place + 1
		if child >= len(t.heap) {
			break
		}
		if child+1 < len(t.heap) && t.heap[child+1].before(t.heap[child]) {
			child++
		}
		if !t.heap[child].before(e) {
			break
		}
		t.put(place, t.heap[child])
		place = child
	}
	t.put(place, e)
}

// register adds the timers to the task's snapshots, and takes what is restored. The
// entry of a timer is its key, its time, and its place among those of one time.
func (t *timers[K]) register(ctx *Context, name string, kind *key.Kind[K]) error {
	registerKeyed(ctx, name, kind, nil, func() capture { return t.capture(kind) })
	var found []restoredTimer[K]
	err := restoreKeyed(ctx, name, kind, func([]byte) (func(K, string) error, error) {
		return func(k K, src string) error {
			time, src, err := takeVarint(src)
			if err != nil {
				return err
			}
			made, src, err := takeUvarint(src)
			found = append(found, restoredTimer[K]{k, time, made})
			return last(src, err)
		}, nil
	})
	slices.SortStableFunc(found, func(a, b restoredTimer[K]) int { return cmp.Compare(a.made, b.made) })
	for _, f := range found {
		t.add(f.key, f.time)
	}
	return err
}

type restoredTimer[K comparable] struct {
	key  K
	time int64
	made uint64
}

// capture takes a snapshot of the table, and copies the order.
func (t *timers[K]) capture(kind *key.Kind[K]) capture {
	made := make([]uint64, len(t.nodes))
	for _, e := range t.heap {
		made[e.node] = e.made
	}
	s := t.table.Snapshot()
	return capture{close: s.Close, write: func(w *snapshot.Writer) error {
		k := &keyedWriter[K]{w: w, kind: kind}
		for slots, ok := s.Next(); ok; slots, ok = s.Next() {
			for i := range slots {
				timer, node := &slots[i].Key, slots[i].Acc
				if err := k.write(&timer.Key, func(dst []byte) []byte {
					return appendUvarint(appendVarint(dst, timer.Time), made[node])
				}); err != nil {
					return err
				}
			}
		}
		if !s.Complete() {
			return errGivenUp
		}
		return nil
	}}
}
