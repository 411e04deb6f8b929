package task

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/weirstream/weir/internal/dataflow"
)

// ProcessFunction is a user's function on the way of each record: C is what it sees
// of the engine, which the public package defines around a [Processing].
type ProcessFunction[C, T, O any] interface {
	Process(ctx C, value T, emit func(O)) error
}

// Instance is what a user's function has for a subtask beside the processing of
// records.
type Instance[C, O any] struct {
	Context C
	// Open is called before anything else, Close once after Open, whatever came of
	// it. Each may be nil.
	Open, Close func() error
	// OnTimer is called for a timer that fires; nil if the function takes none.
	OnTimer func(t int64, domain TimeDomain, emit func(O)) error
}

// Process is the operator that calls a function for each record.
type Process[C, T, O any] struct {
	// Node is the operator's own, whose name stands in errors.
	Node *dataflow.Node
	// New returns the function of one subtask.
	New func(p *Processing) (ProcessFunction[C, T, O], Instance[C, O])
}

// Build implements [Operator].
func (o Process[C, T, O]) Build(ctx *Context, out Outputs) (Inputs, error) {
	p := newProcessing(ctx, o.Node, out)
	f, instance := o.New(&p)
	r := &processReceiver[C, T, O]{passing: out.passing(), p: &p, function: f, context: instance.Context, emit: newEmitter(&p, main[O](out))}
	return Inputs{r}, p.open(instance.Open, instance.Close)
}

// Join implements [Operator].
func (o Process[C, T, O]) Join(receivers []any) any { return join[O](receivers) }

// ConnectedProcess is the operator that calls a function for the records of two
// inputs.
type ConnectedProcess[C, A, B, O any] struct {
	Node *dataflow.Node
	New  func(p *Processing) (ProcessFunction[C, A, O], ProcessFunction[C, B, O], Instance[C, O])
}

// Build implements [Operator].
func (o ConnectedProcess[C, A, B, O]) Build(ctx *Context, out Outputs) (Inputs, error) {
	p := newProcessing(ctx, o.Node, out)
	f, g, instance := o.New(&p)
	emit := newEmitter(&p, main[O](out))
	return Inputs{
		&processReceiver[C, A, O]{passing: out.passing(), p: &p, function: f, context: instance.Context, emit: emit},
		&processReceiver[C, B, O]{passing: out.passing(), p: &p, function: g, context: instance.Context, emit: emit},
	}, p.open(instance.Open, instance.Close)
}

// Join implements [Operator].
func (o ConnectedProcess[C, A, B, O]) Join(receivers []any) any { return join[O](receivers) }

type processReceiver[C, T, O any] struct {
	passing
	p        *Processing
	function ProcessFunction[C, T, O]
	context  C
	emit     func(O)
}

func (r *processReceiver[C, T, O]) Push(values []T, times []int64) (err error) {
	defer r.p.recovered(&err)
	r.p.enter()
	for i := range values {
		r.p.time = times[i]
		if err := r.function.Process(r.context, values[i], r.emit); err != nil {
			return r.p.fail(err)
		}
		if r.p.failure != nil {
			return r.p.failure
		}
	}
	return r.p.leave()
}

// Watermark notes the watermark for the function to ask for, and hands it on.
func (r *processReceiver[C, T, O]) Watermark(t int64) error {
	r.p.watermark = t
	return r.passing.Watermark(t)
}

// Processing is an instance of a user's function at work: what its contexts ask.
// It belongs to the task's goroutine.
type Processing struct {
	*Context
	node *dataflow.Node
	// time is the event time of what is being processed, or NoTime.
	time, watermark int64
	// now is the processing time, if somebody has asked for it since enter.
	now    int64
	timely bool

	outputs Outputs
	// senders are of all outputs that something was emitted to.
	senders []sender
	sides   []sideEmitter
	// failure is the first error of what takes the output, or of a call of the
	// function that cannot return one.
	failure error
	// user tells that the function runs, rather than what takes its output.
	user bool

	opened   bool
	mistakes []error
	metrics  []figure
}

// sender is one output's batch.
type sender interface{ send() error }

type sideEmitter struct {
	name string
	emit any // a func(U), nil if nobody takes the output
}

func newProcessing(ctx *Context, n *dataflow.Node, out Outputs) Processing {
	return Processing{Context: ctx, node: n, outputs: out, time: NoTime, watermark: NoTime}
}

// newEmitter returns the function that emits to next, with the event time of what
// is being processed.
func newEmitter[O any](p *Processing, next Receiver[O]) func(O) {
	b := newBatch(next)
	p.senders = append(p.senders, b)
	return func(v O) {
		b.values = append(b.values, v)
		b.times = append(b.times, p.time)
		if len(b.values) == BatchSize {
			p.send(b)
		}
	}
}

// send hands on what an output has collected.
func (p *Processing) send(s sender) {
	user := p.user
	p.user = false
	if err := s.send(); err != nil && p.failure == nil {
		p.failure = err
	}
	p.user = user
}

// enter begins a chunk of calls of the function, leave ends it and hands on what
// they have emitted.
func (p *Processing) enter() { p.user, p.timely = true, false }

func (p *Processing) leave() error {
	p.user = false
	for _, s := range p.senders {
		p.send(s)
	}
	p.publish()
	return p.failure
}

// fail returns an error of the function with the operator's name.
func (p *Processing) fail(err error) error {
	p.user = false
	return p.named(err)
}

func (p *Processing) named(err error) error { return fmt.Errorf("%s: %w", p.operator(), err) }

// recovered, deferred, makes an error of a panic, with the operator's name if it is
// the function's.
func (p *Processing) recovered(err *error) {
	v := recover()
	if v == nil {
		return
	}
	*err = newPanicError(v)
	if p.user {
		*err = p.fail(*err)
	}
}

func (p *Processing) operator() string { return fmt.Sprintf("%s %q", p.node.Kind, p.node.Name) }

// open opens the function, and has the task close it.
func (p *Processing) open(open, closer func() error) (err error) {
	if closer != nil {
		p.OnClose(func() error { return p.close(closer) })
	}
	defer func() {
		p.opened = true
		p.publish()
		err = errors.Join(append(p.mistakes, err)...)
	}()
	if open == nil {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = newPanicError(v)
		}
	}()
	if err := open(); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	return nil
}

// close closes the function.
func (p *Processing) close(f func() error) (err error) {
	defer p.recovered(&err)
	defer p.publish()
	p.user = true
	if err := f(); err != nil {
		return p.fail(fmt.Errorf("close: %w", err))
	}
	p.user = false
	return nil
}

// Mistake notes what is wrong with what the function asks for while it opens: it is an
// error of Open.
func (p *Processing) Mistake(err error) { p.mistakes = append(p.mistakes, err) }

// Operator returns the operator's name.
func (p *Processing) Operator() string { return p.node.Name }

// EventTime returns the event time of the record or of the timer that is being
// processed, in ms since the epoch, or false if it has none.
func (p *Processing) EventTime() (t int64, ok bool) { return p.time, p.time != NoTime }

// Watermark returns the watermark so far.
func (p *Processing) Watermark() int64 { return p.watermark }

// ProcessingTime returns the processing time in ms since the epoch. The clock is read
// once for a chunk of records.
func (p *Processing) ProcessingTime() int64 {
	if !p.timely {
		p.now, p.timely = p.Now(), true
	}
	return p.now
}

// EmitSide emits to the side output with a name.
func EmitSide[U any](p *Processing, name string, v U) {
	for i := range p.sides {
		if p.sides[i].name != name {
			continue
		}
		if p.sides[i].emit == nil {
			return
		}
		if emit, ok := p.sides[i].emit.(func(U)); ok {
			emit(v)
			return
		}
		p.mistakeSide(name, reflect.TypeFor[U]())
		return
	}
	openSide[U](p, name)
	EmitSide(p, name, v)
}

// openSide prepares a side output that is emitted to for the first time.
func openSide[U any](p *Processing, name string) {
	s := sideEmitter{name: name}
	if p.outputs.wants(name) {
		if next, ok := sideOf[U](p.outputs, name); ok {
			s.emit = newEmitter(p, next)
		} else {
			s.emit = struct{}{} // of no type that can be emitted
		}
	}
	p.sides = append(p.sides, s)
}

// sideOf returns what takes a side output, if that takes values of type U.
func sideOf[U any](o Outputs, name string) (Receiver[U], bool) {
	for i, s := range o.sides {
		if s == name {
			r, ok := o.ports[1+i].(Receiver[U])
			return r, ok
		}
	}
	return nil, false
}

func (p *Processing) mistakeSide(name string, t reflect.Type) {
	if p.failure != nil {
		return
	}
	want := "another type"
	for _, s := range p.node.Sides {
		if s.Name == name {
			want = "type " + s.Type
		}
	}
	p.failure = fmt.Errorf("%s: a record of type %v was emitted to side output %q, which is asked for with records of %s: tags of one name must have one type", p.operator(), t, name, want)
}
