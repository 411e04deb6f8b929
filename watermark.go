package weir

import (
	"time"
	"unicode/utf8"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/task"
)

// WatermarkStrategy says how the watermark follows from the event times of the
// records. The watermark is the promise that no record at or before it will
// follow; windows fire when it passes their end. A record that comes later than
// the promise said is late.
//
// Behind a source, a watermark is made for each split by itself, and that of the
// subtask is the smallest of the splits that are being read: the order in which
// splits take turns makes no record late. A split that has ended holds back nobody.
// One that begins later, as the splits of a bounded source do when a subtask is
// free, does not pull the watermark back, so records of it may be late that are
// further behind the splits before it than the strategy allows. Elsewhere in a job
// there is one watermark for each subtask. Where several subtasks meet, the smallest
// counts, too.
//
// A strategy is a value; its methods return a changed copy.
type WatermarkStrategy struct {
	bound           time.Duration
	perRecord, none bool
	// generator is a func() WatermarkGenerator[T] of some T.
	generator any
	idleness  *time.Duration
	alignment *task.Alignment
}

// BoundedOutOfOrderness expects records at most bound behind the largest event
// time so far: the watermark is that time less bound less one millisecond, as
// in Flink. It rises behind each batch of records, which is more often than Flink's
// does and costs less; see [WatermarkStrategy.PerRecord].
func BoundedOutOfOrderness(bound time.Duration) WatermarkStrategy {
	return WatermarkStrategy{bound: bound}
}

// MonotonousTimestamps expects records in the order of their event times. It is
// [BoundedOutOfOrderness] with a bound of 0.
func MonotonousTimestamps() WatermarkStrategy { return WatermarkStrategy{} }

// NoWatermarks gives records event times without a watermark but the last one, at
// the end of the input. Windows fire then.
func NoWatermarks() WatermarkStrategy { return WatermarkStrategy{none: true} }

// ForGenerator makes watermarks with what generator returns. It is called for each
// split, or for each subtask where there are no splits to tell apart. The stream's
// records must be of type T.
func ForGenerator[T any](generator func() WatermarkGenerator[T]) WatermarkStrategy {
	return WatermarkStrategy{generator: generator}
}

// WatermarkGenerator makes the watermark of one split or subtask in a way of its
// own. Its methods are called by one goroutine.
type WatermarkGenerator[T any] interface {
	// OnEvent is called with every record and its event time in ms since the epoch,
	// in order. What it emits holds behind that record and before the next: a
	// watermark for each record, or at marked ones, is possible.
	OnEvent(value T, time int64, out WatermarkOutput)
	// OnPeriodic is called every pipeline.auto-watermark-interval of processing time,
	// whether or not records have come, but not while the input is idle by
	// [WatermarkStrategy.WithIdleness].
	OnPeriodic(out WatermarkOutput)
}

// WatermarkOutput takes what a [WatermarkGenerator] emits. It may be used during the
// call that it was given to.
type WatermarkOutput interface {
	// Emit says that no record at or before t will follow, in ms since the epoch. A
	// t that is not above that of an earlier call is ignored. The largest int64
	// stands for the end of the input, which only the engine knows: it is emitted as
	// one less.
	Emit(t int64)
	// Idle says that nothing may come for a while, so that nobody should wait for
	// this split or subtask. Its next record or watermark ends that.
	Idle()
}

// PerRecord has each record see the watermark of all records before it, not only of
// those before its batch, also behind an exchange. Then it does not depend on batches
// and buffers which records are late, and counts of them are exact, in a job whose
// sources and windows have a parallelism of 1. It is costly: every record that raises
// the watermark ends the network buffers of its job. A generator of your own decides
// by itself, so it is of no use with [ForGenerator], which costs the same for each
// watermark.
func (w WatermarkStrategy) PerRecord() WatermarkStrategy {
	w.perRecord = true
	return w
}

// WithIdleness has nobody wait for a split or subtask that has had no record for d,
// until its next one. Without it, a split where nothing comes holds back the
// watermark of the whole job. The time is processing time; what a task spends
// waiting for room in its output does not count.
//
// A split of a source counts as idle once its reader has had nothing to give for d.
// If all of the splits are idle, so is the subtask, and the watermark stays where it
// is until another input moves on.
func (w WatermarkStrategy) WithIdleness(d time.Duration) WatermarkStrategy {
	w.idleness = &d
	return w
}

// WithAlignment keeps the sources of the job that name the same group together: a
// split is not read while its watermark is more than maxDrift ahead of the slowest
// split of the group that is not idle. So a source that is read faster does not fill
// windows that wait for the others. Every updateInterval, usually a second, each
// subtask reports its watermark to the JobManager and hears how far it may read;
// until then it may run ahead, and by up to a batch of records more. The splits of
// one subtask wait for one another without that delay.
//
// It is for the strategy of a source: WithWatermarks must follow [From], in one task
// with it.
func (w WatermarkStrategy) WithAlignment(group string, maxDrift, updateInterval time.Duration) WatermarkStrategy {
	w.alignment = &task.Alignment{Group: group, MaxDrift: maxDrift, Interval: updateInterval}
	return w
}

// WithWatermarks gives each record the event time that at returns, as a
// time.Time or as an int64 in ms since the epoch, and the stream a watermark.
func (s Stream[T]) WithWatermarks[M time.Time | int64](strategy WatermarkStrategy, at func(T) M) Stream[T] {
	position := s.caller("function of the event time", at == nil)
	var times func(values []T, times []int64)
	switch at := any(at).(type) {
	case func(T) int64:
		times = func(values []T, times []int64) {
			times = times[:len(values)]
			for i := range values {
				times[i] = at(values[i])
			}
		}
	case func(T) time.Time:
		times = func(values []T, times []int64) {
			times = times[:len(values)]
			for i := range values {
				times[i] = at(values[i]).UnixMilli()
			}
		}
	}
	return s.withTimes(position, strategy, times)
}

// WithWatermarksByField gives each record the event time that stands in one of
// its fields, in ms since the epoch: field returns a pointer to that field of
// its argument. It is faster than WithWatermarks, since field is called only
// while the job is built.
func (s Stream[T]) WithWatermarksByField(strategy WatermarkStrategy, field func(*T) *int64) Stream[T] {
	position := s.caller("function of the event time", field == nil)
	times, err := task.NewTimeField(field)
	if err != nil && field != nil {
		s.graph.Mistake(position, "event time: %v", err)
	}
	return s.withTimes(position, strategy, times)
}

func (s Stream[T]) withTimes(position string, strategy WatermarkStrategy, times func([]T, []int64)) Stream[T] {
	operator := task.Timestamps[T]{
		Times: times, Bound: strategy.bound.Milliseconds(), PerRecord: strategy.perRecord, None: strategy.none,
	}
	strategy.check(func(format string, args ...any) { s.graph.Mistake(position, format, args...) })
	if strategy.generator != nil {
		generator, ok := strategy.generator.(func() WatermarkGenerator[T])
		switch {
		case !ok:
			s.graph.Mistake(position, "the generator of watermarks is a %T, and the records are of type %s", strategy.generator, typeName[T]())
		case generator == nil:
			s.graph.Mistake(position, "the function that makes generators of watermarks is nil")
		}
		operator.Generator = func() task.Generator[T] { return generatorAdapter[T]{generator()} }
	}
	if strategy.idleness != nil {
		operator.Idleness = *strategy.idleness
	}
	if strategy.alignment != nil {
		operator.Alignment = *strategy.alignment
		if !s.node.Source || len(s.more) > 0 {
			s.graph.Mistake(position, "the alignment of watermarks holds back sources, and %q is none: let WithWatermarks follow weir.From", s.node.Name)
		}
	}
	return then[T, T](s, &dataflow.Node{Kind: "timestamps/watermarks", Position: position, Timed: true}, operator)
}

// check reports what is wrong with the strategy, whatever it is for.
func (w WatermarkStrategy) check(mistake func(format string, args ...any)) {
	if w.bound < 0 {
		mistake("a bound of %v for out-of-order records: it must not be negative", w.bound)
	}
	if w.perRecord && (w.generator != nil || w.none) {
		mistake("PerRecord is for MonotonousTimestamps and BoundedOutOfOrderness: a generator emits a watermark for each record by itself")
	}
	if w.idleness != nil && *w.idleness <= 0 {
		mistake("an idleness of %v: it must be more than 0", *w.idleness)
	}
	if a := w.alignment; a != nil {
		switch {
		case a.Group == "" || len(a.Group) > 1024 || !utf8.ValidString(a.Group):
			mistake("alignment group %q: its name must have 1 to 1024 bytes of UTF-8", a.Group)
		case a.MaxDrift < 0 || a.Interval <= 0:
			mistake("alignment group %q: a drift of %v, updated every %v: the drift must not be negative, and the interval more than 0", a.Group, a.MaxDrift, a.Interval)
		case w.none:
			mistake("alignment group %q: there are no watermarks to align", a.Group)
		}
	}
}

// generatorAdapter shows a user's generator to the engine.
type generatorAdapter[T any] struct{ user WatermarkGenerator[T] }

func (g generatorAdapter[T]) OnEvent(value T, time int64, out *task.WatermarkOutput) {
	g.user.OnEvent(value, time, out)
}

func (g generatorAdapter[T]) OnPeriodic(out *task.WatermarkOutput) { g.user.OnPeriodic(out) }
