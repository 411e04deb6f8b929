package task

// change is what is added to accumulators that hold a pane's records already: a
// record, or a partial result.
type change[T, A any] struct {
	value   *T
	partial *A
}

// apply returns the function that makes the change that c is at the time.
func (c *change[T, A]) apply[K comparable, O any](a *Aggregation[K, T, A, O]) func(*A) {
	return func(acc *A) {
		if c.partial != nil {
			a.Merge(acc, c.partial)
			return
		}
		a.Adder.Add(acc, *c.value)
	}
}

// revise adds records, or else partial results, to a pane of which a window has
// fired. Sums that have the pane in them are corrected. Windows that are kept fire
// again with each record, for its key.
func (r *slidingReceiver[K, T, A, O]) revise(p *slidingPane[A], ids []uint32, values []T, partials []Partial[K, A]) error {
	for i, id := range ids {
		if partials != nil {
			r.change.partial = &partials[i].Acc
		} else {
			r.change.value = &values[i]
		}
		added := p.col.has[id/64]>>(id%64)&1 == 0
		r.apply(p.col.at(id, r.agg.Init))
		r.merging.correct(p, id, added, r.apply)
		if r.allowed > 0 {
			r.refire(p.number, id)
		}
	}
	r.change = change[T, A]{}
	return r.results.out.send()
}

// refiring is the space in which the results of windows are made again.
type refiring[A any] struct {
	// panes are those that have the key, of all windows that fire again.
	panes []*slidingPane[A]
	// older are sums of panes up to the one that was changed, from each of them on.
	older         []A
	newer, merged A
}

// refire emits the results of an id in all windows of a pane that have fired and are
// not gone. All of them have this pane, so each is the sum of what comes before it
// and what follows.
func (r *slidingReceiver[K, T, A, O]) refire(pane int64, id uint32) {
	s, f := &r.store.slides, &r.refiring
	first, last := s.windows(pane)
	first, last = max(first, s.next(r.gonePast)), min(last, s.next(r.watermark)-1)
	if first > last {
		return
	}
	from, _ := s.panes(first)
	_, to := s.panes(last)
	f.panes = f.panes[:0]
	middle := 0 // the panes before it are not after the one that was changed
	for _, p := range r.store.between(from, to) {
		if p.col.word(int(id/64))>>(id%64)&1 == 0 {
			continue
		}
		f.panes = append(f.panes, p)
		if p.number <= pane {
			middle = len(f.panes)
		}
	}
	r.sumOlder(middle, id)

	r.fresh(&f.newer)
	oldest, newest := 0, middle
	for w := first; w <= last; w++ {
		from, to := s.panes(w)
		for f.panes[oldest].number < from {
			oldest++
		}
		for newest < len(f.panes) && f.panes[newest].number < to {
			r.agg.Merge(&f.newer, &f.panes[newest].col.accs[id])
			newest++
		}
		r.fresh(&f.merged)
		r.agg.Merge(&f.merged, &f.older[oldest])
		if newest > middle {
			r.agg.Merge(&f.merged, &f.newer)
		}
		start, end := s.times(w)
		r.results.add(r.store.ids.keys[id], start, end, &f.merged)
	}
	clear(f.panes)
	clear(f.older)
}

// sumOlder makes the sums of the first panes, from the last to the first.
func (r *slidingReceiver[K, T, A, O]) sumOlder(n int, id uint32) {
	f := &r.refiring
	for len(f.older) < n {
		var zero A
		f.older = append(f.older, zero)
	}
	for i := n - 1; i >= 0; i-- {
		sum := &f.older[i]
		r.fresh(sum)
		r.agg.Merge(sum, &f.panes[i].col.accs[id])
		if i+1 < n {
			r.agg.Merge(sum, &f.older[i+1])
		}
	}
}
