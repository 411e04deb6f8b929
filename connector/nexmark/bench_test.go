package nexmark_test

import (
	"testing"

	"github.com/weirstream/weir/connector/nexmark"
)

func BenchmarkRead(b *testing.B) {
	b.ReportAllocs()
	r := opened(b, nexmark.Events(-1), 1, 0, nil)
	defer closed(b, r)
	values := make([]nexmark.Event, 256)
	for b.Loop() {
		if _, err := r.Read(values); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(values)), "ns/event")
}

func BenchmarkAppendJSON(b *testing.B) {
	b.ReportAllocs()
	var events []nexmark.Event
	for seq := range int64(50) {
		events = append(events, nexmark.Events(-1).Event(seq))
	}
	var line []byte
	for b.Loop() {
		for i := range events {
			line = events[i].AppendJSON(line[:0])
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
}
