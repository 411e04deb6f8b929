package weirtest

import (
	"log/slog"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/task"
)

// Epoch is the processing time at which a [Run] starts.
var Epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Run is a job whose operators run in the test's goroutine.
type Run struct {
	t      testing.TB
	direct *task.Direct
	failed error
}

// Start builds a job with its build function and these arguments (see
// [weir.Env.Args]). It ends with the test.
func Start(t testing.TB, build func(*weir.Env), arguments ...string) *Run {
	t.Helper()
	graph := dataflow.Build(t.Name(), build, arguments)
	direct, err := task.NewDirect(graph, Epoch.UnixMilli(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := direct.Close(); err != nil {
			t.Errorf("close the operators: %v", err)
		}
	})
	return &Run{t: t, direct: direct}
}

// Now returns the processing time.
func (r *Run) Now() time.Time { return time.UnixMilli(r.direct.Now()).UTC() }

// Advance moves the processing time on: what operators have asked for at a time on
// the way happens at that time, in order.
func (r *Run) Advance(d time.Duration) {
	r.t.Helper()
	r.check(r.try(func() error { return r.direct.AdvanceTo(r.direct.Now() + d.Milliseconds()) }))
}

// try calls f on a job that has not failed.
func (r *Run) try(f func() error) error {
	if r.failed != nil {
		return r.failed
	}
	if err := f(); err != nil {
		r.failed = err
		return err
	}
	r.failed = r.direct.Settle()
	return r.failed
}

func (r *Run) check(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// Input is where a test gives records of type T, in place of a source.
type Input[T any] struct {
	run      *Run
	receiver task.Receiver[T]
}

// InputOf returns the input in place of the source of that name.
func InputOf[T any](r *Run, source string) Input[T] {
	r.t.Helper()
	receiver, err := task.DirectSource[T](r.direct, source)
	r.check(err)
	return Input[T]{run: r, receiver: receiver}
}

// Push gives records, one at a time, each with all its effects before the next.
// They have no event time until the job gives them one.
func (in Input[T]) Push(values ...T) {
	in.run.t.Helper()
	in.run.check(in.TryPush(values...))
}

// TryPush is Push for records that may fail the job: it returns why. Nothing can be
// given to a job that has failed.
func (in Input[T]) TryPush(values ...T) error {
	for i := range values {
		err := in.run.try(func() error { return in.receiver.Push(values[i:i+1:i+1], []int64{task.NoTime}) })
		if err != nil {
			return err
		}
	}
	return nil
}

// PushBatch gives records as the engine does when it has many: together, as batches
// of at most a thousand.
func (in Input[T]) PushBatch(values ...T) {
	in.run.t.Helper()
	times := make([]int64, task.BatchSize)
	for i := range times {
		times[i] = task.NoTime
	}
	for len(values) > 0 {
		n := min(len(values), task.BatchSize)
		in.run.check(in.run.try(func() error { return in.receiver.Push(values[:n:n], times[:n]) }))
		values = values[n:]
	}
}

// Idle says that the source has nothing for a while: operators that combine
// watermarks do not wait for it until its next record.
func (in Input[T]) Idle() {
	in.run.t.Helper()
	in.run.check(in.run.try(in.receiver.Idle))
}

// End says that the source has ended.
func (in Input[T]) End() {
	in.run.t.Helper()
	in.run.check(in.run.try(func() error { return in.receiver.Watermark(task.MaxTime) }))
	in.run.check(in.run.try(in.receiver.End))
}

// Record is a value with its event time.
type Record[T any] struct {
	Value T
	// Time is the zero time where the record has none.
	Time time.Time
}

// Output is what comes to a sink.
type Output[T any] struct {
	run      *Run
	recorded *task.Recorded[T]
}

// OutputOf returns the output in place of the sink of that name.
func OutputOf[T any](r *Run, sink string) Output[T] {
	r.t.Helper()
	recorded, err := task.DirectSink[T](r.direct, sink)
	r.check(err)
	return Output[T]{run: r, recorded: recorded}
}

// Take returns the values that came since the last call of Take or Records.
func (o Output[T]) Take() []T {
	values := o.recorded.Values
	o.recorded.Values, o.recorded.Times = nil, nil
	return values
}

// Records returns what Take does, with event times.
func (o Output[T]) Records() []Record[T] {
	times := o.recorded.Times
	values := o.Take()
	records := make([]Record[T], len(values))
	for i := range values {
		records[i].Value = values[i]
		if times[i] != task.NoTime {
			records[i].Time = time.UnixMilli(times[i]).UTC()
		}
	}
	return records
}

// Watermark returns the event time that the stream has reached: no record at or
// before it will follow, except late ones. ok is false before the first watermark;
// the last one, at the end of the input, is far in the future.
func (o Output[T]) Watermark() (at time.Time, ok bool) {
	if o.recorded.Reached == task.NoTime {
		return time.Time{}, false
	}
	return time.UnixMilli(o.recorded.Reached).UTC(), true
}

// Ended reports whether the stream has ended.
func (o Output[T]) Ended() bool { return o.recorded.Ended }
