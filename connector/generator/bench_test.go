package generator

import (
	"slices"
	"testing"
	"time"

	"github.com/weirstream/weir"
)

func BenchmarkOf(b *testing.B) {
	b.ReportAllocs()
	r, err := Of(-1, square).Open(b.Context(), stride{0, 1}.split(), nil)
	if err != nil {
		b.Fatal(err)
	}
	values := make([]int64, 256)
	for b.Loop() {
		if _, err := r.Read(values); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N*len(values)), "ns/record")
}

// BenchmarkLateness prints by how much records are late at 10,000/s.
func BenchmarkLateness(b *testing.B) {
	opened, err := Paced(-1, 10_000, newSent).Open(b.Context(), stride{0, 1}.split(), nil)
	if err != nil {
		b.Fatal(err)
	}
	r := opened.(interface {
		weir.Reader[sent]
		weir.Notifier
	})
	values := make([]sent, 256)
	late := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for len(late) < b.N {
		n, err := r.Read(values)
		if err != nil {
			b.Fatal(err)
		}
		now := time.Now()
		for _, v := range values[:n] {
			late = append(late, now.Sub(v.due))
		}
		if n == 0 {
			<-r.Ready()
		}
	}
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
	slices.Sort(late)
	for _, q := range []struct {
		quantile float64
		unit     string
	}{{0.5, "p50-µs"}, {0.99, "p99-µs"}, {1, "max-µs"}} {
		i := min(len(late)-1, int(q.quantile*float64(len(late))))
		b.ReportMetric(float64(late[i].Nanoseconds())/1e3, q.unit)
	}
}
