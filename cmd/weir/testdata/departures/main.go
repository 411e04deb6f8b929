// Departures is the job of the test of exact answers: departures of an airport
// in an hour, with the sum and the largest of their delays.
package main

import (
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/file"
	"github.com/weirstream/weir/connector/stdout"
)

func main() {
	weir.Main("departures", func(env *weir.Env) {
		weir.From(env, "departures", file.CSV[departure](env.Args()[0])).
			WithWatermarks(weir.BoundedOutOfOrderness(24*time.Hour), func(d departure) time.Time { return d.Scheduled }).
			Rebalance().
			Filter(func(departure) bool { return true }).Name("spread").
			KeyBy(func(d departure) string { return d.Origin }).
			Window(weir.Tumbling(time.Hour)).
			Aggregate(delays{}).ID("by-hour").
			To("rows", stdout.JSON[row]())
	})
}

type departure struct {
	Scheduled time.Time `csv:"sched_utc"`
	Origin    string    `csv:"origin"`
	Delay     int64     `csv:"dep_delay_min"`
}

type row struct {
	Start           int64
	Origin          string
	Count, Sum, Max int64
}

type sums struct{ Count, Sum, Max int64 }

type delays struct{}

func (delays) Init(s *sums) { s.Max = -1 << 62 }

func (delays) Add(s *sums, d departure) {
	s.Count++
	s.Sum += d.Delay
	s.Max = max(s.Max, d.Delay)
}

func (delays) Merge(s, other *sums) {
	s.Count += other.Count
	s.Sum += other.Sum
	s.Max = max(s.Max, other.Max)
}

func (delays) Result(origin string, w weir.Window, s *sums) row {
	return row{w.Start, origin, s.Count, s.Sum, s.Max}
}
