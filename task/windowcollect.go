package task

// Collected is the accumulator of a window whose function gets all of its records.
type Collected[T any] struct {
	values []T
}

// collector adds records to what is collected.
type collector[T any] struct{}

func (collector[T]) Add(acc *Collected[T], v T) { acc.values = append(acc.values, v) }

// Collection returns the aggregation that keeps the records of each key, and calls
// f with all of them, in the order in which they came. f may change their order.
func Collection[K comparable, T, O any](f func(k K, start, end int64, records []T, emit func(O))) Aggregation[K, T, Collected[T], O] {
	return Aggregation[K, T, Collected[T], O]{
		Adder: collector[T]{}, collects: true,
		Merge: func(acc, other *Collected[T]) { acc.values = append(acc.values, other.values...) },
		Emit: func(k K, start, end int64, acc *Collected[T], emit func(O)) {
			f(k, start, end, acc.values, emit)
		},
	}
}
