package task

import (
	"errors"
	"fmt"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/key"
)

// TimeDomain is one of the two times in which timers fire.
type TimeDomain int

// The time domains.
const (
	EventTimeDomain TimeDomain = iota
	ProcessingTimeDomain
)

// KeyedProcess is the operator that calls a function for each record of a keyed
// stream, and for its timers.
type KeyedProcess[C any, K comparable, T, O any] struct {
	// Node is the operator's own, whose name stands in errors.
	Node *dataflow.Node
	Keys KeySelector[K, T]
	// New returns the function of one subtask.
	New func(k *Keyed[K]) (ProcessFunction[C, T, O], Instance[C, O])
}

// Build implements [Operator].
func (o KeyedProcess[C, K, T, O]) Build(ctx *Context, out Outputs) (Inputs, error) {
	k, err := newKeyedProcessing(ctx, o.Node, o.Keys.kind, out)
	if err != nil {
		return nil, err
	}
	f, instance := o.New(k)
	emit := newEmitter(&k.Processing, main[O](out))
	r := &keyedReceiver[C, K, T, O]{passing: out.passing(), k: k, keyed: newKeyed(o.Keys), function: f, context: instance.Context, emit: emit}
	k.take(out, instance.OnTimer != nil, func(t int64, d TimeDomain) error { return instance.OnTimer(t, d, emit) })
	return Inputs{r}, k.open(instance.Open, instance.Close)
}

// Join implements [Operator].
func (o KeyedProcess[C, K, T, O]) Join(receivers []any) any { return join[O](receivers) }

// KeyedConnectedProcess is the operator that calls a function for the records of two
// inputs with keys of one type, and for its timers. State and timers are of a key,
// whichever input it comes from.
type KeyedConnectedProcess[C any, K comparable, A, B, O any] struct {
	Node   *dataflow.Node
	First  KeySelector[K, A]
	Second KeySelector[K, B]
	New    func(k *Keyed[K]) (ProcessFunction[C, A, O], ProcessFunction[C, B, O], Instance[C, O])
}

// Build implements [Operator].
func (o KeyedConnectedProcess[C, K, A, B, O]) Build(ctx *Context, out Outputs) (Inputs, error) {
	k, err := newKeyedProcessing(ctx, o.Node, o.First.kind, out)
	if err != nil {
		return nil, err
	}
	f, g, instance := o.New(k)
	emit := newEmitter(&k.Processing, main[O](out))
	k.take(out, instance.OnTimer != nil, func(t int64, d TimeDomain) error { return instance.OnTimer(t, d, emit) })
	return Inputs{
		&keyedReceiver[C, K, A, O]{passing: out.passing(), k: k, keyed: newKeyed(o.First), function: f, context: instance.Context, emit: emit},
		&keyedReceiver[C, K, B, O]{passing: out.passing(), k: k, keyed: newKeyed(o.Second), function: g, context: instance.Context, emit: emit},
	}, k.open(instance.Open, instance.Close)
}

// Join implements [Operator].
func (o KeyedConnectedProcess[C, K, A, B, O]) Join(receivers []any) any { return join[O](receivers) }

// keyedReceiver gives the function the records of one input, in their order.
type keyedReceiver[C any, K comparable, T, O any] struct {
	passing
	k        *Keyed[K]
	keyed    keyed[K, T]
	function ProcessFunction[C, T, O]
	context  C
	emit     func(O)
}

func (r *keyedReceiver[C, K, T, O]) Push(values []T, times []int64) (err error) {
	k := r.k
	defer k.recovered(&err)
	k.enter()
	defer k.current.clear()
	keys, hashes := r.keyed.of(values)
	for i := range values {
		k.current.set(keys[i], hashes[i])
		k.time = times[i]
		if err := r.function.Process(r.context, values[i], r.emit); err != nil {
			return k.fail(err)
		}
		if k.failure != nil {
			return k.failure
		}
	}
	return k.leave()
}

// Watermark fires the timers that it reaches, a chunk at a time.
func (r *keyedReceiver[C, K, T, O]) Watermark(t int64) error {
	r.k.watermark = t
	if next, ok := r.k.event.next(); !ok || next > t {
		return r.passing.Watermark(t)
	}
	r.k.eventRound.until = t
	r.k.Postpone(&r.k.eventRound)
	return nil
}

// Keyed is a [Processing] of records that have keys of type K.
type Keyed[K comparable] struct {
	Processing
	current currentKey[K]
	kind    *key.Kind[K]
	// states has the kinds of the states by name.
	states map[string]string

	event, processing     *timers[K]
	onTimer               func(t int64, domain TimeDomain) error
	takesTimers           bool
	eventRound, timeRound timerRound[K]
	// armed is the earliest time for which the task was asked to call ring.
	armed int64
	ring  func(t int64) error
}

func newKeyedProcessing[K comparable](ctx *Context, n *dataflow.Node, kind *key.Kind[K], out Outputs) (*Keyed[K], error) {
	k := &Keyed[K]{Processing: newProcessing(ctx, n, out), kind: kind, states: map[string]string{}, armed: MaxTime}
	k.current.operator, k.current.turn = k.operator(), 1 // no state has been there
	var err error
	if k.event, err = newTimers[K](); err != nil {
		return nil, err
	}
	if k.processing, err = newTimers[K](); err != nil {
		return nil, err
	}
	k.ring = k.alarm
	if err := k.event.register(ctx, "event-time timers", kind); err != nil {
		return nil, err
	}
	if err := k.processing.register(ctx, "processing-time timers", kind); err != nil {
		return nil, err
	}
	return k, nil
}

// take has timers call f, and the watermark go to out behind them.
func (k *Keyed[K]) take(out Outputs, takes bool, f func(t int64, domain TimeDomain) error) {
	k.onTimer, k.takesTimers = f, takes
	next := out.passing()
	k.eventRound = timerRound[K]{k: k, timers: k.event, domain: EventTimeDomain, done: func() error { return next.Watermark(k.watermark) }}
	k.timeRound = timerRound[K]{k: k, timers: k.processing, domain: ProcessingTimeDomain, done: func() error { k.arm(); return nil }}
	k.arm() // for what is restored
}

// Key returns the current key.
func (k *Keyed[K]) Key() K {
	k.needKey("the current key")
	return k.current.key
}

func (k *Keyed[K]) needKey(what string) {
	if !k.current.active {
		panic(fmt.Sprintf("%s of %s is used where there is none: a context belongs to the call that it is given to", what, k.operator()))
	}
}

// RegisterTimer has the function called for the current key when the time of a
// domain reaches t, in ms since the epoch. A key has at most one timer for a time.
func (k *Keyed[K]) RegisterTimer(t int64, domain TimeDomain) {
	k.needKey("the current key, for a timer,")
	switch {
	case !k.takesTimers && k.failure == nil:
		k.failure = k.named(errors.New("it registers a timer and has no method OnTimer to be called"))
	case domain == EventTimeDomain:
		k.event.add(k.current.key, t)
	default:
		k.processing.add(k.current.key, t)
		k.arm()
	}
}

// DeleteTimer deletes a timer of the current key, if there is one.
func (k *Keyed[K]) DeleteTimer(t int64, domain TimeDomain) {
	k.needKey("the current key, for a timer,")
	if domain == EventTimeDomain {
		k.event.remove(k.current.key, t)
		return
	}
	k.processing.remove(k.current.key, t)
}

// arm asks the task for a call at the time of the earliest processing-time timer.
func (k *Keyed[K]) arm() {
	if t, ok := k.processing.next(); ok && t < k.armed {
		k.armed = t
		k.At(t, k.ring)
	}
}

// alarm fires the processing-time timers that are due.
func (k *Keyed[K]) alarm(t int64) error {
	if t == k.armed {
		k.armed = MaxTime
	}
	k.timely = false
	now := max(t, k.Now()) // a clock may be set back
	if next, ok := k.processing.next(); ok && next <= now {
		k.timeRound.until = now
		k.Postpone(&k.timeRound)
		return nil
	}
	k.arm()
	return nil
}

// timerRound fires timers up to a time, a chunk at a time. One that is registered
// meanwhile fires in the same round, if it is due.
type timerRound[K comparable] struct {
	k      *Keyed[K]
	timers *timers[K]
	domain TimeDomain
	until  int64
	done   func() error
}

// resume implements [resumable].
func (r *timerRound[K]) resume(limit int) (n int, done bool, err error) {
	if n, done, err = r.fire(limit); err != nil || !done {
		return n, false, err
	}
	return n, true, r.done()
}

// fire calls the function for at most limit timers, and hands on what it emits.
func (r *timerRound[K]) fire(limit int) (n int, done bool, err error) {
	k := r.k
	defer k.recovered(&err)
	k.enter()
	defer k.current.clear()
	for ; n < limit; n++ {
		if next, ok := r.timers.next(); !ok || next > r.until {
			return n, true, k.leave()
		}
		of, t := r.timers.pop()
		k.current.set(of, k.kind.HashOne(of))
		k.time = t
		if r.domain == ProcessingTimeDomain {
			k.time = NoTime
		}
		if err := k.onTimer(t, r.domain); err != nil {
			return n, false, k.fail(err)
		}
		if k.failure != nil {
			return n, false, k.failure
		}
	}
	return n, false, k.leave()
}
