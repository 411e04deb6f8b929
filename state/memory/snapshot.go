package memory

import (
	"slices"
	"sync"
	"sync/atomic"
)

// snapshots is the part of a table that its snapshots need. Except for what mu
// guards it belongs to the table's owner.
type snapshots[K comparable, A any] struct {
	running []*Snapshot[K, A] // those that read the table's present array
	epoch   uint64            // of the youngest snapshot; the first is 1
	epochs  []uint64          // per page: the epoch in which it was last changed, or older
	clone   func(*A) A

	// mu is held to copy a page and to read one. It guards the pages that a
	// snapshot may still read from the table, and the snapshots' own fields.
	mu sync.Mutex
}

// snapshotting reports whether a snapshot may read the table's array.
func (s *snapshots[K, A]) snapshotting() bool { return len(s.running) != 0 }

// Snapshot is the state of a table at one moment, read by [Snapshot.Next] while
// the table goes on. It is made by [Table.Snapshot], and ends when Next has said
// so or with [Snapshot.Close]. It may be read by a goroutine other than the
// table's owner, by one at a time.
type Snapshot[K comparable, A any] struct {
	done  atomic.Bool // nothing is read any more
	epoch uint64
	clone func(*A) A
	len   int
	buf   []Slot[K, A] // of the reader

	mu     *sync.Mutex   // the table's, and guards what follows
	array  array[K, A]   // the table's when the snapshot was taken
	copies []array[K, A] // per page: how it was, if the table has changed it
	next   int           // the first page that was not read
	whole  bool          // every page was read
}

// CloneWith sets how an accumulator is copied for a snapshot. It is needed when
// accumulators refer to memory that is changed in place (maps, and slices whose
// elements are assigned to); others are copied by assignment. It is called by
// the owner and by the snapshot's reader, never by both at a time for one table.
// Set it before the first Find.
func (t *Table[K, A]) CloneWith(clone func(*A) A) { t.clone = clone }

// Snapshot begins a snapshot of the present state. Any number may run at once.
// Until it ends, changes copy the pages they touch, and indices that Find gave
// before are not to be written through (call Find again, or Touch).
func (t *Table[K, A]) Snapshot() *Snapshot[K, A] {
	t.prune()
	pages := len(t.slots) / pageSlots
	if len(t.epochs) != pages {
		t.epochs = make([]uint64, pages)
	}
	t.epoch++
	s := &Snapshot[K, A]{
		epoch: t.epoch, clone: t.clone, len: t.n, mu: &t.mu,
		array: t.array, copies: make([]array[K, A], pages), whole: pages == 0,
	}
	if pages > 0 {
		t.running = append(t.running, s)
	}
	return s
}

// Touch prepares slot i for being changed while a snapshot runs. Find does it for
// the slots it returns; it is needed before writing through an index that came
// from Lookup or Next.
func (t *Table[K, A]) Touch(i uint32) {
	if t.snapshotting() && t.epochs[i>>pageBits] < t.epoch {
		t.preserve(int(i >> pageBits))
	}
}

// touchAll is Touch for all slots of a batch.
func (t *Table[K, A]) touchAll(slots []uint32) {
	t.prune()
	if !t.snapshotting() {
		return
	}
	epoch, epochs := t.epoch, t.epochs
	for _, i := range slots {
		if epochs[i>>pageBits] < epoch {
			t.preserve(int(i >> pageBits))
		}
	}
}

// prune forgets snapshots that have ended.
func (t *Table[K, A]) prune() {
	t.running = slices.DeleteFunc(t.running, func(s *Snapshot[K, A]) bool { return s.done.Load() })
}

// preserve copies a page for every snapshot that has not read it and for which it
// was not copied since. Snapshots that find it unchanged share one copy.
func (t *Table[K, A]) preserve(page int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var was array[K, A]
	for _, s := range t.running {
		if t.epochs[page] >= s.epoch || page < s.next {
			continue
		}
		if was.slots == nil {
			was = t.copyPage(page)
		}
		s.copies[page] = was
	}
	t.epochs[page] = t.epoch
}

// copyPage returns the page as it is. Vacant slots are copied with it, which is
// faster than to leave them out, and the memory need not be zeroed before.
func (t *Table[K, A]) copyPage(page int) array[K, A] {
	was := t.page(page)
	was.slots = append([]Slot[K, A](nil), was.slots...)
	was.groups = append([]group(nil), was.groups...)
	if t.clone != nil {
		for i, ok := nextOccupied(was.groups, 0); ok; i, ok = nextOccupied(was.groups, i+1) {
			was.slots[i].Acc = t.clone(&was.slots[i].Acc)
		}
	}
	return was
}

// detach leaves the present array to the snapshots that read it; the table gets
// another. shared tells that the slots live on there: then accumulators that are
// changed in place must be copied first.
func (t *Table[K, A]) detach(shared bool) {
	t.prune()
	if shared && t.clone != nil && t.snapshotting() {
		for page := range t.epochs {
			if t.epochs[page] < t.epoch {
				t.preserve(page)
			}
		}
	}
	clear(t.running)
	t.running = t.running[:0]
}

// Len returns the number of keys in the snapshot.
func (s *Snapshot[K, A]) Len() int { return s.len }

// Complete reports whether Next has returned everything; false after Next said
// that there is no more means that the snapshot was closed before.
func (s *Snapshot[K, A]) Complete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.whole
}

// Next returns the next keys with their accumulators, some at a time, and false
// when there are no more, which ends the snapshot, or when it was closed. The
// slots are good until the following call and not to be changed.
func (s *Snapshot[K, A]) Next() ([]Slot[K, A], bool) {
	for {
		slots, more := s.nextPage()
		if !more {
			s.Close()
			return nil, false
		}
		if len(slots) > 0 {
			return slots, true
		}
	}
}

// nextPage returns the occupied slots of the next page, and false at the end.
func (s *Snapshot[K, A]) nextPage() ([]Slot[K, A], bool) {
	was, more := s.take()
	for i, ok := nextOccupied(was.groups, 0); ok; i, ok = nextOccupied(was.groups, i+1) {
		s.buf = append(s.buf, was.slots[i])
	}
	return s.buf, more
}

// take returns the copy of the next page, if there is one. A page that was not
// copied is unchanged, and stays so while mu is held: take puts it into buf.
func (s *Snapshot[K, A]) take() (was array[K, A], more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = s.buf[:0]
	if s.next == len(s.copies) {
		return was, false
	}
	page := s.next
	s.next++
	s.whole = s.next == len(s.copies)
	if was = s.copies[page]; was.slots != nil {
		s.copies[page] = array[K, A]{}
		return was, true
	}
	now := s.array.page(page)
	for i, ok := nextOccupied(now.groups, 0); ok; i, ok = nextOccupied(now.groups, i+1) {
		slot := now.slots[i]
		if s.clone != nil {
			slot.Acc = s.clone(&slot.Acc)
		}
		s.buf = append(s.buf, slot)
	}
	return was, true
}

// Close ends the snapshot; the table stops copying pages for it. It may be called
// more than once, and by any goroutine, also while another is in Next.
func (s *Snapshot[K, A]) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = len(s.copies)
	clear(s.copies)
	s.array = array[K, A]{}
	s.done.Store(true)
}

// page returns a part of an array, that is not a copy.
func (a array[K, A]) page(n int) array[K, A] {
	const groups = pageSlots / groupSlots
	return array[K, A]{a.slots[n*pageSlots : (n+1)*pageSlots], a.groups[n*groups : (n+1)*groups]}
}
