package batching_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/batching"
)

// BenchmarkWrite is what a sink costs beside a destination that costs nothing.
func BenchmarkWrite(b *testing.B) {
	for _, inFlight := range []int{1, 8} {
		b.Run(fmt.Sprint("inflight=", inFlight), func(b *testing.B) {
			b.ReportAllocs()
			sink := batching.New(func(context.Context, weir.Subtask) (batching.Sender[int], error) {
				return batching.SendFunc[int](func(context.Context, []int) ([]batching.Failure, error) { return nil, nil }), nil
			}).InFlight(inFlight)
			w, err := sink.Open(b.Context(), weir.Subtask{})
			if err != nil {
				b.Fatal(err)
			}
			values := numbers(0, 256)
			for b.Loop() {
				if err := w.Write(values); err != nil {
					b.Fatal(err)
				}
			}
			if err := errors.Join(w.Flush(), w.(weir.Finisher).Finish(), w.Close()); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N*len(values))/b.Elapsed().Seconds(), "records/s")
		})
	}
}
