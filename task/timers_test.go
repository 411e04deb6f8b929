package task

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// modelTimer is a timer of the model of [timers], a sorted list.
type modelTimer struct {
	key  string
	time int64
	made int
}

type modelTimers struct {
	list []modelTimer
	made int
}

func (m *modelTimers) find(key string, time int64) int {
	return slices.IndexFunc(m.list, func(t modelTimer) bool { return t.key == key && t.time == time })
}

func (m *modelTimers) add(key string, time int64) bool {
	if m.find(key, time) >= 0 {
		return false
	}
	m.made++
	m.list = append(m.list, modelTimer{key, time, m.made})
	slices.SortFunc(m.list, func(a, b modelTimer) int {
		return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.made, b.made))
	})
	return true
}

func (m *modelTimers) remove(key string, time int64) bool {
	i := m.find(key, time)
	if i >= 0 {
		m.list = slices.Delete(m.list, i, i+1)
	}
	return i >= 0
}

func TestTimersAgainstASortedList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		timers, err := newTimers[string]()
		if err != nil {
			t.Fatal(err)
		}
		var model modelTimers
		keys := rapid.IntRange(1, 2000).Draw(t, "keys")
		for range rapid.IntRange(1, 6).Draw(t, "phases") {
			// A phase mostly adds or mostly removes, so that tables and heaps grow and
			// shrink.
			adds := rapid.IntRange(1, 9).Draw(t, "adds of 10")
			seed := rapid.Uint32().Draw(t, "seed")
			for range rapid.IntRange(0, 1500).Draw(t, "steps") {
				seed = seed*1664525 + 1013904223
				key, time := fmt.Sprint("key ", int(seed>>8)%keys), int64(seed>>4)%50
				switch what := int(seed>>16) % 10; {
				case what < adds:
					if got, want := timers.add(key, time), model.add(key, time); got != want {
						t.Fatalf("add(%q, %d) = %t, want %t", key, time, got, want)
					}
				case what%2 == 0:
					if got, want := timers.remove(key, time), model.remove(key, time); got != want {
						t.Fatalf("remove(%q, %d) = %t, want %t", key, time, got, want)
					}
				default:
					popBoth(t, timers, &model)
				}
			}
		}
		for len(model.list) > 0 {
			popBoth(t, timers, &model)
		}
		if _, ok := timers.next(); ok || timers.table.Len() > 0 {
			t.Fatalf("%d timers are left that the model does not have", len(timers.heap))
		}
	})
}

func popBoth(t *rapid.T, timers *timers[string], model *modelTimers) {
	next, ok := timers.next()
	if ok != (len(model.list) > 0) {
		t.Fatalf("next() says %t, the model has %d", ok, len(model.list))
	}
	if !ok {
		return
	}
	key, time := timers.pop()
	if want := model.list[0]; key != want.key || time != want.time || next != want.time {
		t.Fatalf("popped %q at %d (next said %d), want %q at %d", key, time, next, want.key, want.time)
	}
	model.list = model.list[1:]
}

func TestTimersGiveMemoryBack(t *testing.T) {
	timers := must[*timers[int]](t)(newTimers[int]())
	const many = 100_000
	for i := range many {
		timers.add(i, int64(i%1000))
	}
	for i := range many - 10 {
		timers.remove(i, int64(i%1000))
	}
	if n := len(timers.nodes); n > 1024 {
		t.Errorf("%d nodes for %d timers", n, len(timers.heap))
	}
	if n := len(timers.table.Slots()); n > 4096 {
		t.Errorf("%d slots for %d timers", n, timers.table.Len())
	}
	for i := many - 10; i < many; i++ {
		if k, at := timers.pop(); k != i || at != int64(i%1000) {
			t.Errorf("popped %d at %d, want %d", k, at, i)
		}
	}
}
