package answers

import (
	"path/filepath"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/file"
)

// enRoute are flights of a carrier: all departures, and those whose arrival is known.
type enRoute struct {
	Carrier             string
	Departures, Matched int64
	Minutes             int64 // from departure to arrival
	Delay               int64 // at arrival
}

// whole is a window that holds everything.
const whole = 100 * 365 * 24 * time.Hour

// joined joins each departure with its arrival, if there is one.
func joined(env *weir.Env, data string, departures weir.Stream[departure]) weir.Stream[enRoute] {
	arrivals := weir.From(env, "arrivals", file.CSV[arrival](filepath.Join(data, "nyc-arrivals-2013.csv.gz"))).Parallelism(1).
		WithWatermarks(weir.MonotonousTimestamps(), func(a arrival) time.Time { return a.At }).Parallelism(1)
	return departures.WithWatermarks(weir.MonotonousTimestamps(), departure.actual).Parallelism(1).
		Connect(arrivals).
		KeyBy(func(d departure) int64 { return d.ID }, func(a arrival) int64 { return a.ID }).
		Process(func() *flightJoin { return &flightJoin{} }).ID("join").
		KeyBy(func(e enRoute) string { return e.Carrier }).
		Window(weir.Tumbling(whole)).
		Reduce(func(a, b enRoute) enRoute {
			a.Departures += b.Departures
			a.Matched += b.Matched
			a.Minutes += b.Minutes
			a.Delay += b.Delay
			return a
		})
}

// flightJoin tells of a departure when it comes, and of its arrival when that does.
type flightJoin struct {
	departed weir.ValueState[departure]
	arrived  weir.ValueState[arrival]
}

func (f *flightJoin) Open(ctx *weir.KeyedOpenContext[int64]) error {
	f.departed = ctx.ValueState[departure]("departed")
	f.arrived = ctx.ValueState[arrival]("arrived")
	return nil
}

func (f *flightJoin) Process1(_ *weir.KeyedContext[int64], d departure, emit func(enRoute)) error {
	emit(enRoute{Carrier: d.Carrier, Departures: 1})
	if a, ok := f.arrived.Get(); ok {
		emit(matched(d, a))
		f.arrived.Clear()
		return nil
	}
	f.departed.Set(d)
	return nil
}

func (f *flightJoin) Process2(_ *weir.KeyedContext[int64], a arrival, emit func(enRoute)) error {
	if d, ok := f.departed.Get(); ok {
		emit(matched(d, a))
		f.departed.Clear()
		return nil
	}
	f.arrived.Set(a)
	return nil
}

func matched(d departure, a arrival) enRoute {
	e := enRoute{Carrier: d.Carrier, Matched: 1, Minutes: int64(a.At.Sub(d.Actual).Minutes())}
	if a.Delay != nil {
		e.Delay = *a.Delay
	}
	return e
}
