package answers

import (
	"fmt"
	"math"
	"path/filepath"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/file"
)

// quake is a line of usgs-quakes-2018w05.jsonl.gz, which is in the order of
// updated: times are up to 160 hours out of order.
type quake struct {
	Time      int64   `json:"time"` // ms since the epoch
	Net       string  `json:"net"`
	Magnitude float64 `json:"mag"`
}

// quakeSum are the earthquakes that a network of seismometers has told of.
type quakeSum struct {
	Net        string
	Window     weir.Window
	Seq        int64
	Count      int64
	SumMagX100 int64
}

type countQuakes struct{}

func (countQuakes) Add(a *quakeSum, q numbered[quake]) {
	a.Seq = q.Seq
	a.Count++
	a.SumMagX100 += int64(math.Round(q.Value.Magnitude * 100))
}

func (countQuakes) Merge(a, b *quakeSum) {
	a.Count += b.Count
	a.SumMagX100 += b.SumMagX100
}

func (countQuakes) Subtract(a, b *quakeSum) {
	a.Count -= b.Count
	a.SumMagX100 -= b.SumMagX100
}

func (countQuakes) Result(net string, w weir.Window, a *quakeSum) quakeSum {
	r := *a
	r.Net, r.Window = net, w
	return r
}

// maxQuakes is countQuakes with the largest magnitude in place of the sum. There is
// nothing to subtract from a largest value.
type maxQuakes struct{}

func (maxQuakes) Add(a *quakeSum, q numbered[quake]) {
	mag := int64(math.Round(q.Value.Magnitude * 100))
	if a.Count == 0 {
		a.SumMagX100 = mag
	}
	a.Count++
	a.SumMagX100 = max(a.SumMagX100, mag)
}

func (maxQuakes) Merge(a, b *quakeSum) {
	if a.Count == 0 {
		*a = *b
		return
	}
	a.Count += b.Count
	a.SumMagX100 = max(a.SumMagX100, b.SumMagX100)
}

func (maxQuakes) Result(net string, w weir.Window, a *quakeSum) quakeSum {
	return countQuakes{}.Result(net, w, a)
}

func quakes(env *weir.Env, data string, sink weir.Sink[string]) {
	const gap = 30 * time.Minute
	at := func(q quake) int64 { return q.Time }
	read := weir.From(env, "quakes", file.JSONLines[quake](filepath.Join(data, "usgs-quakes-2018w05.jsonl.gz"))).Parallelism(1)
	numbers := number(read.WithWatermarks(weir.BoundedOutOfOrderness(168*time.Hour), at).Parallelism(1))
	spread := numbers.Rebalance().Filter(func(numbered[quake]) bool { return true }).Name("spread")
	net := func(q numbered[quake]) string { return q.Value.Net }
	byNet := spread.KeyBy(net)
	windowed := func(q quakeSum) string {
		return fmt.Sprintf("%d,%s,%d,%d", q.Window.Start, q.Net, q.Count, q.SumMagX100)
	}

	rows(byNet.Window(weir.Tumbling(time.Hour)).Aggregate(maxQuakes{}), "quakes_tumbling_1h_net", windowed, sink)
	rows(byNet.Window(weir.Sliding(6*time.Hour, time.Hour)).Aggregate(countQuakes{}), "quakes_sliding_6h_1h_net", windowed, sink)
	rows(byNet.Window(weir.Session(gap)).Aggregate(countQuakes{}), "quakes_session_30m_net", func(q quakeSum) string {
		return fmt.Sprintf("%d,%s,%d,%d,%d", q.Window.Start, q.Net, q.Window.End-gap.Milliseconds(), q.Count, q.SumMagX100)
	}, sink)
	rows(numbers.KeyBy(net).Aggregate(countQuakes{}), "quakes_running_net", func(q quakeSum) string {
		return fmt.Sprintf("%d,%s,%d,%d", q.Seq, q.Net, q.Count, q.SumMagX100)
	}, sink)
	bounds := []time.Duration{0, time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 48 * time.Hour, 72 * time.Hour, 96 * time.Hour, 120 * time.Hour, 144 * time.Hour, 168 * time.Hour}
	lateness(read, at, bounds, "quakes_lateness_1h", sink)
}
