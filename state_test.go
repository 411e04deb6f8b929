package weir_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weirstream/weir"
)

// stateOp is something to do with one of the states of a key.
type stateOp struct{ Seq, Key, State, Op, Entry, Value int }

// opResult is what the state is then.
type opResult struct {
	Seq  int
	Text string
}

// longest is an aggregate whose accumulator needs a beginning and holds a slice.
type longest struct{}

type longestAcc struct {
	Least  int
	Values []int
}

func (longest) Init(a *longestAcc) { a.Least = 1 << 30 }

func (longest) Add(a *longestAcc, v int) {
	a.Least = min(a.Least, v)
	a.Values = append(a.Values, v)
}

func (longest) Result(key int, w weir.Window, a *longestAcc) string {
	return fmt.Sprint(key, w, a.Least, a.Values)
}

// states does operations on a state of each kind.
type states struct {
	value       weir.ValueState[int]
	list        weir.ListState[string]
	entries     weir.MapState[int, string]
	reducing    weir.ReducingState[string]
	aggregating weir.AggregatingState[int, string]
}

func (s *states) Open(ctx *weir.KeyedOpenContext[int]) error {
	s.value = ctx.ValueState[int]("value")
	s.list = ctx.ListState[string]("list")
	s.entries = ctx.MapState[int, string]("map")
	s.reducing = ctx.ReducingState("reducing", func(a, b string) string { return a + "," + b })
	s.aggregating = ctx.AggregatingState("aggregating", longest{})
	return nil
}

func (s *states) Process(ctx *weir.KeyedContext[int], o stateOp, emit func(opResult)) error {
	text := fmt.Sprint(o.Value)
	switch o.State {
	case 0:
		switch o.Op {
		case 0:
			s.value.Clear()
		case 1:
			s.value.Set(s.value.Value() + o.Value)
		case 2:
			s.value.Set(0)
			s.value.Clear()
			s.value.Set(o.Value)
		}
	case 1:
		switch o.Op {
		case 0:
			s.list.Clear()
		case 1:
			s.list.Add(text)
		case 2:
			for v := range s.list.All() {
				s.list.Add(v + "'") // All goes on over what there was
				if s.list.Len() > 6 {
					s.list.Set([]string{v, text})
					break
				}
			}
			s.list.Add()
		}
	case 2:
		switch o.Op {
		case 0:
			s.entries.Delete(o.Entry)
		case 1:
			s.entries.Set(o.Entry, text)
		case 2:
			for e := range s.entries.All() {
				if e%2 == 0 {
					s.entries.Delete(e)
				}
			}
		case 3:
			s.entries.Clear()
		}
	case 3:
		if o.Op == 0 {
			s.reducing.Clear()
		} else {
			s.reducing.Add(text)
		}
	case 4:
		if o.Op == 0 {
			s.aggregating.Clear()
		} else {
			s.aggregating.Add(o.Value)
		}
	}
	emit(opResult{o.Seq, s.read(o.Entry)})
	return nil
}

func (s *states) read(entry int) string {
	value, ok := s.value.Get()
	one, has := s.entries.Get(entry)
	reduced, some := s.reducing.Get()
	result, any := s.aggregating.Get()
	return fmt.Sprint(value, ok, slices.Collect(s.list.All()), s.list.Len(), maps.Collect(s.entries.All()), s.entries.Len(),
		one, has, s.entries.Has(entry), reduced, some, result, any)
}

// modelStates are the states of one key, as plain variables.
type modelStates struct {
	value       *int
	list        []string
	entries     map[int]string
	reduced     *string
	aggregating *longestAcc
}

func (m *modelStates) do(o stateOp) string {
	text := fmt.Sprint(o.Value)
	switch o.State*10 + o.Op {
	case 0:
		m.value = nil
	case 1:
		sum := o.Value
		if m.value != nil {
			sum += *m.value
		}
		m.value = &sum
	case 2:
		m.value = &o.Value
	case 10:
		m.list = nil
	case 11:
		m.list = append(m.list, text)
	case 12:
		for _, v := range slices.Clone(m.list) {
			m.list = append(m.list, v+"'")
			if len(m.list) > 6 {
				m.list = []string{v, text}
				break
			}
		}
	case 20:
		delete(m.entries, o.Entry)
	case 21:
		m.entries[o.Entry] = text
	case 22:
		maps.DeleteFunc(m.entries, func(e int, _ string) bool { return e%2 == 0 })
	case 23:
		clear(m.entries)
	case 30:
		m.reduced = nil
	case 31, 32, 33:
		if m.reduced != nil {
			text = *m.reduced + "," + text
		}
		m.reduced = &text
	case 40:
		m.aggregating = nil
	case 41, 42, 43:
		if m.aggregating == nil {
			m.aggregating = &longestAcc{Least: 1 << 30}
		}
		m.aggregating.Least = min(m.aggregating.Least, o.Value)
		m.aggregating.Values = append(m.aggregating.Values, o.Value)
	}
	return m.read(o)
}

func (m *modelStates) read(o stateOp) string {
	var value int
	if m.value != nil {
		value = *m.value
	}
	var reduced, result string
	if m.reduced != nil {
		reduced = *m.reduced
	}
	if a := m.aggregating; a != nil {
		result = fmt.Sprint(o.Key, weir.Window{}, a.Least, a.Values)
	}
	one, has := m.entries[o.Entry]
	return fmt.Sprint(value, m.value != nil, m.list, len(m.list), m.entries, len(m.entries),
		one, has, has, reduced, m.reduced != nil, result, m.aggregating != nil)
}

// Each kind of state is, for each key, what plain variables would be.
func TestStatesAgainstVariables(t *testing.T) {
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 3))
		keys := []int{2, 50, 3000}[seed]
		ops, model, want := make([]stateOp, 8000), map[int]*modelStates{}, make([]opResult, 8000)
		for i := range ops {
			ops[i] = stateOp{Seq: i, Key: r.IntN(keys), State: r.IntN(5), Op: r.IntN(4), Entry: r.IntN(5), Value: r.IntN(100)}
			m := model[ops[i].Key]
			if m == nil {
				m = &modelStates{entries: map[int]string{}}
				model[ops[i].Key] = m
			}
			want[i] = opResult{i, m.do(ops[i])}
		}
		e := newEngine(1, 2)
		var got collect[opResult]
		runJob(t, e, func(env *weir.Env) {
			weir.From(env, "operations", listOf(ops...)).Parallelism(1).KeyBy(func(o stateOp) int { return o.Key }).
				Process(func() *states { return &states{} }).To("sink", &got)
		})
		sameRows(t, fmt.Sprint("results of ", keys, " keys"), got.rows, want)
	}
}
