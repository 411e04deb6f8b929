package codec_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/codec"
)

type flight struct {
	Origin, Tail string
	Scheduled    int64
	Delay        float64
}

type named struct {
	Key         string
	Time, Value int64
}

type event struct {
	User  string
	At    time.Time
	Tags  map[string]string
	Path  []string
	Point *struct{ Lat, Lon float64 }
}

// benchmark encodes batches of 500 records into one buffer, and decodes them from
// one string, as the shuffle does.
func benchmark[T any](b *testing.B, record func(i int) T) {
	const n = 500
	c := codecOf[T](b)
	batch := make([]T, n)
	for i := range batch {
		batch[i] = record(i)
	}
	dst := encodeAll(c, nil, batch)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			dst = encodeAll(c, dst[:0], batch)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
	})
	src := string(dst)
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			pos := 0
			for i := range batch {
				m, err := c.Decode(src[pos:], &batch[i])
				if err != nil {
					b.Fatal(err)
				}
				pos += m
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
	})
}

func encodeAll[T any](c *codec.Codec[T], dst []byte, batch []T) []byte {
	for i := range batch {
		dst = c.Append(dst, &batch[i])
	}
	return dst
}

func BenchmarkCodec(b *testing.B) {
	b.Run("named", func(b *testing.B) {
		benchmark(b, func(i int) named { return named{fmt.Sprintf("%016x", i), int64(1_000_000_000_000 + i), int64(i)} })
	})
	b.Run("flight", func(b *testing.B) {
		benchmark(b, func(i int) flight {
			return flight{"JFK", fmt.Sprintf("N%05d", i), 1_000_000_000_000 + int64(i), float64(i)}
		})
	})
	b.Run("event", func(b *testing.B) {
		benchmark(b, func(i int) event {
			return event{"user-1", time.Unix(int64(i), 0).UTC(), map[string]string{"k": "v", "l": "w"}, []string{"a", "b"}, &struct{ Lat, Lon float64 }{1, 2}}
		})
	})
}

// counted is what most state is.
type counted struct {
	Key   uint64
	Count int64
	Sum   int64
}

// countedBefore lacks a field, and has another narrower and one more.
type countedBefore struct {
	Key   uint64
	Gone  string
	Count int32
}

// benchmarkState encodes values of Was, and decodes them as Now.
func benchmarkState[Was, Now any](b *testing.B, v Was) {
	was := codecOf[Was](b)
	r, err := codecOf[Now](b).StateReader(was.Shape())
	if err != nil {
		b.Fatal(err)
	}
	dst := was.AppendState(nil, &v)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			dst = was.AppendState(dst[:0], &v)
		}
	})
	src := string(dst)
	var now Now
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Decode(src, &now); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkState(b *testing.B) {
	b.Run("counted", func(b *testing.B) { benchmarkState[counted, counted](b, counted{1, 2, 3}) })
	b.Run("evolved", func(b *testing.B) { benchmarkState[countedBefore, counted](b, countedBefore{1, "gone", 3}) })
	b.Run("named", func(b *testing.B) { benchmarkState[named, named](b, named{"0123456789abcdef", 1, 2}) })
	b.Run("flight", func(b *testing.B) { benchmarkState[flight, flight](b, flight{"JFK", "N12345", 1, 2}) })
}
