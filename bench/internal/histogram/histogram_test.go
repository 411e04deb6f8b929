package histogram_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weirstream/weir/bench/internal/histogram"
	"github.com/weirstream/weir/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// TestPercentiles compares with sorted durations, of all magnitudes.
func TestPercentiles(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 11))
	for _, n := range []int{1, 2, 10, 99, 100, 101, 5000} {
		var h histogram.Histogram
		all := make([]time.Duration, n)
		for i := range all {
			all[i] = time.Duration(r.Int64() >> r.IntN(63))
			h.Record(all[i])
		}
		slices.Sort(all)
		if h.Count() != uint64(n) || h.Max() != all[n-1] {
			t.Fatalf("%d durations: %d counted, the largest %v, want %v", n, h.Count(), h.Max(), all[n-1])
		}
		for _, p := range []float64{0, 1, 50, 90, 99, 99.9, 100} {
			want := all[max(0, int(math.Ceil(p/100*float64(n)))-1)]
			got := h.Percentile(p)
			if got < want || float64(got) > 1.01*float64(want) {
				t.Errorf("percentile %v of %d: %d, want %d or up to 1 %% more", p, n, got, want)
			}
		}
	}
}

func TestExtremes(t *testing.T) {
	var h histogram.Histogram
	if h.Percentile(50) != 0 || h.Max() != 0 || h.Count() != 0 {
		t.Errorf("an empty histogram has %v, %v, %d", h.Percentile(50), h.Max(), h.Count())
	}
	h.Record(-5)
	if h.Percentile(100) != 0 || h.Count() != 1 {
		t.Errorf("a negative duration counts as %v", h.Percentile(100))
	}
	h.Record(math.MaxInt64)
	if h.Percentile(100) != math.MaxInt64 {
		t.Errorf("the largest duration counts as %v", h.Percentile(100))
	}
	// Below 256 ns all are exact.
	for d := range time.Duration(256) {
		var one histogram.Histogram
		one.Record(d)
		one.Record(1000)
		if one.Percentile(50) != d {
			t.Errorf("%v counts as %v", d, one.Percentile(50))
		}
	}
}

// TestTogether adds the histograms of two subtasks, which were printed.
func TestTogether(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var whole histogram.Histogram
	var parts [2]histogram.Histogram
	for range 1000 {
		d := time.Duration(r.IntN(5_000_000))
		whole.Record(d)
		parts[r.IntN(2)].Record(d)
	}
	var sum histogram.Histogram
	for i := range parts {
		text, err := json.Marshal(&parts[i])
		if err != nil {
			t.Fatal(err)
		}
		var read histogram.Histogram
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		sum.Add(&read)
	}
	if sum != whole {
		t.Errorf("p50, p99, max, count: %v %v %v %d, want %v %v %v %d", sum.Percentile(50), sum.Percentile(99), sum.Max(), sum.Count(),
			whole.Percentile(50), whole.Percentile(99), whole.Max(), whole.Count())
	}
}

func TestBadJSON(t *testing.T) {
	for _, text := range []string{
		`5`, `{"buckets":[1],"counts":[]}`, `{"buckets":[-1],"counts":[1]}`, `{"buckets":[1000000],"counts":[1]}`,
	} {
		var h histogram.Histogram
		if err := json.Unmarshal([]byte(text), &h); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}
