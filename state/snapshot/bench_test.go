package snapshot_test

import (
	"bytes"
	"io"
	"runtime"
	"testing"

	"github.com/weirstream/weir/state/snapshot"
)

// keyed writes n entries of a length, of groups without an order.
func keyed(tb testing.TB, w *snapshot.Writer, n, length int) snapshot.Summary {
	tb.Helper()
	if err := w.Begin(snapshot.Section{Operator: "o", Name: "s", Kind: snapshot.Keyed}); err != nil {
		tb.Fatal(err)
	}
	entry := make([]byte, length)
	var hash uint64
	for range n {
		hash += 0x9e3779b97f4a7c15
		if err := w.Keyed(uint16(hash>>48), entry); err != nil {
			tb.Fatal(err)
		}
	}
	summary, err := w.Close()
	if err != nil {
		tb.Fatal(err)
	}
	return summary
}

// TestMemoryIsBounded: 16 times as much state takes the memory of its index more,
// and an entry allocates nothing.
func TestMemoryIsBounded(t *testing.T) {
	allocated := func(n int) (bytes, objects uint64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		keyed(t, snapshot.NewWriter(io.Discard), n, 40)
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc, after.Mallocs - before.Mallocs
	}
	small, _ := allocated(200_000)
	large, objects := allocated(3_200_000)
	if large > small+(1<<20) || large > 16<<20 {
		t.Errorf("8 MB of state take %d bytes, 128 MB take %d", small, large)
	}
	if objects > 2000 {
		t.Errorf("3,200,000 entries make %d objects", objects)
	}
}

func TestReadingAllocatesNothingPerEntry(t *testing.T) {
	var file bytes.Buffer
	keyed(t, snapshot.NewWriter(&file), 100_000, 40)
	r := open(t, file.Bytes())
	n := 0
	if allocs := testing.AllocsPerRun(3, func() {
		for _, err := range r.Keyed(0, 0, 0xffff) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
	}); allocs > 20 || n != 400_000 {
		t.Errorf("%v objects for %d entries", allocs, n)
	}
}

func BenchmarkWrite(b *testing.B) {
	const n = 1 << 20
	w := snapshot.NewWriter(io.Discard)
	b.ReportAllocs()
	for b.Loop() {
		w.Reset(io.Discard)
		b.SetBytes(keyed(b, w, n, 40).Size)
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkRead(b *testing.B) {
	const n = 1 << 20
	var file bytes.Buffer
	keyed(b, snapshot.NewWriter(&file), n, 40)
	r := open(b, file.Bytes())
	for _, of := range []struct {
		name string
		last uint16
	}{{"all", 0xffff}, {"sixteenth", 0x0fff}} {
		b.Run(of.name, func(b *testing.B) {
			b.ReportAllocs()
			entries := 0
			for b.Loop() {
				for _, err := range r.Keyed(0, 0, of.last) {
					if err != nil {
						b.Fatal(err)
					}
					entries++
				}
			}
			b.SetBytes(int64(entries / b.N * 43))
			b.ReportMetric(float64(entries)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}
