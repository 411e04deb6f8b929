package workload

import (
	"flag"
	"fmt"
)

// Params are the parameters of the work.
type Params struct {
	// Events is the number of events of each split.
	Events int64
	// Keys is the number of distinct keys.
	Keys uint64
	// Window is the size of the windows, in ms of event time.
	Window int64
	// Rate is the number of events in a second of event time, over two splits.
	Rate int64
}

// Flags defines the flags -n, -keys, -window and -evrate, with their defaults.
func (p *Params) Flags(flags *flag.FlagSet) {
	flags.Int64Var(&p.Events, "n", 50_000_000, "the `number` of events of each split")
	flags.Uint64Var(&p.Keys, "keys", 100_000, "the `number` of distinct keys")
	flags.Int64Var(&p.Window, "window", 1000, "the size of the windows in `ms` of event time")
	flags.Int64Var(&p.Rate, "evrate", 1_000_000, "the `number` of events in a second of event time")
}

// Arguments are the arguments that [Params.Flags] reads p from.
func (p Params) Arguments() []string {
	return []string{
		"-n", fmt.Sprint(p.Events), "-keys", fmt.Sprint(p.Keys), "-window", fmt.Sprint(p.Window), "-evrate", fmt.Sprint(p.Rate),
	}
}

// Check returns an error if there is no work with these parameters.
func (p Params) Check() error {
	switch {
	case p.Events < 1:
		return fmt.Errorf("-n %d: there must be at least one event", p.Events)
	case p.Keys < 1:
		return fmt.Errorf("-keys %d: there must be at least one key", p.Keys)
	case p.Window < 1:
		return fmt.Errorf("-window %d: a window must have at least 1 ms", p.Window)
	case p.Rate < 1:
		return fmt.Errorf("-evrate %d: there must be at least one event in a second", p.Rate)
	case p.Events > (1<<63-1)/2000:
		return fmt.Errorf("-n %d: event times would overflow", p.Events)
	}
	return nil
}

// Event is the record of the benchmark: 32 bytes.
type Event struct {
	Key uint64
	// Time is the event time in ms since the epoch.
	Time  int64
	Value int64
	// Rest makes an event as large as a small record of an application.
	Rest uint64
}

// Generator makes the events of one split. Make one with [Params.Split].
type Generator struct {
	params Params
	next   int64
	x      uint64
}

// Split returns a generator of the events of a split. Splits count from 0.
func (p Params) Split(split int) *Generator {
	return &Generator{params: p, x: uint64(split)*7919 + 1}
}

// Fill stores the next events in events, and returns how many; it is 0 after the
// last.
func (g *Generator) Fill(events []Event) int {
	left := g.params.Events - g.next
	events = events[:min(left, int64(len(events)))]
	i, x, keys, rate := g.next, g.x, g.params.Keys, g.params.Rate
	for j := range events {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		events[j] = Event{Key: x % keys, Time: i * 2000 / rate, Value: int64(x >> 40), Rest: x}
		i++
	}
	g.next, g.x = i, x
	return len(events)
}

// Progress returns how many events were made, and how many there are.
func (g *Generator) Progress() (done, total uint64) {
	return uint64(g.next), uint64(g.params.Events)
}
