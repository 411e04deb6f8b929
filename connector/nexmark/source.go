package nexmark

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/generator"
)

// OutOfOrderness is the bound, for [weir.BoundedOutOfOrderness], with which the
// watermark after an event is the event's time less 4 s, as the benchmark wants
// it. The events of one split are in order, so none is ever late.
const OutOfOrderness = 4*time.Second - time.Millisecond

const (
	defaultSeed = 1
	defaultRate = 10_000
	// defaultBase is 2015-07-14T23:59:30Z, half a minute before midnight, in ms
	// since 1970.
	defaultBase = 1436918370000

	// maxEvents keeps times below 2⁶³ ms: 9e15 events at one per second, and as
	// much again to the year 9999.
	maxEvents = 9_000_000_000_000_000
	maxYear   = 9999
)

// Source is a source of events. Make one with [Events]. It may be used
// concurrently.
type Source struct {
	count int64
	seed  uint64
	rate  int64 // events per second of event time
	base  int64 // the time of event 0, in ms since 1970
	// numbers makes the numbers of the events, at the pace of the source.
	numbers generator.Generator[int64]
	err     error
}

// Events returns a source of the first count events, or of events without end if
// count is negative, with seed 1, 10,000 events per second of event time, the
// first at 2015-07-14T23:59:30Z, and made as fast as the job takes them. A source
// makes at most 9e15 events.
func Events(count int64) Source {
	s := Source{
		count:   count,
		seed:    defaultSeed,
		rate:    defaultRate,
		base:    defaultBase,
		numbers: generator.Of(count, func(i int64) int64 { return i }),
	}
	if count > maxEvents {
		s.err = fmt.Errorf("the count is %d events; it is at most %d, or negative for events without end", count, int64(maxEvents))
	}
	return s
}

// Seed returns the source with another seed: other events in the same
// proportions.
func (s Source) Seed(seed uint64) Source {
	s.seed = seed
	return s
}

// EventRate returns the source with another number of events per second of event
// time, from 1 on. It has nothing to do with how fast events are made, which
// [Source.Rate] says.
func (s Source) EventRate(perSecond int64) Source {
	if perSecond < 1 {
		s.err = errors.Join(s.err, fmt.Errorf("the event rate is %d events per second of event time; it is at least 1", perSecond))
	}
	s.rate = perSecond
	return s
}

// Start returns the source with another time of event 0, to the millisecond, in
// one of the years 1 to 9999.
func (s Source) Start(t time.Time) Source {
	if year := t.UTC().Year(); year < 1 || year > maxYear {
		s.err = errors.Join(s.err, fmt.Errorf("event 0 is in the year %d; it is between 1 and %d", year, maxYear))
	}
	s.base = t.UnixMilli()
	return s
}

// Rate returns the source with a rate at which events are made, over all
// subtasks, between 1e-9 and 1e9 per second; see [generator.Generator.Rate]. With
// the rate of [Source.EventRate], event time goes as fast as the clock.
func (s Source) Rate(perSecond float64) Source {
	s.numbers = s.numbers.Rate(perSecond)
	return s
}

// Event returns the event of a number from 0 on, also one beyond the count. It
// panics if the number is negative or 9e15 or more, or if [Source.Validate] fails.
func (s Source) Event(seq int64) Event {
	if err := s.Validate(); err != nil {
		panic(err)
	}
	if seq < 0 || seq >= maxEvents {
		panic(noSuchEvent(seq))
	}
	var ev Event
	s.maker().make(&ev, uint64(seq))
	return ev
}

func noSuchEvent(seq int64) error {
	return fmt.Errorf("there is no event %d: numbers are between 0 and %d", seq, int64(maxEvents-1))
}

func (s Source) maker() *maker {
	return &maker{mixedSeed: mix(s.seed), rate: uint64(s.rate), base: s.base, tables: sharedTables()}
}

// Validate implements [weir.Validator]: it returns what is wrong with the count,
// the rates and the start.
func (s Source) Validate() error {
	if s.rate == 0 && s.err == nil {
		return errors.New("a source of Nexmark events: it has no event rate; make it with nexmark.Events")
	}
	if err := errors.Join(s.err, s.numbers.Validate()); err != nil {
		return fmt.Errorf("a source of Nexmark events: %w", err)
	}
	return nil
}

// Bounded implements [weir.Source]: it reports whether there is a count.
func (s Source) Bounded() bool { return s.count >= 0 }

// Splits implements [weir.Source]: one for each subtask.
func (s Source) Splits(ctx context.Context, parallelism int) ([]weir.Split, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return s.numbers.Splits(ctx, parallelism)
}

// Open implements [weir.Source].
func (s Source) Open(ctx context.Context, split weir.Split, position []byte) (weir.Reader[Event], error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	numbers, err := s.numbers.Open(ctx, split, position)
	if err != nil {
		return nil, fmt.Errorf("a source of Nexmark events: %w", err)
	}
	r := reader{numbers: numbers, maker: s.maker()}
	notifier, paced := numbers.(weir.Notifier)
	progresser, bounded := numbers.(weir.Progresser)
	switch {
	case paced && bounded:
		return &boundedPacedReader{r, notifier, progresser}, nil
	case paced:
		return &pacedReader{r, notifier}, nil
	case bounded:
		return &boundedReader{r, progresser}, nil
	default:
		return &r, nil
	}
}
