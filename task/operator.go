package task

// Operator builds the instances of one operator of the graph. Types are erased
// here, where chains are put together, and nowhere on the way of a record.
type Operator interface {
	// Build returns the receivers of a new instance that hands its results to out:
	// a Receiver[T], or one for each of two inputs. With two, all watermarks and the
	// end go to the first, and hold for both.
	Build(ctx *Context, out Outputs) (Inputs, error)
	// Join makes one Receiver[U] of several consumers of the operator's output.
	Join(receivers []any) any
}

// Map is the operator that turns each T into a U. F does so for a batch, so
// that a function that cannot fail is called without a check.
type Map[T, U any] struct {
	F func(values []T, out []U) error
}

// Build implements [Operator].
func (m Map[T, U]) Build(_ *Context, out Outputs) (Inputs, error) {
	return Inputs{&mapReceiver[T, U]{passing: out.passing(), f: m.F, next: main[U](out), out: make([]U, BatchSize)}}, nil
}

// Join implements [Operator].
func (m Map[T, U]) Join(receivers []any) any { return join[U](receivers) }

type mapReceiver[T, U any] struct {
	passing
	f    func([]T, []U) error
	next Receiver[U]
	out  []U
}

func (m *mapReceiver[T, U]) Push(values []T, times []int64) error {
	out := m.out[:len(values)]
	if err := m.f(values, out); err != nil {
		return err
	}
	return m.next.Push(out, times)
}

// Filter is the operator that keeps the records for which F returns true.
type Filter[T any] struct{ F func(T) bool }

// Build implements [Operator].
func (f Filter[T]) Build(_ *Context, out Outputs) (Inputs, error) {
	return Inputs{&filterReceiver[T]{
		passing: out.passing(), keep: f.F, next: main[T](out), out: make([]T, BatchSize), times: make([]int64, BatchSize),
	}}, nil
}

// Join implements [Operator].
func (f Filter[T]) Join(receivers []any) any { return join[T](receivers) }

type filterReceiver[T any] struct {
	passing
	keep  func(T) bool
	next  Receiver[T]
	out   []T
	times []int64
}

func (f *filterReceiver[T]) Push(values []T, times []int64) error {
	n := 0
	for i := range values {
		if f.keep(values[i]) {
			f.out[n], f.times[n] = values[i], times[i]
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return f.next.Push(f.out[:n], f.times[:n])
}

// FlatMap is the operator that turns each T into any number of U.
type FlatMap[T, U any] struct {
	F func(T, func(U)) error
}

// Build implements [Operator].
func (f FlatMap[T, U]) Build(_ *Context, out Outputs) (Inputs, error) {
	r := &flatMapReceiver[T, U]{passing: out.passing(), f: f.F, out: newBatch(main[U](out))}
	r.emit = func(u U) { r.out.add(u, r.time) }
	return Inputs{r}, nil
}

// Join implements [Operator].
func (f FlatMap[T, U]) Join(receivers []any) any { return join[U](receivers) }

type flatMapReceiver[T, U any] struct {
	passing
	f    func(T, func(U)) error
	out  *batch[U]
	time int64
	emit func(U)
}

func (f *flatMapReceiver[T, U]) Push(values []T, times []int64) error {
	for i := range values {
		f.time = times[i]
		if err := f.f(values[i], f.emit); err != nil {
			return err
		}
		if f.out.err != nil {
			return f.out.err
		}
	}
	return f.out.send()
}

// batch collects an operator's output and hands it on when it is full.
type batch[T any] struct {
	next   Receiver[T]
	values []T
	times  []int64
	// err is the first error of next; what follows it is dropped, since the task
	// is about to end.
	err error
}

func newBatch[T any](next Receiver[T]) *batch[T] {
	return &batch[T]{next: next, values: make([]T, 0, BatchSize), times: make([]int64, 0, BatchSize)}
}

func (b *batch[T]) add(v T, time int64) {
	b.values = append(b.values, v)
	b.times = append(b.times, time)
	if len(b.values) == BatchSize {
		b.err = b.send()
	}
}

// send hands on what is there.
func (b *batch[T]) send() error {
	if b.err == nil && len(b.values) > 0 {
		b.err = b.next.Push(b.values, b.times)
	}
	b.values, b.times = b.values[:0], b.times[:0]
	return b.err
}
