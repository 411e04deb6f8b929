package weir

import "github.com/weirstream/weir/task"

// MetricGroup declares metrics of a function, whose names begin with that of the
// group. Metrics are declared in Open. Their names are unique in an operator, have at
// most 200 bytes with their groups, and a task has at most 100; more is an error of
// Open. "weir list --verbose" shows them, for all subtasks together.
type MetricGroup struct {
	p      *task.Processing
	prefix string
}

// Metrics returns the group of the operator itself.
func (c *OpenContext) Metrics() MetricGroup { return MetricGroup{p: c.p} }

// Counter declares a counter; see [MetricGroup].
func (c *OpenContext) Counter(name string) Counter { return c.Metrics().Counter(name) }

// Gauge declares a gauge; see [MetricGroup].
func (c *OpenContext) Gauge(name string) Gauge { return c.Metrics().Gauge(name) }

// Histogram declares a histogram; see [MetricGroup].
func (c *OpenContext) Histogram(name string) Histogram { return c.Metrics().Histogram(name) }

// Group returns a group within the group: its metrics are called "name.metric".
func (g MetricGroup) Group(name string) MetricGroup {
	return MetricGroup{p: g.p, prefix: g.prefix + name + "."}
}

// Counter declares a counter.
func (g MetricGroup) Counter(name string) Counter { return Counter{g.p.Counter(g.named(name))} }

// Gauge declares a gauge.
func (g MetricGroup) Gauge(name string) Gauge { return Gauge{g.p.Gauge(g.named(name))} }

// Histogram declares a histogram.
func (g MetricGroup) Histogram(name string) Histogram {
	return Histogram{g.p.Histogram(g.named(name))}
}

// named returns a metric's full name; one without a name has none in a group either.
func (g MetricGroup) named(name string) string {
	if name == "" {
		return ""
	}
	return g.prefix + name
}

// Counter counts. It is used by the methods of its function; what it counted is shown
// after each batch of records, the sum over all subtasks.
type Counter struct{ c *task.Counter }

// Inc adds 1.
func (c Counter) Inc() { c.c.Add(1) }

// Add adds n, which may be negative.
func (c Counter) Add(n int64) { c.c.Add(n) }

// Count returns what this subtask has counted.
func (c Counter) Count() int64 { return c.c.Count() }

// Gauge is a value that rises and falls. It is used by the methods of its function;
// the smallest and the largest of all subtasks are shown, and their sum.
type Gauge struct{ g *task.Gauge }

// Set sets the value.
func (g Gauge) Set(value float64) { g.g.Set(value) }

// Histogram counts how values are distributed: their smallest and largest and their
// quantiles, over all subtasks, since the start. It is used by the methods of its
// function. Values are integers, in a unit of your own, and negative ones count as 0;
// a quantile is at most a sixteenth too low.
type Histogram struct{ h *task.Histogram }

// Record counts a value.
func (h Histogram) Record(value int64) { h.h.Record(value) }
