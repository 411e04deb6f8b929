package weir_test

import (
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir"
)

// ticking is a source whose splits give a record every so often, the n-th of which
// is n times step.
type ticking struct {
	name  string
	every time.Duration
	step  int64
	n     int
	// splits have steps of their own, as many times the source's as their number.
	splits int
	// race is told what is read.
	race *race
}

func (t *ticking) Bounded() bool { return true }

func (t *ticking) Splits(context.Context, int) (all []weir.Split, err error) {
	for i := range max(1, t.splits) {
		all = append(all, weir.Split{ID: t.name + string(rune('a'+i)), Data: []byte{byte(i + 1)}})
	}
	return all, nil
}

func (t *ticking) Open(_ context.Context, s weir.Split, _ []byte) (weir.Reader[int64], error) {
	r := &tickingReader{source: t, id: s.ID, ready: make(chan struct{}, 1), step: t.step * int64(s.Data[0])}
	r.timer = time.AfterFunc(t.every, r.tick)
	return r, nil
}

type tickingReader struct {
	source *ticking
	id     string
	step   int64
	ready  chan struct{}
	timer  *time.Timer

	mu   sync.Mutex
	due  int
	read int
}

func (r *tickingReader) tick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.due++
	if r.read+r.due < r.source.n {
		r.timer.Reset(r.source.every)
	}
	select {
	case r.ready <- struct{}{}:
	default:
	}
}

// Read gives one record at a time.
func (r *tickingReader) Read(values []int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.due == 0 {
		return 0, nil
	}
	r.due--
	r.read++
	values[0] = int64(r.read) * r.step
	r.source.race.at(r.id, values[0])
	if r.read == r.source.n {
		r.source.race.finish(r.id)
		return 1, io.EOF
	}
	return 1, nil
}

func (r *tickingReader) Ready() <-chan struct{}    { return r.ready }
func (r *tickingReader) Position() ([]byte, error) { return nil, nil }
func (r *tickingReader) Close() error              { r.timer.Stop(); return nil }

// race notes by how much the first of several splits was ahead of the last, as long
// as none has ended.
type race struct {
	mu    sync.Mutex
	times map[string]int64
	lead  int64
	over  bool
	total int
}

func newRace(ids ...string) *race {
	r := &race{times: map[string]int64{}}
	for _, id := range ids {
		r.times[id] = 0
	}
	return r
}

func (r *race) at(id string, t int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total++
	if r.times[id] = t; r.over {
		return
	}
	low := t
	for _, other := range r.times {
		low = min(low, other)
	}
	r.lead = max(r.lead, t-low)
}

func (r *race) finish(string) { r.mu.Lock(); defer r.mu.Unlock(); r.over = true }

// TestAlignmentOfSources runs a whole program in virtual time: a source of a group
// that is ten times as fast waits for the other one, which is told through the
// JobManager; and it goes on when that has ended.
func TestAlignmentOfSources(t *testing.T) {
	const records, drift = 400, 5 * time.Second
	run := func(t *testing.T, strategy weir.WatermarkStrategy) (lead time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			r := newRace("fasta", "slowa")
			var got collect[int64]
			err := weir.Run(t.Context(), "aligned", func(env *weir.Env) {
				env.Parallelism(1)
				at := func(n int64) int64 { return n }
				fast := weir.From(env, "fast", &ticking{name: "fast", every: time.Millisecond, step: 1000, n: records, race: r}).
					WithWatermarks(strategy, at)
				slow := weir.From(env, "slow", &ticking{name: "slow", every: time.Millisecond, step: 100, n: records, race: r}).
					WithWatermarks(strategy, at)
				fast.Union(slow).To("sink", &got)
			}, weir.WithoutWarnings())
			if err != nil {
				t.Fatal(err)
			}
			if r.total != 2*records || len(got.rows) != 2*records {
				t.Errorf("%d records were read and %d arrived, want %d", r.total, len(got.rows), 2*records)
			}
			lead = time.Duration(r.lead) * time.Millisecond
		})
		return lead
	}
	const interval = 5 * time.Millisecond
	aligned := run(t, weir.MonotonousTimestamps().WithAlignment("g", drift, interval))
	// What it may be ahead of, it hears one interval late; and it may read a record.
	if most := 2*drift + 2*time.Second; aligned > most || aligned < drift-2*time.Second {
		t.Errorf("with a drift of %v the fast source was up to %v ahead, want about that and not more than %v", drift, aligned, most)
	}
	if free := run(t, weir.MonotonousTimestamps()); free < 300*time.Second {
		t.Errorf("without alignment the fast source was only %v ahead: the test says nothing", free)
	}
}

// TestAlignmentOfSplits: of the splits that a subtask reads, those that are ahead
// wait, without anybody outside.
func TestAlignmentOfSplits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const records, drift = 400, 5 * time.Second
		r := newRace("sa", "sb", "sc")
		source := &unbounded{ticking{name: "s", every: time.Millisecond, step: 1000, n: records, splits: 3, race: r}}
		var got collect[int64]
		e := newEngine(1, 1)
		_, err := e.run(t.Context(), func(env *weir.Env) {
			weir.From(env, "s", source).
				WithWatermarks(weir.MonotonousTimestamps().WithAlignment("g", drift, time.Second), func(n int64) int64 { return n }).
				To("sink", &got)
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.rows) != 3*records {
			t.Errorf("%d records arrived, want %d", len(got.rows), 3*records)
		}
		if lead := time.Duration(r.lead) * time.Millisecond; lead > drift+3*time.Second || lead < drift-3*time.Second {
			t.Errorf("with a drift of %v a split was up to %v ahead", drift, lead)
		}
	})
}

// unbounded gives all splits out at the start, although they end.
type unbounded struct{ ticking }

func (*unbounded) Bounded() bool { return false }
