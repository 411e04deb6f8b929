package task

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
)

// MetricKind is what a user's metric is.
type MetricKind int

// The kinds of metrics.
const (
	CounterMetric MetricKind = iota
	GaugeMetric
	HistogramMetric
)

// UserMetric is one figure of an operator's function, as read.
type UserMetric struct {
	Operator string
	// Name stands behind those of its groups: "cache.hits".
	Name      string
	Kind      MetricKind
	Count     int64
	Gauge     float64
	Histogram HistogramFigures
}

// HistogramFigures are how values are distributed since the start.
type HistogramFigures struct {
	Count    uint64
	Min, Max int64
	// So many values, Counts, lie at each of Values or above it and below the next.
	Values []int64
	Counts []uint64
}

const (
	// MaxUserMetrics is how many metrics the functions of a task may have together.
	// A report has them all, once a second.
	MaxUserMetrics = 100
	// MaxMetricName is how long a metric's name may be, with its groups.
	MaxMetricName = 200
)

// Counter is a count of a function. It belongs to the task's goroutine; others see
// what it was after the last batch.
type Counter struct {
	n     int64
	shown atomic.Int64
}

// Add adds n.
func (c *Counter) Add(n int64) { c.n += n }

// Count returns the count.
func (c *Counter) Count() int64 { return c.n }

func (c *Counter) publish()           { c.shown.Store(c.n) }
func (c *Counter) read(m *UserMetric) { m.Kind, m.Count = CounterMetric, c.shown.Load() }

// Gauge is a value of a function. It belongs to the task's goroutine; others see what
// it was after the last batch.
type Gauge struct {
	value float64
	shown atomic.Uint64
}

// Set sets the value.
func (g *Gauge) Set(value float64) { g.value = value }

func (g *Gauge) publish() { g.shown.Store(math.Float64bits(g.value)) }

func (g *Gauge) read(m *UserMetric) {
	m.Kind, m.Gauge = GaugeMetric, math.Float64frombits(g.shown.Load())
}

// Histogram counts values in buckets, each at most a sixteenth wider than its lower
// bound: 16 for every power of two, and one for each of the numbers below 32. It
// belongs to the task's goroutine.
type Histogram struct {
	buckets [bucketCount]atomic.Uint64
	// Extremes, and what others see of them, after the last batch. There are none
	// while lowest is above highest.
	lowest, highest   int64
	shownLow, shownHi atomic.Int64
}

const (
	bucketBits  = 4
	bucketCount = (63-bucketBits)<<bucketBits + 1<<bucketBits
)

func newHistogram() *Histogram {
	h := &Histogram{lowest: math.MaxInt64, highest: math.MinInt64}
	h.publish()
	return h
}

// Record counts a value. A negative one counts as 0.
func (h *Histogram) Record(value int64) {
	value = max(0, value)
	h.lowest, h.highest = min(h.lowest, value), max(h.highest, value)
	h.buckets[bucketOf(value)].Add(1)
}

// bucketOf returns the bucket of a value that is not negative: its number of bits,
// and the four bits behind the first.
func bucketOf(v int64) int {
	if v < 1<<bucketBits {
		return int(v)
	}
	shift := bits.Len64(uint64(v)) - 1 - bucketBits
	return shift<<bucketBits + int(v>>shift)
}

// bucketFrom returns the smallest value of a bucket.
func bucketFrom(bucket int) int64 {
	if bucket < 2<<bucketBits {
		return int64(bucket)
	}
	shift := bucket>>bucketBits - 1
	return int64(bucket-shift<<bucketBits) << shift
}

func (h *Histogram) publish() {
	h.shownLow.Store(h.lowest)
	h.shownHi.Store(h.highest)
}

func (h *Histogram) read(m *UserMetric) {
	m.Kind = HistogramMetric
	f := &m.Histogram
	for i := range h.buckets {
		if n := h.buckets[i].Load(); n > 0 {
			f.Count += n
			f.Values, f.Counts = append(f.Values, bucketFrom(i)), append(f.Counts, n)
		}
	}
	if f.Count == 0 {
		return
	}
	// The extremes may be of an earlier moment than the buckets.
	f.Min, f.Max = h.shownLow.Load(), max(h.shownHi.Load(), f.Values[len(f.Values)-1])
	if bucketFrom(bucketOf(f.Min)) != f.Values[0] {
		f.Min = f.Values[0]
	}
}

// figure is a counter, a gauge or a histogram.
type figure interface {
	// publish shows others what the task has counted.
	publish()
	read(m *UserMetric)
}

// userMetrics are those of a task.
type userMetrics struct {
	mu  sync.Mutex
	all []userFigure
}

type userFigure struct {
	operator, name string
	figure         figure
}

// read returns all metrics in the order in which they were declared.
func (u *userMetrics) read() (metrics []UserMetric) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, f := range u.all {
		m := UserMetric{Operator: f.operator, Name: f.name}
		f.figure.read(&m)
		metrics = append(metrics, m)
	}
	return metrics
}

// Counter declares a counter of the function.
func (p *Processing) Counter(name string) *Counter { return declareMetric(p, name, &Counter{}) }

// Gauge declares a gauge of the function.
func (p *Processing) Gauge(name string) *Gauge { return declareMetric(p, name, &Gauge{}) }

// Histogram declares a histogram of the function.
func (p *Processing) Histogram(name string) *Histogram {
	return declareMetric(p, name, newHistogram())
}

// declareMetric has a figure shown. What is wrong with its name is an error of Open.
func declareMetric[F figure](p *Processing, name string, f F) F {
	if p.opened {
		panic(fmt.Sprintf("metric %q of %s is declared after Open: all metrics are declared there", name, p.operator()))
	}
	u := &p.figures.user
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, other := range u.all {
		if other.operator == p.node.Name && other.name == name {
			p.mistakes = append(p.mistakes, fmt.Errorf("metric %q: there is one of that name already: names are unique in an operator's groups, and operators of one task have different names", name))
			return f
		}
	}
	switch {
	case name == "":
		p.mistakes = append(p.mistakes, errors.New("a metric has no name"))
	case len(name) > MaxMetricName:
		p.mistakes = append(p.mistakes, fmt.Errorf("metric %.20q…: its name has %d bytes with its groups, and may have %d", name, len(name), MaxMetricName))
	case len(u.all) == MaxUserMetrics:
		p.mistakes = append(p.mistakes, fmt.Errorf("metric %q: the functions of a task may have %d metrics together", name, MaxUserMetrics))
	default:
		u.all = append(u.all, userFigure{operator: p.node.Name, name: name, figure: f})
		p.metrics = append(p.metrics, f)
	}
	return f
}

// publish shows others what the function has counted.
func (p *Processing) publish() {
	for _, f := range p.metrics {
		f.publish()
	}
}
