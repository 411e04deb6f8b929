package weir

import (
	"fmt"
	"iter"
	"maps"

	"github.com/weirstream/weir/task"
)

// ValueState is one value for each key. Its methods mean the current key: they are
// called while a function processes a record or a timer, by the goroutine that called
// it.
//
// A value that refers to memory, such as a map, must not be changed after it was set,
// nor after Get or Value returned it.
type ValueState[V any] struct{ s *task.KeyedState[V] }

// ValueState declares a value for each key. V must be a type that a record could
// have, since state is written to snapshots; the same holds for all states.
func (c *KeyedOpenContext[K]) ValueState[V any](name string) ValueState[V] {
	return ValueState[V]{task.DeclareState[K, V](c.k, descriptor("value state", name, task.StateTypeOf[V]()), nil)}
}

func descriptor(kind, name string, types ...task.StateType) task.StateDescriptor {
	return task.StateDescriptor{Kind: kind, Name: name, Values: types}
}

// Get returns the value, and whether there is one.
func (s ValueState[V]) Get() (value V, ok bool) {
	if v := s.s.Read(); v != nil {
		return *v, true
	}
	return value, false
}

// Value returns the value, or the zero V if there is none.
func (s ValueState[V]) Value() V {
	v, _ := s.Get()
	return v
}

// Set sets the value.
func (s ValueState[V]) Set(value V) {
	v, _ := s.s.Change()
	*v = value
}

// Clear removes the value.
func (s ValueState[V]) Clear() { s.s.Remove() }

// ListState is a list of values for each key, to which values are added at the end.
// See [ValueState] for where it may be used.
type ListState[V any] struct{ s *task.KeyedState[[]V] }

// ListState declares a list for each key.
func (c *KeyedOpenContext[K]) ListState[V any](name string) ListState[V] {
	return ListState[V]{task.DeclareState[K, []V](c.k, descriptor("list state", name, task.StateTypeOf[V]()), nil)}
}

// Len returns the number of values.
func (s ListState[V]) Len() int {
	if l := s.s.Read(); l != nil {
		return len(*l)
	}
	return 0
}

// All returns the values in the order in which they were added. What is added or set
// meanwhile is not among them.
func (s ListState[V]) All() iter.Seq[V] {
	return func(yield func(V) bool) {
		l := s.s.Read()
		if l == nil {
			return
		}
		for _, v := range *l {
			if !yield(v) {
				return
			}
		}
	}
}

// Add adds values at the end.
func (s ListState[V]) Add(values ...V) {
	if len(values) == 0 {
		return
	}
	l, _ := s.s.Change()
	*l = append(*l, values...)
}

// Set replaces the list by a copy of values.
func (s ListState[V]) Set(values []V) {
	if len(values) == 0 {
		s.Clear()
		return
	}
	l, _ := s.s.Change()
	*l = append([]V(nil), values...) // not in place: a snapshot may read the old one
}

// Clear removes all values.
func (s ListState[V]) Clear() { s.s.Remove() }

// MapState is a map for each key. See [ValueState] for where it may be used. A map
// without entries takes no memory.
type MapState[E comparable, V any] struct{ s *task.KeyedState[map[E]V] }

// MapState declares a map from E to V for each key. E is a type that a key of a
// stream could have; see [Stream.KeyBy].
func (c *KeyedOpenContext[K]) MapState[E comparable, V any](name string) MapState[E, V] {
	return MapState[E, V]{task.DeclareState(c.k, descriptor("map state", name, task.KeyTypeOf[E](), task.StateTypeOf[V]()),
		func(m *map[E]V) map[E]V { return maps.Clone(*m) })}
}

// Get returns the value of an entry, and whether there is one.
func (s MapState[E, V]) Get(entry E) (value V, ok bool) {
	if m := s.s.Read(); m != nil {
		value, ok = (*m)[entry]
	}
	return value, ok
}

// Has reports whether there is an entry.
func (s MapState[E, V]) Has(entry E) bool {
	_, ok := s.Get(entry)
	return ok
}

// Set sets the value of an entry.
func (s MapState[E, V]) Set(entry E, value V) {
	m, made := s.s.Change()
	if made {
		*m = map[E]V{}
	}
	(*m)[entry] = value
}

// Delete removes an entry, if there is one.
func (s MapState[E, V]) Delete(entry E) {
	if !s.Has(entry) {
		return
	}
	m, _ := s.s.Change()
	if delete(*m, entry); len(*m) == 0 {
		s.s.Remove()
	}
}

// Len returns the number of entries.
func (s MapState[E, V]) Len() int {
	if m := s.s.Read(); m != nil {
		return len(*m)
	}
	return 0
}

// All returns the entries, in no particular order. Entries may be set and deleted
// meanwhile, as in a map of Go.
func (s MapState[E, V]) All() iter.Seq2[E, V] {
	return func(yield func(E, V) bool) {
		if m := s.s.Read(); m != nil {
			maps.All(*m)(yield)
		}
	}
}

// Clear removes all entries.
func (s MapState[E, V]) Clear() { s.s.Remove() }

// ReducingState is one value for each key, into which others are combined. See
// [ValueState] for where it may be used.
type ReducingState[V any] struct {
	s *task.KeyedState[V]
	f func(a, b V) V
}

// ReducingState declares a value for each key that f makes of those that are added: f
// gets what it returned before, at first the first value, and the next.
func (c *KeyedOpenContext[K]) ReducingState[V any](name string, f func(a, b V) V) ReducingState[V] {
	if f == nil {
		c.k.Mistake(fmt.Errorf("reducing state %q: the function is nil", name))
	}
	return ReducingState[V]{task.DeclareState[K, V](c.k, descriptor("reducing state", name, task.StateTypeOf[V]()), nil), f}
}

// Add combines a value into the state.
func (s ReducingState[V]) Add(value V) {
	if v := s.s.Read(); v != nil {
		value = s.f(*v, value)
	}
	v, _ := s.s.Change()
	*v = value
}

// Get returns what the values were combined to, and false if none was added.
func (s ReducingState[V]) Get() (value V, ok bool) { return ValueState[V]{s.s}.Get() }

// Clear removes what was added.
func (s ReducingState[V]) Clear() { s.s.Remove() }

// AggregatingState is an accumulator for each key, to which values of type T are added
// and of which a result of type O is made. See [ValueState] for where it may be used.
type AggregatingState[T, O any] struct{ s accumulating[T, O] }

// accumulating is an aggregating state, whatever its key and its accumulator.
type accumulating[T, O any] interface {
	add(value T)
	get() (O, bool)
	clear()
}

// AggregatingState declares an accumulator for each key. The [Window] that results are
// made for is the empty one.
func (c *KeyedOpenContext[K]) AggregatingState[T, A, O any](name string, aggregate Aggregator[K, T, A, O]) AggregatingState[T, O] {
	if aggregate == nil {
		c.k.Mistake(fmt.Errorf("aggregating state %q: the aggregator is nil", name))
	}
	s := task.DeclareState[K, A](c.k, descriptor("aggregating state", name, task.StateTypeOf[A]()), nil)
	return AggregatingState[T, O]{&aggregating[K, T, A, O]{s: s, k: c.k, aggregate: aggregate, init: aggregation(aggregate).Init}}
}

// Add adds a value.
func (s AggregatingState[T, O]) Add(value T) { s.of().add(value) }

// Get returns the result of what was added, and false if nothing was.
func (s AggregatingState[T, O]) Get() (result O, ok bool) { return s.of().get() }

// Clear removes what was added.
func (s AggregatingState[T, O]) Clear() { s.of().clear() }

// of returns the state, or one that says that it was not declared.
func (s AggregatingState[T, O]) of() accumulating[T, O] {
	if s.s == nil {
		(*task.KeyedState[T])(nil).Read()
	}
	return s.s
}

type aggregating[K comparable, T, A, O any] struct {
	s         *task.KeyedState[A]
	k         *task.Keyed[K]
	aggregate Aggregator[K, T, A, O]
	init      func(*A)
}

func (a *aggregating[K, T, A, O]) add(value T) {
	acc, made := a.s.Change()
	if made && a.init != nil {
		a.init(acc)
	}
	a.aggregate.Add(acc, value)
}

func (a *aggregating[K, T, A, O]) get() (result O, ok bool) {
	acc := a.s.Read()
	if acc == nil {
		return result, false
	}
	return a.aggregate.Result(a.k.Key(), Window{}, acc), true
}

func (a *aggregating[K, T, A, O]) clear() { a.s.Remove() }
