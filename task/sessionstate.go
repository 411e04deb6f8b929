package task

import (
	"slices"
	"sort"
)

// session is an open session of a key.
type session[A any] struct {
	// first and last are the event times of its first and its last record.
	first, last int64
	// id counts sessions in the order in which they were opened, from 1.
	id uint64
	// due is when its timer is due. A session that had fired and has grown may have
	// another one, at later, for when it was to go.
	due, later int64
	hasLater   bool
	// fired tells that it has fired and is kept for late records.
	fired bool
	acc   A
}

// reaches reports whether a record at t is less than gap away. The distance may be
// beyond the range of an int64, but not of a uint64.
func (s *session[A]) reaches(t, gap int64) bool {
	switch {
	case t > s.last:
		return uint64(t)-uint64(s.last) < uint64(gap)
	case t < s.first:
		return uint64(s.first)-uint64(t) < uint64(gap)
	}
	return true
}

// extend takes in a record at t.
func (s *session[A]) extend(t int64) {
	s.first, s.last = min(s.first, t), max(s.last, t)
}

// keySessions are the open sessions of a key: the latest, to which most records
// belong and which is mostly the only one, and those before it. It holds no pointers
// but those of the accumulator.
type keySessions[A any] struct {
	latest session[A] // its id is 0 if there is none
	// earlier is one more than the index of a list of the others; 0 if there are none.
	earlier uint32
}

// sessionLists hold the sessions of keys that have more than one, but the latest, in
// the order of time. In the methods' index of a session the latest is the last.
type sessionLists[A any] struct {
	lists [][]session[A]
	free  []uint32 // those that no key has, as keySessions.earlier
}

// longList is the length from which on the first element of a list is cut off, and
// not overwritten by moving the rest.
const longList = 64

func (l *sessionLists[A]) of(k *keySessions[A]) []session[A] {
	if k.earlier == 0 {
		return nil
	}
	return l.lists[k.earlier-1]
}

// at returns session i, or nil if there are not so many.
func (l *sessionLists[A]) at(k *keySessions[A], i int) *session[A] {
	list := l.of(k)
	switch {
	case i < len(list):
		return &list[i]
	case i == len(list) && k.latest.id != 0:
		return &k.latest
	}
	return nil
}

// search returns the index of the first session that t is not a gap or more behind.
func (l *sessionLists[A]) search(k *keySessions[A], t, gap int64) int {
	list := l.of(k)
	n := len(list)
	if k.latest.id != 0 {
		n++
	}
	return sort.Search(n, func(i int) bool {
		s := &k.latest
		if i < len(list) {
			s = &list[i]
		}
		return t <= s.last || s.reaches(t, gap)
	})
}

// find returns the session with an id, or nil. It is mostly the earliest.
func (l *sessionLists[A]) find(k *keySessions[A], id uint64) (int, *session[A]) {
	list := l.of(k)
	if i := slices.IndexFunc(list, func(s session[A]) bool { return s.id == id }); i >= 0 {
		return i, &list[i]
	}
	if k.latest.id == id {
		return len(list), &k.latest
	}
	return 0, nil
}

// insert adds a session at index i and returns it.
func (l *sessionLists[A]) insert(k *keySessions[A], i int, s session[A]) *session[A] {
	if k.latest.id == 0 {
		k.latest = s
		return &k.latest
	}
	if k.earlier == 0 {
		k.earlier = l.take()
	}
	list := &l.lists[k.earlier-1]
	if i > len(*list) {
		*list = append(*list, k.latest)
		k.latest = s
		return &k.latest
	}
	*list = slices.Insert(*list, i, s)
	return &(*list)[i]
}

// join makes one session of i, which has the accumulator of both, and the one after
// it, and returns it. It counts as the older of the two.
func (l *sessionLists[A]) join(k *keySessions[A], i int) *session[A] {
	s, next := l.at(k, i), l.at(k, i+1)
	s.last = next.last
	if next.id < s.id {
		s.id, s.due, s.later, s.hasLater = next.id, next.due, next.later, next.hasLater
	}
	*next = *s
	l.remove(k, i)
	return l.at(k, i)
}

// remove removes session i, and reports whether it was the only one.
func (l *sessionLists[A]) remove(k *keySessions[A], i int) (all bool) {
	if k.earlier == 0 {
		k.latest = session[A]{}
		return true
	}
	list := &l.lists[k.earlier-1]
	if i == len(*list) {
		i--
		k.latest = (*list)[i]
	}
	if i == 0 && len(*list) >= longList {
		(*list)[0] = session[A]{}
		*list = (*list)[1:]
	} else {
		*list = slices.Delete(*list, i, i+1)
	}
	if len(*list) == 0 {
		l.free = append(l.free, k.earlier)
		k.earlier = 0
	}
	return false
}

// take returns an empty list.
func (l *sessionLists[A]) take() uint32 {
	if n := len(l.free); n > 0 {
		list := l.free[n-1]
		l.free = l.free[:n-1]
		return list
	}
	l.lists = append(l.lists, nil)
	return uint32(len(l.lists))
}
