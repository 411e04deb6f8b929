package task

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/dataflow"
)

// keyedFunction is a function of the tests, which gets at the engine directly.
type keyedFunction[T, O any] func(k *Keyed[int64], v T, emit func(O)) error

func (f keyedFunction[T, O]) Process(k *Keyed[int64], v T, emit func(O)) error { return f(k, v, emit) }

// timerFunction is what the tests do when a timer fires.
type timerFunction[O any] func(k *Keyed[int64], t int64, domain TimeDomain, emit func(O)) error

// keyedProcess builds a process function with one key selector.
func keyedProcess[T, O any](t testing.TB, ctx *Context, keys KeySelector[int64, T], out Receiver[O], open func(*Keyed[int64]), f keyedFunction[T, O], onTimer timerFunction[O]) (Receiver[T], *Keyed[int64]) {
	t.Helper()
	var k *Keyed[int64]
	op := KeyedProcess[*Keyed[int64], int64, T, O]{
		Node: &dataflow.Node{Kind: "keyed process", Name: "test"}, Keys: keys,
		New: func(made *Keyed[int64]) (ProcessFunction[*Keyed[int64], T, O], Instance[*Keyed[int64], O]) {
			k = made
			i := Instance[*Keyed[int64], O]{Context: k, Open: func() error { open(k); return nil }}
			if onTimer != nil {
				i.OnTimer = func(t int64, d TimeDomain, emit func(O)) error { return onTimer(k, t, d, emit) }
			}
			return f, i
		},
	}
	in := must[Inputs](t)(op.Build(ctx, to(out)))
	return in[0].(Receiver[T]), k
}

func numbersByKey(t testing.TB) KeySelector[int64, int64] {
	t.Helper()
	return must[KeySelector[int64, int64]](t)(NewKeySelector(func(v int64) int64 { return v }))
}

// Timers fire in the order of their times and then of their registration, in chunks;
// what is registered or deleted meanwhile counts; the watermark comes behind all, and
// says its new value before.
func TestTimersFireInChunks(t *testing.T) {
	ctx, out := testContext(t), &recorder[string]{}
	r, _ := keyedProcess(t, ctx, numbersByKey(t), Receiver[string](out), func(*Keyed[int64]) {},
		func(k *Keyed[int64], v int64, _ func(string)) error {
			k.RegisterTimer(100-v, EventTimeDomain)
			k.RegisterTimer(100-v, EventTimeDomain)
			return nil
		},
		func(k *Keyed[int64], at int64, d TimeDomain, emit func(string)) error {
			if k.Watermark() != 200 || d != EventTimeDomain {
				return fmt.Errorf("watermark %d in domain %d", k.Watermark(), d)
			}
			emit(fmt.Sprint(k.Key(), "@", at))
			switch {
			case k.Key() == 8 && at == 92:
				k.DeleteTimer(500, EventTimeDomain)  // which is not there
				k.RegisterTimer(93, EventTimeDomain) // before what is left
				k.RegisterTimer(200, EventTimeDomain)
				k.RegisterTimer(201, EventTimeDomain) // waits for its watermark
			case k.Key() == 8 && at == 93:
				k.DeleteTimer(200, EventTimeDomain)
				k.RegisterTimer(200, EventTimeDomain)
			}
			return nil
		})
	values := []int64{3, 8, 5, 3}
	if err := r.Push(values, []int64{1, 2, 3, 4}); err != nil {
		t.Fatal(err)
	}
	if err := r.Watermark(200); err != nil {
		t.Fatal(err)
	}
	if len(out.watermarks) > 0 {
		t.Fatal("the watermark overtook its results")
	}
	if chunks := finish(t, ctx, 2); !slices.Equal(chunks, []int{2, 2, 1}) {
		t.Errorf("chunks of %v timers", chunks)
	}
	if want := []string{"8@92", "8@93", "5@95", "3@97", "8@200"}; !slices.Equal(out.values(), want) {
		t.Errorf("fired %v, want %v", out.values(), want)
	}
	for _, v := range out.records {
		if _, at, ok := cutAt(v.Value); !ok || at != v.Time {
			t.Errorf("%v has another time than its timer", v)
		}
	}
	if !slices.Equal(out.watermarks, []int64{200}) || out.marks[0] != 5 {
		t.Errorf("watermarks %v behind %v results", out.watermarks, out.marks)
	}
}

func cutAt(s string) (key, at int64, ok bool) {
	n, err := fmt.Sscanf(s, "%d@%d", &key, &at)
	return key, at, n == 2 && err == nil
}

// Random timers of random keys, registered and deleted by records and by timers, fire
// as in a sorted list.
func TestTimersAgainstAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		keys := rapid.Int64Range(1, 30).Draw(rt, "keys")
		limit := rapid.IntRange(1, 50).Draw(rt, "chunk")
		ctx, out := testContext(t), &recorder[string]{}
		// Both draw the same numbers, as long as they do the same.
		type set struct {
			add, remove func(key, t int64)
		}
		act := func(r *rand.Rand, s set, key, now int64) {
			for range r.IntN(3) {
				at := now - 3 + r.Int64N(20)
				if r.IntN(3) == 0 {
					s.remove(key, at)
				} else {
					s.add(key, at)
				}
			}
		}
		real, ideal := rand.New(rand.NewPCG(seed, 2)), rand.New(rand.NewPCG(seed, 2))
		registered := func(k *Keyed[int64]) set {
			return set{
				add:    func(_, at int64) { k.RegisterTimer(at, EventTimeDomain) },
				remove: func(_, at int64) { k.DeleteTimer(at, EventTimeDomain) },
			}
		}
		r, _ := keyedProcess(t, ctx, numbersByKey(t), Receiver[string](out), func(*Keyed[int64]) {},
			func(k *Keyed[int64], v int64, _ func(string)) error {
				now, _ := k.EventTime()
				act(real, registered(k), v, now)
				return nil
			},
			func(k *Keyed[int64], at int64, _ TimeDomain, emit func(string)) error {
				emit(fmt.Sprint(k.Key(), "@", at))
				if real.IntN(3) == 0 {
					act(real, registered(k), k.Key(), at)
				}
				return nil
			})
		var model modelTimers
		inModel := set{
			add:    func(key, at int64) { model.add(fmt.Sprint(key), at) },
			remove: func(key, at int64) { model.remove(fmt.Sprint(key), at) },
		}
		var want []string
		for now := int64(0); now < 100; now += 10 {
			values, times := make([]int64, 40), make([]int64, 40)
			for i := range values {
				values[i], times[i] = (now*13+int64(i)*7)%keys, now+int64(i%10)
				act(ideal, inModel, values[i], times[i])
			}
			if err := errors.Join(r.Push(values, times), r.Watermark(now)); err != nil {
				rt.Fatal(err)
			}
			finish(t, ctx, limit)
			for len(model.list) > 0 && model.list[0].time <= now {
				first := model.list[0]
				model.list = model.list[1:]
				want = append(want, fmt.Sprint(first.key, "@", first.time))
				if ideal.IntN(3) == 0 {
					var key int64
					_, _ = fmt.Sscan(first.key, &key)
					act(ideal, inModel, key, first.time)
				}
			}
		}
		if !slices.Equal(out.values(), want) {
			rt.Fatalf("fired\n%v, want\n%v", out.values(), want)
		}
	})
}

// Timers of processing time fire when the clock says so, are not fired twice, and give
// what they emit no event time.
func TestProcessingTimeTimers(t *testing.T) {
	ctx, out := testContext(t), &recorder[string]{}
	now := int64(1000)
	ctx.wall = func() int64 { return now }
	r, _ := keyedProcess(t, ctx, numbersByKey(t), Receiver[string](out), func(*Keyed[int64]) {},
		func(k *Keyed[int64], v int64, _ func(string)) error {
			k.RegisterTimer(1000+10*v, ProcessingTimeDomain)
			if v == 4 {
				k.DeleteTimer(1040, ProcessingTimeDomain)
			}
			return nil
		},
		func(k *Keyed[int64], at int64, d TimeDomain, emit func(string)) error {
			emit(fmt.Sprint(k.Key(), "@", at, " at ", k.ProcessingTime(), " in ", d))
			if k.Key() == 1 && at < 1025 {
				k.RegisterTimer(at+8, ProcessingTimeDomain)
			}
			return nil
		})
	if err := r.Push([]int64{3, 5, 1, 2, 4, 3}, make([]int64, 6)); err != nil {
		t.Fatal(err)
	}
	for {
		next, err := ctx.ring()
		if err != nil {
			t.Fatal(err)
		}
		if len(ctx.postponed) > 0 {
			finish(t, ctx, 1)
			continue
		}
		if next == MaxTime {
			break
		}
		now = next
	}
	want := []string{"1@1010 at 1010 in 1", "1@1018 at 1018 in 1", "2@1020 at 1020 in 1", "1@1026 at 1026 in 1", "3@1030 at 1030 in 1", "5@1050 at 1050 in 1"}
	if !slices.Equal(out.values(), want) {
		t.Errorf("fired %q, want %q", out.values(), want)
	}
	for _, v := range out.records {
		if v.Time != NoTime {
			t.Errorf("%v has an event time", v)
		}
	}
}

// A state is, for each key, what a variable of a map would be.
func TestKeyedStateAgainstAMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ctx := testContext(t)
		var a, b *KeyedState[[]int64]
		model := [2]map[int64][]int64{{}, {}}
		ops := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(0, 5), 1, 4), 1, 300).Draw(rt, "ops")
		keys := rapid.Int64Range(1, 3000).Draw(rt, "keys")
		step := 0
		r, _ := keyedProcess(t, ctx, numbersByKey(t), Receiver[int64](sink[int64]{}),
			func(k *Keyed[int64]) {
				a = DeclareState[int64, []int64](k, StateDescriptor{Kind: "state", Name: "a"}, nil)
				b = DeclareState[int64, []int64](k, StateDescriptor{Kind: "state", Name: "b"}, nil)
			},
			func(_ *Keyed[int64], key int64, _ func(int64)) error {
				for i, op := range ops[step] {
					s, m := a, model[0]
					if op%2 == 1 {
						s, m = b, model[1]
					}
					want, has := m[key]
					if got := s.Read(); (got != nil) != has || has && !slices.Equal(*got, want) {
						return fmt.Errorf("step %d: key %d is %v, want %v %t", step, key, got, want, has)
					}
					switch op / 2 {
					case 0:
						got, made := s.Change()
						if made == has {
							return fmt.Errorf("step %d: key %d was there: %t; made: %t", step, key, has, made)
						}
						*got = append(*got, int64(i))
						m[key] = append(m[key], int64(i))
					case 1:
						s.Remove()
						delete(m, key)
					}
				}
				step++
				return nil
			}, nil)
		values := make([]int64, len(ops))
		for i := range values {
			values[i] = int64(i*i) % keys
		}
		if err := r.Push(values, make([]int64, len(values))); err != nil {
			rt.Fatal(err)
		}
		table := a.backend.(*memoryState[int64, []int64]).table
		got := map[int64][]int64{}
		for i, ok := table.Next(0); ok; i, ok = table.Next(i + 1) {
			got[*table.KeyAt(i)] = *table.At(i)
		}
		if !maps.EqualFunc(got, model[0], slices.Equal) {
			rt.Fatalf("state is %v, want %v", got, model[0])
		}
	})
}

// countedProcess is a function with a count per key, as users write them.
func countedProcess(t testing.TB, timers bool) func() error {
	t.Helper()
	values, times := batchOf(1000)
	var count *KeyedState[int64]
	r, _ := keyedProcess(t, testContext(t), byField(t), Receiver[int64](sink[int64]{}),
		func(k *Keyed[int64]) {
			count = DeclareState[int64, int64](k, StateDescriptor{Kind: "value state", Name: "count"}, nil)
		},
		func(k *Keyed[int64], v event, emit func(int64)) error {
			n := v.Value
			if c := count.Read(); c != nil {
				n += *c
			}
			c, _ := count.Change()
			*c = n
			if timers {
				k.RegisterTimer(v.Time+10, EventTimeDomain)
				k.DeleteTimer(v.Time+9, EventTimeDomain)
			}
			emit(n)
			return nil
		},
		func(*Keyed[int64], int64, TimeDomain, func(int64)) error { return nil })
	return func() error { return r.Push(values, times) }
}

func TestKeyedProcessAllocatesNothing(t *testing.T) {
	for _, timers := range []bool{false, true} {
		f := countedProcess(t, timers)
		t.Run(fmt.Sprintf("timers %t", timers), func(t *testing.T) { checkAllocations(t, 0, nil, f) })
	}
}

func BenchmarkKeyedProcess(b *testing.B) {
	for _, timers := range []bool{false, true} {
		b.Run(fmt.Sprintf("timers=%t", timers), func(b *testing.B) {
			f := countedProcess(b, timers)
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/BatchSize, "ns/record")
		})
	}
}
