package memory_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/key"
	"github.com/weirstream/weir/state/memory"
)

// One key at a time, with snapshots between, a table is a map; and it gives its memory
// back when its keys are gone.
func TestInsertAndRemove(t *testing.T) {
	kind, err := key.For[string]()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		table, model := memory.NewTable[string, int](kind), map[string]int{}
		var snapshot *memory.Snapshot[string, int]
		var taken map[string]int
		steps := rapid.SliceOfN(rapid.IntRange(0, 9), 0, 400).Draw(t, "steps")
		names := rapid.SliceOfN(rapid.StringN(0, 3, 9), 1, 50).Draw(t, "names")
		for i, step := range steps {
			k := names[(i*7+step)%len(names)]
			at, ok := table.Lookup(k, kind.HashOne(k))
			if n, has := model[k]; has != ok || ok && *table.At(at) != n {
				t.Fatalf("%q: found %t, want %d %t", k, ok, n, has)
			}
			switch {
			case step < 6:
				at, made := table.Insert(k, kind.HashOne(k))
				if made == ok {
					t.Fatalf("%q was there: %t; made: %t", k, ok, made)
				}
				*table.At(at) += i
				model[k] += i
			case step < 9 && ok:
				table.Remove(at)
				delete(model, k)
			case snapshot == nil:
				snapshot, taken = table.Snapshot(), map[string]int{}
				for k, n := range model {
					taken[k] = n
				}
			}
		}
		if snapshot == nil {
			return
		}
		n := 0
		for slots, more := snapshot.Next(); more; slots, more = snapshot.Next() {
			for _, s := range slots {
				if want, ok := taken[s.Key]; !ok || want != s.Acc {
					t.Fatalf("the snapshot has %q: %d, want %d %t", s.Key, s.Acc, want, ok)
				}
				n++
			}
		}
		if n != len(taken) {
			t.Fatalf("the snapshot has %d keys, want %d", n, len(taken))
		}
	})
}

func TestRemoveShrinks(t *testing.T) {
	kind, err := key.For[int]()
	if err != nil {
		t.Fatal(err)
	}
	table := memory.NewTable[int, int](kind)
	const many = 200_000
	for k := range many {
		i, _ := table.Insert(k, kind.HashOne(k))
		*table.At(i) = k
	}
	for k := range many - 5 {
		i, ok := table.Lookup(k, kind.HashOne(k))
		if !ok {
			t.Fatalf("%d is not there", k)
		}
		table.Remove(i)
	}
	if n := len(table.Slots()); n > 4096 {
		t.Errorf("%d slots for %d keys", n, table.Len())
	}
	for k := many - 5; k < many; k++ {
		if i, ok := table.Lookup(k, kind.HashOne(k)); !ok || *table.At(i) != k {
			t.Errorf("%d is not there, or has another value", k)
		}
	}
}
