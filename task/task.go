package task

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// task is one subtask: a chain, its head, and the loop that drives them. One
// goroutine runs it; post and cancel may be called by others.
type task struct {
	ctx    *Context
	cancel context.CancelFunc
	seen   reading // by Host.Metrics
	head   head
	// pace is of the chunks of input, results of those of postponed results, which
	// other functions may follow.
	pace, results pace
	// due is when the next flush is, or never; flushed when sinks were last.
	due, flushed time.Duration
	// over tells that the input has ended and the task lives on for checkpoints,
	// finished that it need not any more.
	over, finished bool
	// write has a snapshot written by another goroutine. ended is called when the
	// input has ended, committed when sinks have committed a checkpoint.
	write     func(*taken)
	ended     func()
	committed func(checkpoint uint64)
	// firing is since when postponed results hold the task, or never.
	firing time.Duration
	// now is the clock at the end of the last chunk or wait. A read costs as much
	// as several records, so a chunk begins with the one before.
	now   time.Duration
	timer *time.Timer

	mailbox struct {
		sync.Mutex
		letters []func() error
	}
	// letter is signalled when the mailbox is not empty.
	letter chan struct{}
}

// never is a time that does not come.
const never = time.Duration(math.MaxInt64)

func newTask(ctx *Context, cancel context.CancelFunc) *task {
	return &task{ctx: ctx, cancel: cancel, pace: newPace(), results: newPace(), letter: make(chan struct{}, 1), due: never, firing: never}
}

// post has the task's goroutine run f between two chunks.
func (t *task) post(f func() error) {
	t.mailbox.Lock()
	t.mailbox.letters = append(t.mailbox.letters, f)
	t.mailbox.Unlock()
	select {
	case t.letter <- struct{}{}:
	default:
	}
}

func (t *task) open() error {
	select {
	case <-t.letter:
	default:
		return nil
	}
	t.mailbox.Lock()
	letters := t.mailbox.letters
	t.mailbox.letters = nil
	t.mailbox.Unlock()
	for _, f := range letters {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// errGoexit is what a task ends with whose goroutine user code has ended.
var errGoexit = errors.New("user code ended the task's goroutine with runtime.Goexit, as FailNow and Fatal of package testing do: return an error instead")

// runAfter builds the chain with start, says so with running, and drives it
// until its end, an error or a cancellation. A panic of user code is an error
// with its stack. It does not return where user code calls runtime.Goexit.
func (t *task) runAfter(start func() error, running func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = newPanicError(p)
		}
		err = errors.Join(err, t.close())
		if t.ctx.Done.Err() != nil && !isPanic(err) {
			err = ErrCanceled
		}
		t.ctx.figures.enter(over, t.ctx.clock.now())
		t.cancel()
	}()
	if err := start(); err != nil {
		return err
	}
	running()
	return t.loop()
}

// PanicError is a panic in user code.
type PanicError struct {
	Value any
	Stack []byte
}

// Error returns the panic's value; the stack is shown apart.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

func newPanicError(value any) *PanicError {
	return &PanicError{Value: value, Stack: fromPanic(debug.Stack())}
}

// fromPanic leaves out of the stack of a deferred function what lies above the
// call of panic, so that it begins where the user has to look.
func fromPanic(stack []byte) []byte {
	head, frames, ok := bytes.Cut(stack, []byte("\n"))
	_, below, found := bytes.Cut(frames, []byte("\npanic("))
	for range 2 { // the call itself, and its file
		_, below, _ = bytes.Cut(below, []byte("\n"))
	}
	if !ok || !found || len(below) == 0 {
		return stack
	}
	return slices.Concat(head, []byte("\n"), below)
}

func isPanic(err error) bool {
	var p *PanicError
	return errors.As(err, &p)
}

// close releases what the operators hold, also when one of them panics.
func (t *task) close() (err error) {
	for i := len(t.ctx.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, t.closeOne(t.ctx.closers[i]))
	}
	return err
}

func (t *task) closeOne(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = newPanicError(p)
		}
	}()
	return f()
}

// loop alternates between chunks of work and everything that must not wait for
// more than one of them: the mailbox, flushes, backpressure, cancellation.
func (t *task) loop() error {
	t.timer = time.NewTimer(time.Hour)
	defer t.timer.Stop()
	t.now = t.ctx.clock.now()
	for {
		if t.ctx.Done.Err() != nil {
			return ErrCanceled
		}
		if err := t.open(); err != nil {
			return err
		}
		alarm, err := t.ring()
		if err != nil {
			return err
		}
		if o := t.blocked(); o != nil {
			if err := t.wait(backpressured, alarm, o.partition.Ready()); err != nil {
				return err
			}
			continue
		}
		s, err := t.chunk()
		if err != nil {
			return err
		}
		if s == ended {
			return t.finish()
		}
		if s == waiting {
			if err := t.rest(alarm); err != nil {
				return err
			}
		}
	}
}

// finish is what follows the end of the input.
func (t *task) finish() error {
	if t.ctx.checkpoints != nil {
		if err := t.linger(); err != nil {
			return err
		}
	}
	return t.drain()
}

// drain waits until everything that was sent has left.
func (t *task) drain() error {
	t.ctx.figures.enter(backpressured, t.ctx.clock.now())
	for _, o := range t.ctx.outlets {
		if err := o.partition.Drain(t.ctx.Done.Done()); err != nil {
			return err
		}
	}
	return nil
}

// blocked returns an output that has no buffer for what a chunk may produce.
func (t *task) blocked() *outlet {
	for _, o := range t.ctx.outlets {
		if !o.partition.Available() {
			return o
		}
	}
	return nil
}

// chunk does one chunk of work: a part of postponed results, or input.
func (t *task) chunk() (status, error) {
	waited := t.ctx.waited
	p := &t.pace
	if len(t.ctx.postponed) > 0 {
		p = &t.results
	}
	n, s, err := t.advance(p.size)
	now := t.ctx.clock.now()
	p.observe(n, now-t.now-(t.ctx.waited-waited))
	t.now = now
	t.observeFiring(now)
	if err != nil || s == ended {
		return s, err
	}
	if s == working {
		t.due = min(t.due, t.nextFlush())
	}
	return s, t.flushDue(now)
}

// observeFiring takes the time from the chunk that postponed results to the one
// that emitted the last of them.
func (t *task) observeFiring(now time.Duration) {
	switch f := t.ctx.figures; {
	case len(t.ctx.postponed) > 0:
		t.firing = min(t.firing, now)
	case t.firing != never:
		if took := int64(now - t.firing); took > f.LongestFiring.Load() && f.Watermark.Load() != MaxTime {
			f.LongestFiring.Store(took)
		}
		t.firing = never
	}
}

// nextFlush is when what a chunk may have left open must leave.
func (t *task) nextFlush() time.Duration {
	next := never
	for _, o := range t.ctx.outlets {
		if o.timeout >= 0 {
			next = min(next, o.flushed+o.timeout)
		}
		next = min(next, o.idled+t.ctx.WatermarkInterval)
	}
	if len(t.ctx.flushers) > 0 {
		next = min(next, t.flushed+t.ctx.FlushInterval)
	}
	return next
}

func (t *task) advance(limit int) (int, status, error) {
	if len(t.ctx.postponed) == 0 {
		return t.head.step(limit)
	}
	n, err := t.ctx.resume(limit)
	return n, working, err
}

// flushDue flushes what is due.
func (t *task) flushDue(now time.Duration) error {
	if now < t.due {
		return nil
	}
	t.due = never
	t.head.progress()
	for _, o := range t.ctx.outlets {
		t.due = min(t.due, o.flush(now))
	}
	if due := t.flushed + t.ctx.FlushInterval; now < due {
		if len(t.ctx.flushers) > 0 {
			t.due = min(t.due, due)
		}
		return nil
	}
	t.flushed = now
	err := t.flushSinks()
	t.now = t.ctx.clock.now() // what sinks took is not the next chunk's work
	return err
}

func (t *task) flushSinks() error {
	for _, f := range t.ctx.flushers {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// rest waits for input. Sinks write first what they have; buffers leave when
// their timeout ends.
func (t *task) rest(alarm time.Duration) error {
	if err := t.flushSinks(); err != nil {
		return err
	}
	return t.wait(idle, alarm, t.head.ready()...)
}

// ring calls the alarms that are due and returns when the next one is, or never.
// Emitting needs a buffer, so they wait where there is none.
func (t *task) ring() (next time.Duration, err error) {
	if len(t.ctx.alarms.heap) == 0 || t.blocked() != nil {
		return never, nil
	}
	at, err := t.ctx.ring()
	if err != nil || at == MaxTime {
		return never, err
	}
	if left := at - t.ctx.Now(); left < math.MaxInt64/int64(time.Millisecond) {
		return t.ctx.clock.now() + time.Duration(left)*time.Millisecond, nil
	}
	return never, nil
}

// wait blocks until one of the channels or the mailbox has something, the next
// flush or alarm is due, or the task is canceled.
func (t *task) wait(a activity, alarm time.Duration, channels ...<-chan struct{}) error {
	t.ctx.figures.enter(a, t.ctx.clock.now())
	var due <-chan time.Time
	if next := min(t.due, alarm); next != never {
		t.timer.Reset(next - t.ctx.clock.now())
		due = t.timer.C
	}
	switch len(channels) {
	case 0:
		channels = []<-chan struct{}{nil}
		fallthrough
	case 1:
		select {
		case <-channels[0]:
		case <-t.letter:
			t.relight()
		case <-due:
		case <-t.ctx.Done.Done():
		}
	default:
		t.waitMany(channels, due)
	}
	t.now = t.ctx.clock.now()
	t.ctx.figures.enter(busy, t.now)
	return t.flushDue(t.now)
}

// waitMany is wait for a source with several splits, of which any may become
// ready.
func (t *task) waitMany(channels []<-chan struct{}, due <-chan time.Time) {
	cases := []reflect.SelectCase{
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(t.letter)},
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(due)},
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(t.ctx.Done.Done())},
	}
	for _, c := range channels {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c)})
	}
	if chosen, _, _ := reflect.Select(cases); chosen == 0 {
		t.relight()
	}
}

// relight signals letter again, for open to find.
func (t *task) relight() {
	select {
	case t.letter <- struct{}{}:
	default:
	}
}
