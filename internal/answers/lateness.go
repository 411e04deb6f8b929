package answers

import (
	"fmt"
	"time"

	"github.com/weirstream/weir"
)

// lateCount is how many records were late, with a bound for what is out of order.
type lateCount struct {
	Bound int64 // ms
	// Behind are the records that were behind the watermark, Late those that were too
	// late for their window of an hour.
	Behind, Late int64
}

// lateness counts late records under each bound. Watermarks follow every record, and
// one subtask sees all of them, so that the counts are exact.
func lateness[T any](s weir.Stream[T], at func(T) int64, bounds []time.Duration, answer string, sink weir.Sink[string]) {
	hour := time.Hour.Milliseconds()
	var counts []weir.Stream[lateCount]
	for _, bound := range bounds {
		ms := bound.Milliseconds()
		timed := s.WithWatermarks(weir.BoundedOutOfOrderness(bound).PerRecord(), at).Parallelism(1)
		// An exchange hands a watermark on behind a whole buffer of records, so the window
		// of a record that is too late is found here, where each record has its own.
		counts = append(counts, timed.ProcessFunc(func(ctx *weir.ProcessContext, _ T, emit func(lateCount)) error {
			c := lateCount{Bound: ms}
			t, _ := ctx.EventTime()
			if t <= ctx.Watermark() {
				c.Behind = 1
			}
			if end := t - t%hour + hour; end-1 <= ctx.Watermark() {
				c.Late = 1
			}
			emit(c)
			return nil
		}).Parallelism(1))
	}
	sum := counts[0].Union(counts[1:]...).
		KeyBy(func(c lateCount) int64 { return c.Bound }).
		Window(weir.Tumbling(whole)).
		Reduce(func(a, b lateCount) lateCount {
			a.Behind += b.Behind
			a.Late += b.Late
			return a
		})
	rows(sum, answer, func(c lateCount) string { return fmt.Sprintf("%d,%d,%d", c.Bound, c.Behind, c.Late) }, sink)
}
