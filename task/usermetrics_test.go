package task

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/dataflow"
)

func metricsOwner(t testing.TB) *Processing {
	t.Helper()
	p := newProcessing(testContext(t), &dataflow.Node{Kind: "process", Name: "mine"}, Outputs{})
	return &p
}

// A histogram says of every value how many there are, a sixteenth too low at most.
func TestHistogram(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		values := rapid.SliceOf(rapid.OneOf(rapid.Int64Range(0, 100), rapid.Int64Range(0, math.MaxInt64))).Draw(rt, "values")
		p := metricsOwner(t)
		h := p.Histogram("h")
		for _, v := range values {
			h.Record(v)
		}
		f := p.figures.user.read()[0].Histogram // before it is published
		for range 2 {
			if int(f.Count) != len(values) || !slices.IsSorted(f.Values) {
				rt.Fatalf("%d values in %v, want %d", f.Count, f.Values, len(values))
			}
			p.publish()
			f = p.figures.user.read()[0].Histogram
		}
		if len(values) == 0 {
			return
		}
		slices.Sort(values)
		if f.Min != values[0] || f.Max != values[len(values)-1] {
			rt.Fatalf("from %d to %d, want from %d to %d", f.Min, f.Max, values[0], values[len(values)-1])
		}
		i := 0
		for b, from := range f.Values {
			for range f.Counts[b] {
				if v := values[i]; v < from || v-from > v/16 {
					rt.Fatalf("%d counts as %d", v, from)
				}
				i++
			}
		}
	})
}

func TestUserMetrics(t *testing.T) {
	p := metricsOwner(t)
	c, g, h := p.Counter("c"), p.Gauge("g"), p.Histogram("h")
	c.Add(3)
	g.Set(1.5)
	h.Record(-7)
	if err := p.open(nil, nil); err != nil {
		t.Fatal(err)
	}
	c.Add(-1) // not seen before the end of the batch
	got := fmt.Sprintf("%+v", p.figures.user.read())
	const want = "[{Operator:mine Name:c Kind:0 Count:3 Gauge:0 Histogram:{Count:0 Min:0 Max:0 Values:[] Counts:[]}} " +
		"{Operator:mine Name:g Kind:1 Count:0 Gauge:1.5 Histogram:{Count:0 Min:0 Max:0 Values:[] Counts:[]}} " +
		"{Operator:mine Name:h Kind:2 Count:0 Gauge:0 Histogram:{Count:1 Min:0 Max:0 Values:[0] Counts:[1]}}]"
	if got != want {
		t.Errorf("metrics are\n%s, want\n%s", got, want)
	}
	p.enter()
	if err := p.leave(); err != nil || p.figures.user.read()[0].Count != 2 {
		t.Errorf("after the batch: %v, %+v", err, p.figures.user.read()[0])
	}
}

func TestUserMetricsAreBounded(t *testing.T) {
	for want, declare := range map[string]func(p *Processing){
		"a metric has no name":                  func(p *Processing) { p.Counter("") },
		`metric "c": there is one of that name`: func(p *Processing) { p.Counter("c"); p.Gauge("c") },
		"has 201 bytes with its groups":         func(p *Processing) { p.Counter(strings.Repeat("x", 201)) },
		`metric "100": the functions of a task`: func(p *Processing) {
			for i := range 101 {
				p.Counter(fmt.Sprint(i))
			}
		},
	} {
		p := metricsOwner(t)
		declare(p)
		if err := p.open(nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("failed with %v, want %q", err, want)
		}
	}
	defer func() {
		if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), "is declared after Open") {
			t.Errorf("panicked with %v", v)
		}
	}()
	p := metricsOwner(t)
	_ = p.open(nil, nil)
	p.Counter("late")
}
