package task

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Split is a part of a source's input.
type Split struct {
	ID   string
	Data []byte
}

// Source is what the task needs of a source: see the public package.
type Source[T any] interface {
	Splits(ctx context.Context, parallelism int) ([]Split, error)
	Open(ctx context.Context, split Split, position []byte) (Reader[T], error)
	Bounded() bool
}

// Reader is what the task needs of a split's reader.
type Reader[T any] interface {
	Read(values []T) (n int, err error)
	Position() ([]byte, error)
	Close() error
}

// SplitLister is the part of a source that does not depend on its record type.
type SplitLister interface {
	// ListSplits returns the source's splits and whether they end.
	ListSplits(ctx context.Context, parallelism int) (splits []Split, bounded bool, err error)
}

// sourceCode is a node's code at the head of a source's chain.
type sourceCode interface {
	Operator
	SplitLister
	head(ctx *Context, out Outputs, request func()) (head, error)
}

// SourceCode is the operator at the beginning of a stream.
type SourceCode[T any] struct{ Source Source[T] }

// Build implements [Operator]; a source has no predecessor, so nothing calls it.
func (s SourceCode[T]) Build(*Context, Outputs) (Inputs, error) {
	return nil, errors.New("a source takes no input")
}

// Join implements [Operator].
func (s SourceCode[T]) Join(receivers []any) any { return join[T](receivers) }

// ListSplits implements [SplitLister].
func (s SourceCode[T]) ListSplits(ctx context.Context, parallelism int) ([]Split, bool, error) {
	splits, err := s.Source.Splits(ctx, parallelism)
	return splits, s.Source.Bounded(), err
}

func (s SourceCode[T]) head(ctx *Context, out Outputs, request func()) (head, error) {
	h := &sourceHead[T]{ctx: ctx, source: s.Source, next: main[T](out), request: request, values: make([]T, BatchSize), times: make([]int64, BatchSize)}
	for i := range h.times {
		h.times[i] = NoTime
	}
	h.observers = observers[T](h.next)
	for _, o := range h.observers {
		o.perSplit()
	}
	ctx.OnClose(h.close)
	return h, h.register()
}

// observers returns those that take a source's records and must know their split.
func observers[T any](next Receiver[T]) (all []splitObserver) {
	receivers := []Receiver[T]{next}
	if f, ok := next.(*fanOut[T]); ok {
		receivers = f.receivers
	}
	for _, r := range receivers {
		if o, ok := r.(splitObserver); ok {
			all = append(all, o)
		}
	}
	return all
}

// splitTaker is the head of a source's task, whatever the type of its records.
type splitTaker interface {
	assign(splits []Split, noMore bool) error
}

// sourceHead reads the splits that its subtask is given, in turn, and asks for
// more when it has none.
type sourceHead[T any] struct {
	ctx     *Context
	source  Source[T]
	next    Receiver[T]
	request func()
	// observers must know which split records come from.
	observers []splitObserver

	readers []splitReader[T]
	opened  int // splits so far
	turn    int
	asked   bool // for a split that has not come
	noMore  bool
	ended   bool
	// taken is the newest checkpoint that has been announced.
	taken  uint64
	done   uint64 // progress of the splits that have ended
	values []T
	times  []int64
}

type splitReader[T any] struct {
	split  Split
	number int // for the observers
	// skipped tells that the last step did not read it.
	skipped bool
	reader  Reader[T]
	ready   <-chan struct{}
}

// assign is called with every message from the scheduler.
func (h *sourceHead[T]) assign(splits []Split, noMore bool) error {
	// A checkpoint that waits for results has none of what is assigned meanwhile.
	return h.ctx.afterResults(func() error {
		h.asked = false
		h.noMore = h.noMore || noMore
		for _, s := range splits {
			if err := h.open(s, nil, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// open begins to read a split, at a position and at what the observers' watermarks of
// it were, or at its beginning.
func (h *sourceHead[T]) open(s Split, position []byte, watermarks []int64) error {
	r, err := h.source.Open(h.ctx.Done, s, position)
	if err != nil {
		return fmt.Errorf("open split %q: %w", s.ID, err)
	}
	h.opened++
	opened := splitReader[T]{split: s, number: h.opened, reader: r}
	if n, ok := r.(interface{ Ready() <-chan struct{} }); ok {
		opened.ready = n.Ready()
	}
	h.readers = append(h.readers, opened)
	for i, o := range h.observers {
		watermark := NoTime
		if len(watermarks) == len(h.observers) {
			watermark = watermarks[i]
		}
		o.open(opened.number, watermark)
	}
	return nil
}

// step reads one batch from the next reader that has one.
func (h *sourceHead[T]) step(limit int) (n int, s status, err error) {
	for range h.readers {
		h.turn = (h.turn + 1) % len(h.readers)
		r := &h.readers[h.turn]
		if r.skipped = h.paused(r); r.skipped {
			continue
		}
		n, err = r.reader.Read(h.values[:min(limit, len(h.values))])
		if n > 0 {
			if err := h.push(r, n); err != nil {
				return n, working, err
			}
		}
		if errors.Is(err, io.EOF) {
			return n, working, h.finish()
		}
		if err != nil {
			return n, working, fmt.Errorf("read split %q: %w", r.split.ID, err)
		}
		if n > 0 {
			return n, working, nil
		}
		if r.ready == nil {
			return 0, working, fmt.Errorf("read split %q: the reader (%T) returned neither a record nor an error; one that may have to wait needs a method Ready that says when to go on", r.split.ID, r.reader)
		}
		if postponed, err := h.empty(r); postponed || err != nil {
			return 0, working, err
		}
	}
	for i := range h.readers {
		if r := &h.readers[i]; r.skipped && !h.paused(r) {
			return 0, working, nil // It waited for one that has become idle.
		}
	}
	return h.pause()
}

// push hands on the first n values, which come from r.
func (h *sourceHead[T]) push(r *splitReader[T], n int) error {
	h.ctx.figures.RecordsIn.Add(uint64(n))
	for _, o := range h.observers {
		o.from(r.number)
	}
	return h.next.Push(h.values[:n], h.times[:n])
}

// empty says that r has nothing now. That may make it idle, and the watermark rise,
// so that results are postponed.
func (h *sourceHead[T]) empty(r *splitReader[T]) (postponed bool, err error) {
	for _, o := range h.observers {
		if err := o.empty(r.number); err != nil {
			return false, err
		}
	}
	return len(h.ctx.postponed) > 0, nil
}

// paused reports whether r is too far ahead of others to be read.
func (h *sourceHead[T]) paused(r *splitReader[T]) bool {
	for _, o := range h.observers {
		if o.paused(r.number) {
			return true
		}
	}
	return false
}

// pause is the state of a source that has nothing to read now.
func (h *sourceHead[T]) pause() (int, status, error) {
	switch {
	case len(h.readers) > 0:
		h.progress()
		return 0, waiting, nil
	case h.noMore && !h.ended:
		h.ended = true
		return 0, working, h.next.Watermark(MaxTime)
	case h.noMore:
		return 0, ended, h.next.End()
	case !h.asked:
		h.asked = true
		h.request()
	}
	return 0, waiting, nil
}

// finish closes the current reader.
func (h *sourceHead[T]) finish() error {
	r := h.readers[h.turn]
	if p, ok := r.reader.(progresser); ok {
		_, total := p.Progress()
		h.done += total
	}
	h.readers = append(h.readers[:h.turn], h.readers[h.turn+1:]...)
	h.turn = 0
	h.progress()
	if err := r.reader.Close(); err != nil {
		return fmt.Errorf("close split %q: %w", r.split.ID, err)
	}
	for _, o := range h.observers {
		if err := o.close(r.number); err != nil {
			return err
		}
	}
	return nil
}

type progresser interface {
	Progress() (done, total uint64)
}

// progress publishes how much of the splits that this subtask has had is read.
func (h *sourceHead[T]) progress() {
	done, total := h.done, h.done
	for _, r := range h.readers {
		if p, ok := r.reader.(progresser); ok {
			d, t := p.Progress()
			done, total = done+d, total+t
		}
	}
	h.ctx.figures.ProgressDone.Store(done)
	h.ctx.figures.ProgressTotal.Store(total)
}

// announce implements [head]: a source has nothing to wait for but its results.
func (h *sourceHead[T]) announce(a alignment) error {
	if a.id <= h.taken {
		return nil
	}
	h.taken = a.id
	return h.ctx.afterResults(func() error { return h.ctx.checkpoints.take(a, 0) })
}

// abort implements [head]. The next one that is announced is newer in any case.
func (h *sourceHead[T]) abort(id uint64, _ bool) { h.taken = max(h.taken, id) }

// ready leaves out what must not be read now: that changes with a message.
func (h *sourceHead[T]) ready() []<-chan struct{} {
	var channels []<-chan struct{}
	for i := range h.readers {
		if r := &h.readers[i]; r.ready != nil && !h.paused(r) {
			channels = append(channels, r.ready)
		}
	}
	return channels
}

func (h *sourceHead[T]) close() error {
	var errs []error
	for _, r := range h.readers {
		errs = append(errs, r.reader.Close())
	}
	h.readers = nil
	return errors.Join(errs...)
}
