package task

// Lateness says what becomes of records that come for windows that have fired. The
// zero value drops and counts them.
type Lateness struct {
	// Allowed is for how long a window is kept after it has fired, in ms of event
	// time. A record for it makes it fire again, for the record's key.
	Allowed int64
	// Output is the name of the side output for records whose windows are all gone;
	// if it is empty they are counted.
	Output string
}

// lateRecords takes the records that come too late.
type lateRecords[T any] struct {
	to      Receiver[T] // nil if they are counted
	figures *Figures
}

func newLateRecords[T any](ctx *Context, l Lateness, out Outputs) lateRecords[T] {
	r := lateRecords[T]{figures: ctx.figures}
	if l.Output != "" {
		r.to = side[T](out, l.Output)
	}
	return r
}

func (l *lateRecords[T]) take(values []T, times []int64) error {
	if l.to != nil {
		return l.to.Push(values, times)
	}
	l.figures.LateDropped.Add(uint64(len(values)))
	return nil
}

// results makes the results of windows, and hands them on in batches. Their event
// time is the last millisecond of their window.
type results[K comparable, A, O any] struct {
	result  func(k K, start, end int64, acc *A) O
	emitAll func(k K, start, end int64, acc *A, emit func(O))
	out     *batch[O]
	emitter *emitter[O]
}

// emitter is what users' functions emit to.
type emitter[O any] struct {
	out  *batch[O]
	time int64
	emit func(O)
}

func newResults[K comparable, T, A, O any](a Aggregation[K, T, A, O], next Receiver[O]) results[K, A, O] {
	e := &emitter[O]{out: newBatch(next)}
	e.emit = func(o O) { e.out.add(o, e.time) }
	return results[K, A, O]{result: a.Result, emitAll: a.Emit, out: e.out, emitter: e}
}

// add makes what a key's window has to emit. An error of the next operator is in
// r.out.
func (r *results[K, A, O]) add(k K, start, end int64, acc *A) {
	if r.result != nil {
		r.out.add(r.result(k, start, end, acc), end-1)
		return
	}
	r.emitter.time = end - 1
	r.emitAll(k, start, end, acc, r.emitter.emit)
}

// update adds records to a pane that has fired, which fires again with each: those
// of one key in one batch are seen one by one, as if each had come alone.
func (r *tumblingReceiver[K, T, A, O]) update(p *pane[K, A], keys []K, hashes []uint64, values []T) error {
	index := r.index[:len(values)]
	p.table.Reserve(len(keys))
	find(p.table, keys, hashes, index, r.agg.Init)
	for i := range values {
		acc := p.table.At(index[i])
		r.agg.Adder.Add(acc, values[i])
		r.results.add(keys[i], p.start, p.end, acc)
	}
	return r.results.out.send()
}
