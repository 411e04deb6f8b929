package recovery

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/weirstream/weir"
)

// event is a record. Every one is different.
type event struct {
	Split, Seq int64
	Key        int64
	Value      int64
	Time       int64 // in ms
}

// jitter is how far, in ms, a record may be behind the largest time before it.
const jitter = 50

// eventAt returns record seq of a split.
func eventAt(split, seq int64, keys int) event {
	r := rand.New(rand.NewPCG(uint64(split), uint64(seq)))
	return event{
		Split: split, Seq: seq, Key: int64(r.IntN(keys)), Value: int64(r.IntN(1000)),
		Time: 1_000_000 + seq*2 + int64(r.IntN(jitter)),
	}
}

// Events is a source of so many splits of so many records each, over which so many keys
// are spread.
type Events struct {
	Parts, Each int64
	Keys        int
	// PerSecond is how many records of a split are read in a second at most; 0 is no
	// limit.
	PerSecond int64
}

// Bounded is false so that all splits are read from the start: one that begins when
// another has ended would be late.
func (e Events) Bounded() bool { return false }

// Splits implements [weir.Source].
func (e Events) Splits(context.Context, int) (splits []weir.Split, err error) {
	for i := range e.Parts {
		splits = append(splits, weir.Split{ID: fmt.Sprintf("split %d", i), Data: binary.AppendVarint(nil, i)})
	}
	return splits, nil
}

// Open implements [weir.Source].
func (e Events) Open(_ context.Context, split weir.Split, position []byte) (weir.Reader[event], error) {
	number, _ := binary.Varint(split.Data)
	r := &eventReader{Events: e, split: number, ready: make(chan struct{}, 1), opened: time.Now()}
	if position != nil {
		r.next, _ = binary.Varint(position)
	}
	r.first = r.next
	return r, nil
}

type eventReader struct {
	Events
	split, first, next int64
	opened             time.Time
	ready              chan struct{}
	timer              *time.Timer
}

// Ready implements [weir.Notifier].
func (r *eventReader) Ready() <-chan struct{} { return r.ready }

func (r *eventReader) Read(values []event) (n int, err error) {
	due := r.Each
	if r.PerSecond > 0 {
		due = min(due, r.first+int64(time.Since(r.opened).Seconds()*float64(r.PerSecond)))
	}
	for n < len(values) && n < 32 && r.next < due {
		values[n] = eventAt(r.split, r.next, r.Keys)
		n++
		r.next++
	}
	if r.next == r.Each {
		return n, io.EOF
	}
	if n == 0 {
		r.timer = time.AfterFunc(time.Millisecond, func() {
			select {
			case r.ready <- struct{}{}:
			default:
			}
		})
	}
	return n, nil
}

func (r *eventReader) Position() ([]byte, error) { return binary.AppendVarint(nil, r.next), nil }

func (r *eventReader) Close() error {
	if r.timer != nil {
		r.timer.Stop()
	}
	return nil
}
