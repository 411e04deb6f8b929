package task

import (
	"fmt"
	"math/rand/v2"
)

// BroadcastExchange is an exchange in which every record goes to every channel.
type BroadcastExchange[T any] struct{ Records Records[T] }

// Writer implements [Exchange].
func (x BroadcastExchange[T]) Writer(ctx *Context, o *outlet) (any, error) {
	return &broadcastWriter[T]{newWriter(ctx, o, x.Records.lanes(o, false))}, nil
}

// Reader implements [Exchange].
func (x BroadcastExchange[T]) Reader(_ *Context, next any) (reader, error) {
	return x.Records.reader(next.(Receiver[T])), nil
}

// Direct implements [Exchange].
func (x BroadcastExchange[T]) Direct(next any, to signals) any { return x.Records.direct(next, to) }

type broadcastWriter[T any] struct{ writer[T] }

func (w *broadcastWriter[T]) Push(values []T, times []int64) error {
	for c := range w.outlet.channels {
		w.count(len(values))
		if err := w.lanes.fill(values, times, c); err != nil {
			return err
		}
	}
	return nil
}

// GlobalExchange is an exchange in which all records go to the first channel.
type GlobalExchange[T any] struct{ Records Records[T] }

// Writer implements [Exchange].
func (x GlobalExchange[T]) Writer(ctx *Context, o *outlet) (any, error) {
	return &globalWriter[T]{newWriter(ctx, o, x.Records.lanes(o, false))}, nil
}

// Reader implements [Exchange].
func (x GlobalExchange[T]) Reader(_ *Context, next any) (reader, error) {
	return x.Records.reader(next.(Receiver[T])), nil
}

// Direct implements [Exchange].
func (x GlobalExchange[T]) Direct(next any, to signals) any { return x.Records.direct(next, to) }

type globalWriter[T any] struct{ writer[T] }

func (w *globalWriter[T]) Push(values []T, times []int64) error {
	w.count(len(values))
	return w.lanes.fill(values, times, 0)
}

// ChoiceExchange is an exchange in which a function chooses each record's channel.
type ChoiceExchange[T any] struct {
	Records Records[T]
	// Chooser returns the function of a new writer: it stores the channel of each
	// value, which must be less than channels.
	Chooser func() func(values []T, channels int, to []uint32) error
}

// Writer implements [Exchange].
func (x ChoiceExchange[T]) Writer(ctx *Context, o *outlet) (any, error) {
	return &choiceWriter[T]{
		writer: newWriter(ctx, o, x.Records.lanes(o, false)),
		choose: x.Chooser(), to: make([]uint32, BatchSize),
	}, nil
}

// Reader implements [Exchange].
func (x ChoiceExchange[T]) Reader(_ *Context, next any) (reader, error) {
	return x.Records.reader(next.(Receiver[T])), nil
}

// Direct implements [Exchange].
func (x ChoiceExchange[T]) Direct(next any, to signals) any { return x.Records.direct(next, to) }

type choiceWriter[T any] struct {
	writer[T]
	choose func([]T, int, []uint32) error
	to     []uint32
}

func (w *choiceWriter[T]) Push(values []T, times []int64) error {
	w.count(len(values))
	to := w.to[:len(values)]
	if err := w.choose(values, w.outlet.channels, to); err != nil {
		return err
	}
	if w.outlet.channels == 1 {
		return w.lanes.fill(values, times, 0)
	}
	return w.lanes.scatter(values, times, to)
}

// AtRandom is a chooser for [ChoiceExchange]: each channel is as likely as any.
func AtRandom[T any]() func([]T, int, []uint32) error {
	// Each writer has a generator of its own, so that subtasks do not agree.
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	return func(_ []T, channels int, to []uint32) error {
		for i := range to {
			to[i] = random.Uint32N(uint32(channels))
		}
		return nil
	}
}

// ByFunction returns a chooser for [ChoiceExchange] that asks f for the channel of
// each value.
func ByFunction[T any](f func(value T, channels int) int) func() func([]T, int, []uint32) error {
	return func() func([]T, int, []uint32) error {
		return func(values []T, channels int, to []uint32) error {
			for i := range values {
				c := f(values[i], channels)
				if c < 0 || c >= channels {
					return fmt.Errorf("the partitioner returned %d for a record %v: it must be at least 0 and less than the number of partitions, %d", c, values[i], channels)
				}
				to[i] = uint32(c)
			}
			return nil
		}
	}
}
