package task

import (
	"cmp"
	"slices"
)

// Collected is the accumulator of a window whose function gets all of its records.
type Collected[T any] struct {
	values []T
	// places are the numbers of the values in the order of their coming to the
	// operator, where they may be merged.
	places []int64
}

// collector adds records to what is collected.
type collector[T any] struct{}

func (collector[T]) Add(acc *Collected[T], v T) { acc.values = append(acc.values, v) }

// Collection returns the aggregation that keeps the records of each key, and calls
// f with all of them, in the order in which they came. f may change their order.
func Collection[K comparable, T, O any](f func(k K, start, end int64, records []T, emit func(O))) Aggregation[K, T, Collected[T], O] {
	a := Aggregation[K, T, Collected[T], O]{
		Adder: collector[T]{}, Merge: mergeCollected[T], collects: true,
		Emit: func(k K, start, end int64, acc *Collected[T], emit func(O)) {
			f(k, start, end, acc.values, emit)
		},
	}
	a.instance = func() Aggregation[K, T, Collected[T], O] {
		s := &sequence[T]{}
		numbered := a
		numbered.instance, numbered.Adder = nil, s
		numbered.Emit = func(k K, start, end int64, acc *Collected[T], emit func(O)) {
			f(k, start, end, s.inOrder(acc), emit)
			clear(s.values)
		}
		return numbered
	}
	return a
}

func mergeCollected[T any](acc, other *Collected[T]) {
	acc.values = append(acc.values, other.values...)
	acc.places = append(acc.places, other.places...)
}

// sequence numbers the records of an operator instance.
type sequence[T any] struct {
	next   int64
	order  []int
	values []T
}

func (s *sequence[T]) Add(acc *Collected[T], v T) {
	acc.values = append(acc.values, v)
	acc.places = append(acc.places, s.next)
	s.next++
}

// inOrder returns a copy of the values in the order in which they came. It is good
// until the next call.
func (s *sequence[T]) inOrder(acc *Collected[T]) []T {
	s.values = s.values[:0]
	if slices.IsSorted(acc.places) {
		s.values = append(s.values, acc.values...)
		return s.values
	}
	s.order = s.order[:0]
	for i := range acc.places {
		s.order = append(s.order, i)
	}
	slices.SortFunc(s.order, func(a, b int) int { return cmp.Compare(acc.places[a], acc.places[b]) })
	for _, i := range s.order {
		s.values = append(s.values, acc.values[i])
	}
	return s.values
}
