package weir_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir"
)

// engines are one within a worker, and one over TCP between two, both with the least
// memory.
func engines(parallelism int) map[string]*engine {
	within, between := newEngine(1, parallelism), newEngine(2, parallelism)
	within.least, between.least = true, true
	return map[string]*engine{"within a worker": within, "over TCP": between}
}

func runJob(t *testing.T, e *engine, build func(*weir.Env)) {
	t.Helper()
	if _, err := e.run(t.Context(), build); err != nil {
		t.Fatal(err)
	}
}

// place puts the record v on subtask v modulo p of an operator with parallelism p.
func place(s weir.Stream[int], p int) weir.Stream[int] {
	return s.PartitionCustom(func(v, partitions int) int { return v % partitions }).
		Map(func(v int) int { return v }).Parallelism(p)
}

// wantPlaces checks which subtask of the sink got each of the numbers to n, and
// that each came once.
func wantPlaces(t *testing.T, got *collect[int], n int, where func(v int) int) {
	t.Helper()
	sameRows(t, "rows", got.rows, numbersTo(n).splits[0])
	for s, rows := range got.by {
		for _, v := range rows {
			if where(v) != s {
				t.Errorf("subtask %d got %d, want it in subtask %d", s, v, where(v))
				return
			}
		}
	}
}

func TestUnion(t *testing.T) {
	for name, e := range engines(3) {
		t.Run(name, func(t *testing.T) {
			var got, keyed collect[int]
			runJob(t, e, func(env *weir.Env) {
				a := weir.From(env, "a", numbersTo(1000)).Parallelism(1)
				b := weir.From(env, "b", numbersTo(500)).Parallelism(2).Map(func(v int) int { return v + 1000 })
				c := weir.From(env, "c", numbersTo(700)).Map(func(v int) int { return v + 1500 })
				all := a.Union(b.Rebalance(), c)
				all.Map(func(v int) int { return v }).To("sink", &got)
				// A stream may be in a union twice.
				all.Union(a).KeyBy(func(v int) int { return v }).Reduce(func(a, b int) int { return a + b }).To("keyed", &keyed)
			})
			want := numbersTo(2200).splits[0]
			sameRows(t, "rows", got.rows, want)
			for _, v := range numbersTo(1000).splits[0] {
				want = append(want, 2*v) // the running sum at its second time
			}
			sameRows(t, "keyed rows", keyed.rows, want)
		})
	}
}

func TestPartitionings(t *testing.T) {
	const n = 1200
	for name, c := range map[string]struct {
		from  int
		apply func(weir.Stream[int]) weir.Stream[int]
		where func(v int) int
	}{
		"global":         {2, weir.Stream[int].Global, func(int) int { return 0 }},
		"strict forward": {4, weir.Stream[int].Forward, func(v int) int { return v % 4 }},
		"forward":        {4, func(s weir.Stream[int]) weir.Stream[int] { return s }, func(v int) int { return v % 4 }},
		"custom": {2, func(s weir.Stream[int]) weir.Stream[int] {
			return s.PartitionCustom(func(v, _ int) int { return v / 7 % 3 })
		}, func(v int) int { return v / 7 % 3 }},
		"rescale to more": {2, weir.Stream[int].Rescale, nil},
		"rescale to one":  {8, weir.Stream[int].Rescale, func(v int) int { return v % 8 / 2 }},
	} {
		t.Run(name, func(t *testing.T) {
			for name, e := range engines(4) {
				t.Run(name, func(t *testing.T) {
					var got collect[int]
					runJob(t, e, func(env *weir.Env) {
						s := weir.From(env, "numbers", numbersTo(n)).Parallelism(1)
						c.apply(place(s, c.from)).Map(func(v int) int { return v }).Parallelism(4).StartNewChain().
							To("sink", &got).Parallelism(4)
					})
					if c.where != nil {
						wantPlaces(t, &got, n, c.where)
						return
					}
					// Each of two sends in turn to its own half of four.
					sameRows(t, "rows", got.rows, numbersTo(n).splits[0])
					for s := range 4 {
						if odd := slices.IndexFunc(got.by[s], func(v int) bool { return v%2 != s/2 }); odd >= 0 || len(got.by[s]) != n/4 {
							t.Errorf("subtask %d got %d of %d, wrong is that at %d", s, len(got.by[s]), n, odd)
						}
					}
				})
			}
		})
	}
}

func TestBroadcast(t *testing.T) {
	const n = 1000
	for name, e := range engines(3) {
		t.Run(name, func(t *testing.T) {
			var got collect[int]
			runJob(t, e, func(env *weir.Env) {
				weir.From(env, "numbers", numbersTo(n)).Parallelism(2).Broadcast().To("sink", &got)
			})
			for s := range 3 {
				sameRows(t, fmt.Sprintf("subtask %d", s), got.by[s], numbersTo(n).splits[0])
			}
		})
	}
}

func TestShuffle(t *testing.T) {
	const n = 3000
	for name, e := range engines(3) {
		t.Run(name, func(t *testing.T) {
			var got collect[int]
			runJob(t, e, func(env *weir.Env) {
				weir.From(env, "numbers", numbersTo(n)).Parallelism(1).Shuffle().To("sink", &got)
			})
			sameRows(t, "rows", got.rows, numbersTo(n).splits[0])
			sameTurn := 0
			for s := range 3 {
				// Six standard deviations.
				if have := len(got.by[s]); have < n/3-160 || have > n/3+160 {
					t.Errorf("subtask %d got %d of %d", s, have, n)
				}
				for _, v := range got.by[s] {
					if v%3 == got.by[s][0]%3 {
						sameTurn++
					}
				}
			}
			if sameTurn == n {
				t.Error("records are dealt out in turn")
			}
		})
	}
}

func TestConnect(t *testing.T) {
	for name, e := range engines(2) {
		t.Run(name, func(t *testing.T) {
			var mapped, flat collect[string]
			var both collect[string]
			runJob(t, e, func(env *weir.Env) {
				numbers := weir.From(env, "numbers", numbersTo(300))
				names := weir.From(env, "names", dealt([]string{"x", "y"}, 1)).Parallelism(1)
				numbers.Connect(names).Map(func(v int) string { return fmt.Sprint(v) }, strings.ToUpper).To("mapped", &mapped)
				numbers.Connect(names).FlatMap(
					func(v int, emit func(string)) {
						for range v % 3 {
							emit(fmt.Sprint(v))
						}
					},
					func(s string, emit func(string)) { emit(s); emit(s + s) },
				).To("flat", &flat)
				numbers.Global().Connect(names.Broadcast()).Map(func(int) string { return "number" }, func(s string) string { return s }).To("both", &both)
			})
			want, wantFlat := []string{"X", "Y"}, []string{"x", "xx", "y", "yy"}
			for v := range 300 {
				want = append(want, fmt.Sprint(v))
				for range v % 3 {
					wantFlat = append(wantFlat, fmt.Sprint(v))
				}
			}
			sameRows(t, "mapped", mapped.rows, want)
			sameRows(t, "flat", flat.rows, wantFlat)
			sameRows(t, "second subtask", both.by[1], []string{"x", "y"})
			if len(both.by[0]) != 302 {
				t.Errorf("the first subtask got %d rows, want 302", len(both.by[0]))
			}
		})
	}
}

// TestSlotSharingGroups counts the slots that a job needs.
func TestSlotSharingGroups(t *testing.T) {
	for name, c := range map[string]struct {
		heavy, joined string
		want          int
	}{
		"one group":        {"", "", 3},
		"default by name":  {"default", "", 3},
		"inherited":        {"heavy", "", 3 + 2},
		"back to default":  {"heavy", "default", 3 + 2},
		"a third group":    {"heavy", "light", 3 + 2 + 3},
		"the sink's group": {"", "light", 3 + 3},
	} {
		graph := weir.BuildGraph(func(env *weir.Env) {
			s := weir.From(env, "numbers", numbersTo(1)).Parallelism(2).Map(func(v int) int { return v }).Parallelism(2)
			if c.heavy != "" {
				s = s.SlotSharingGroup(c.heavy)
			}
			out := s.Filter(func(int) bool { return true }).Parallelism(2).
				Union(weir.From(env, "more", numbersTo(1))).To("sink", &collect[int]{})
			if c.joined != "" {
				out.SlotSharingGroup(c.joined)
			}
		})
		plan := graph.Layout().Plan
		if len(plan.Mistakes) > 0 {
			t.Fatal(plan.Mistakes)
		}
		g, err := plan.Resolve(3)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.Slots(); got != c.want {
			t.Errorf("%s: %d slots, want %d", name, got, c.want)
		}
	}
}

func TestShapeMistakes(t *testing.T) {
	late := weir.NewOutputTag[string]("late")
	graph := weir.BuildGraph(func(env *weir.Env) {
		var none func(int, int) int
		s := weir.From(env, "numbers", numbersTo(1))
		s.Union(s).Name("all").To("a", &collect[int]{})
		s.Union(s).Parallelism(2).To("b", &collect[int]{})
		s.SlotSharingGroup("").To("c", &collect[int]{})
		s.PartitionCustom(none).To("d", &collect[int]{})
		s.Map(func(v int) int { return v }).SideOutput(late).To("e", &collect[string]{})
		s.To("", &collect[int]{})
	})
	got := strings.Join(graph.Layout().Plan.Mistakes, "\n")
	for _, want := range []string{
		"a union is no operator and has no name",
		"a union is no operator and has no parallelism",
		`the slot sharing group of "numbers" has no name`,
		"the function of the partitioner is nil",
		`map "map" has no side outputs`,
		"the sink has no name",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no mistake says %q:\n%s", want, got)
		}
	}
	if n := strings.Count(got, "shape_test.go:"); n != 6 {
		t.Errorf("%d mistakes have their place, want 6:\n%s", n, got)
	}
}

func TestPartitionerOutOfRange(t *testing.T) {
	for _, to := range []int{-1, 2} {
		_, err := newEngine(1, 2).run(t.Context(), func(env *weir.Env) {
			weir.From(env, "numbers", numbersTo(3)).Parallelism(1).
				PartitionCustom(func(int, int) int { return to }).To("sink", &collect[int]{})
		})
		if want := fmt.Sprintf("the partitioner returned %d for a record 0", to); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}

func TestStrictForward(t *testing.T) {
	_, err := newEngine(1, 2).run(t.Context(), func(env *weir.Env) {
		weir.From(env, "numbers", numbersTo(3)).Parallelism(1).Forward().To("sink", &collect[int]{})
	})
	if err == nil || !strings.Contains(err.Error(), `forward from "Source: numbers" with parallelism 1 to "Sink: sink" with parallelism 2`) {
		t.Errorf("error %v", err)
	}
}
