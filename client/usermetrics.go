package client

import (
	"cmp"
	"slices"

	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
)

// UserMetric is one figure of a job's function, of a subtask or of several together.
// One of the three is set.
type UserMetric struct {
	// Operator is the operator's name, Name the metric's, behind those of its groups:
	// "cache.hits".
	Operator, Name string
	Counter        *int64
	Gauge          *Gauge
	Histogram      *Histogram
}

// Gauge is the values of a gauge in the subtasks that have it.
type Gauge struct{ Min, Max, Sum float64 }

// Histogram is how values are distributed.
type Histogram struct {
	Count    uint64
	Min, Max int64
	// buckets are sorted.
	buckets []bucket
}

type bucket struct {
	from  int64
	count uint64
}

// Quantile returns the value below which the share q of all values lies, from 0 to 1.
// It is 0 if there are no values.
func (h *Histogram) Quantile(q float64) int64 {
	rank := q * float64(h.Count)
	seen := 0.0
	for _, b := range h.buckets {
		if seen += float64(b.count); seen >= rank {
			return min(max(b.from, h.Min), h.Max)
		}
	}
	return h.Max
}

// UserMetrics returns the metrics of a vertex's functions over all of its subtasks:
// counters are added up and histograms merged.
func (v *Vertex) UserMetrics() (all []UserMetric) {
	for _, s := range v.Subtasks {
		for _, m := range s.Metrics.User {
			i := slices.IndexFunc(all, func(a UserMetric) bool {
				return a.Operator == m.Operator && a.Name == m.Name && a.sameKind(m)
			})
			if i < 0 {
				all = append(all, UserMetric{Operator: m.Operator, Name: m.Name})
				i = len(all) - 1
			}
			all[i].merge(m)
		}
	}
	return all
}

func (m *UserMetric) sameKind(o UserMetric) bool {
	return (m.Counter != nil) == (o.Counter != nil) && (m.Gauge != nil) == (o.Gauge != nil)
}

// merge adds another subtask's figure. m is new, and has none, or is its own.
func (m *UserMetric) merge(o UserMetric) {
	switch {
	case o.Counter != nil:
		n := *o.Counter
		if m.Counter != nil {
			n += *m.Counter
		}
		m.Counter = &n
	case o.Gauge != nil:
		g := *o.Gauge
		if m.Gauge != nil {
			g = Gauge{Min: min(g.Min, m.Gauge.Min), Max: max(g.Max, m.Gauge.Max), Sum: g.Sum + m.Gauge.Sum}
		}
		m.Gauge = &g
	case o.Histogram != nil:
		m.Histogram = m.Histogram.with(o.Histogram)
	}
}

// with returns h, which may be nil, with the values of o.
func (h *Histogram) with(o *Histogram) *Histogram {
	if h == nil || h.Count == 0 {
		return o
	}
	if o.Count == 0 {
		return h
	}
	merged := &Histogram{Count: h.Count + o.Count, Min: min(h.Min, o.Min), Max: max(h.Max, o.Max)}
	for _, b := range slices.Concat(h.buckets, o.buckets) {
		i, ok := slices.BinarySearchFunc(merged.buckets, b, byStart)
		if !ok {
			merged.buckets = slices.Insert(merged.buckets, i, bucket{from: b.from})
		}
		merged.buckets[i].count += b.count
	}
	return merged
}

func byStart(a, b bucket) int { return cmp.Compare(a.from, b.from) }

// userMetricsFromProto leaves out what this client does not know.
func userMetricsFromProto(all []*workerv1.UserMetric) (metrics []UserMetric) {
	for _, m := range all {
		u := UserMetric{Operator: m.GetOperator(), Name: m.GetName()}
		switch v := m.GetValue().(type) {
		case *workerv1.UserMetric_Counter:
			u.Counter = &v.Counter
		case *workerv1.UserMetric_Gauge:
			u.Gauge = &Gauge{Min: v.Gauge, Max: v.Gauge, Sum: v.Gauge}
		case *workerv1.UserMetric_Histogram:
			u.Histogram = histogramFromProto(v.Histogram)
		default:
			continue
		}
		metrics = append(metrics, u)
	}
	return metrics
}

func histogramFromProto(m *workerv1.Histogram) *Histogram {
	h := &Histogram{Count: m.GetCount(), Min: m.GetMin(), Max: m.GetMax()}
	values, counts := m.GetValues(), m.GetCounts()
	for i := range min(len(values), len(counts)) {
		h.buckets = append(h.buckets, bucket{from: values[i], count: counts[i]})
	}
	slices.SortFunc(h.buckets, byStart)
	return h
}
