package answers

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/file"
)

// departure is a row of nyc-departures-2013.csv.gz, which is in the order of Actual:
// Scheduled is up to 22 hours out of order.
type departure struct {
	Actual    time.Time `csv:"dep_utc"`
	ID        int64     `csv:"id"`
	Scheduled time.Time `csv:"sched_utc"`
	Origin    string    `csv:"origin"`
	Carrier   string    `csv:"carrier"`
	Tail      string    `csv:"tailnum"`
	Delay     int64     `csv:"dep_delay_min"`
}

func (d departure) actual() time.Time    { return d.Actual }
func (d departure) scheduled() time.Time { return d.Scheduled }
func (d departure) origin() string       { return d.Origin }
func (d departure) carrier() string      { return d.Carrier }
func (d departure) tail() string         { return d.Tail }

// arrival is a row of nyc-arrivals-2013.csv.gz, in the order of At.
type arrival struct {
	At    time.Time `csv:"arr_utc"`
	ID    int64     `csv:"id"`
	Delay *int64    `csv:"arr_delay_min"` // nil where it is not known
}

// delays are what an answer needs of some departures.
type delays struct {
	Key                   string
	Window                weir.Window
	Day                   int64 // of the last departure, in ms since the epoch
	Count, Sum, Max, Late int64 // Late: by a quarter of an hour or more
}

type countDelays struct{}

func (countDelays) Add(a *delays, d departure) {
	if a.Count == 0 {
		a.Max = d.Delay
	}
	a.Day = d.Actual.Truncate(24 * time.Hour).UnixMilli()
	a.Count++
	a.Sum += d.Delay
	a.Max = max(a.Max, d.Delay)
	if d.Delay >= 15 {
		a.Late++
	}
}

func (countDelays) Merge(a, b *delays) {
	if a.Count == 0 {
		*a = *b
		return
	}
	a.Count += b.Count
	a.Sum += b.Sum
	a.Max = max(a.Max, b.Max)
	a.Late += b.Late
}

func (countDelays) Result(key string, w weir.Window, a *delays) delays {
	r := *a
	r.Key, r.Window = key, w
	return r
}

func nyc(env *weir.Env, data string, sink weir.Sink[string]) {
	const gap = 72*time.Hour + 30*time.Second
	read := weir.From(env, "departures", file.CSV[departure](filepath.Join(data, "nyc-departures-2013.csv.gz"))).Parallelism(1)
	timed := read.WithWatermarks(weir.BoundedOutOfOrderness(24*time.Hour), departure.scheduled).Parallelism(1)
	spread := timed.Rebalance().Filter(func(departure) bool { return true }).Name("spread")

	rows(spread.KeyBy(departure.origin).Window(weir.Tumbling(time.Hour)).Aggregate(countDelays{}),
		"nyc_tumbling_1h_origin", func(d delays) string {
			return fmt.Sprintf("%d,%s,%d,%d,%d", d.Window.Start, d.Key, d.Count, d.Sum, d.Max)
		}, sink)
	rows(spread.KeyBy(departure.carrier).Window(weir.Sliding(24*time.Hour, 6*time.Hour)).Aggregate(countDelays{}),
		"nyc_sliding_24h_6h_carrier", func(d delays) string {
			return fmt.Sprintf("%d,%s,%d,%d,%d", d.Window.Start, d.Key, d.Count, d.Sum, d.Late)
		}, sink)
	rows(spread.KeyBy(departure.tail).Window(weir.Session(gap)).Aggregate(countDelays{}),
		"nyc_session_72h30s_tailnum", func(d delays) string {
			return fmt.Sprintf("%d,%s,%d,%d,%d", d.Window.Start, d.Key, d.Window.End-gap.Milliseconds(), d.Count, d.Sum)
		}, sink)

	rows(lastOfDay(read.WithWatermarks(weir.MonotonousTimestamps(), departure.actual).Parallelism(1).
		KeyBy(departure.carrier).Aggregate(countDelays{})),
		"nyc_running_carrier_daily", func(d delays) string {
			return fmt.Sprintf("%d,%s,%d,%d", d.Day, d.Key, d.Count, d.Sum)
		}, sink)
	rows(joined(env, data, read), "nyc_join_carrier", func(e enRoute) string {
		return fmt.Sprintf("%s,%d,%d,%d,%d", e.Carrier, e.Departures, e.Matched, e.Minutes, e.Delay)
	}, sink)

	minutes := []int64{0, 5, 10, 15, 30, 60, 120, 180, 240, 360, 480, 720, 1440}
	var bounds []time.Duration
	for _, m := range minutes {
		bounds = append(bounds, time.Duration(m)*time.Minute)
	}
	lateness(read, func(d departure) int64 { return d.Scheduled.UnixMilli() }, bounds, "nyc_lateness_1h", sink)
}

// lastOfDay keeps of the running sums of each carrier the last one of each day.
func lastOfDay(running weir.Stream[delays]) weir.Stream[delays] {
	return running.KeyBy(func(d delays) string { return d.Key }).
		Window(weir.Tumbling(24 * time.Hour)).
		Reduce(func(a, b delays) delays {
			if b.Count > a.Count {
				return b
			}
			return a
		}).Name("last of day")
}
