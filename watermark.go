package weir

import (
	"time"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/task"
)

// WatermarkStrategy says how the watermark follows from the event times of the
// records. The watermark is the promise that no record at or before it will
// follow; windows fire when it passes their end.
type WatermarkStrategy struct {
	bound time.Duration
}

// BoundedOutOfOrderness expects records at most bound behind the largest event
// time so far: the watermark is that time less bound less one millisecond, as
// in Flink.
func BoundedOutOfOrderness(bound time.Duration) WatermarkStrategy {
	return WatermarkStrategy{bound: bound}
}

// MonotonousTimestamps expects records in the order of their event times.
func MonotonousTimestamps() WatermarkStrategy { return WatermarkStrategy{} }

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
	if strategy.bound < 0 {
		s.graph.Mistake(position, "a bound of %v for out-of-order records: it must not be negative", strategy.bound)
	}
	return then[T, T](s, &dataflow.Node{Kind: "timestamps/watermarks", Position: position, Timed: true},
		task.Timestamps[T]{Times: times, Bound: strategy.bound.Milliseconds()})
}
