package checkpoint_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/checkpoint"
	"github.com/weirstream/weir/internal/key"
)

// TestRedistributeKeys marks every key group: for each pair of parallelisms, up
// to 12 exhaustively and some beyond, each is read once, from the subtask that
// owned it and by the one that owns it (key.Subtask), whatever the order of the
// old subtasks.
func TestRedistributeKeys(t *testing.T) {
	var parallelisms []int
	for p := 1; p <= 12; p++ {
		parallelisms = append(parallelisms, p)
	}
	parallelisms = append(parallelisms, 127, 128, 1000, 65535, 65536)
	rng := rand.New(rand.NewPCG(1, 1))
	for _, from := range parallelisms {
		for _, to := range parallelisms {
			old := checkpoint.KeyRanges(from)
			order := rng.Perm(from)
			shuffled := make([]checkpoint.KeyRange, from)
			for i, at := range order {
				shuffled[at] = old[i]
			}
			parts, err := checkpoint.RedistributeKeys(shuffled, to)
			if err != nil {
				t.Fatal(err)
			}
			next := 0
			for subtask, reads := range parts {
				for _, part := range reads {
					for g := int(part.Groups.First); g <= int(part.Groups.Last); g++ {
						hash := uint64(g) << 48
						if g != next || key.Subtask(hash, to) != subtask || order[key.Subtask(hash, from)] != part.Subtask {
							t.Fatalf("from %d to %d: subtask %d reads group %d of subtask %d, the next is %d", from, to, subtask, g, part.Subtask, next)
						}
						next++
					}
				}
			}
			if next != key.Groups || len(parts) != to {
				t.Fatalf("from %d to %d: %d groups are read by %d subtasks", from, to, next, len(parts))
			}
		}
	}
}

// TestUnevenRanges reads from subtasks whose ranges are no formula's.
func TestUnevenRanges(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		cuts := map[int]bool{0: true}
		for range rng.IntN(20) {
			cuts[rng.IntN(key.Groups)] = true
		}
		owner := make([]int, key.Groups)
		var old []checkpoint.KeyRange
		for g := range key.Groups {
			if cuts[g] {
				old = append(old, checkpoint.KeyRange{First: uint16(g)})
			}
			old[len(old)-1].Last = uint16(g)
			owner[g] = len(old) - 1
		}
		parts, err := checkpoint.RedistributeKeys(old, 1+rng.IntN(40))
		if err != nil {
			t.Fatal(err)
		}
		next := 0
		for _, part := range slices.Concat(parts...) {
			for g := int(part.Groups.First); g <= int(part.Groups.Last); g++ {
				if g != next || owner[g] != part.Subtask {
					t.Fatalf("seed %d: group %d is read from %d, the next is %d", seed, g, part.Subtask, next)
				}
				next++
			}
		}
		if next != key.Groups {
			t.Fatalf("seed %d: %d groups are read", seed, next)
		}
	}
}

func TestRangesThatLoseState(t *testing.T) {
	for want, old := range map[string][]checkpoint.KeyRange{
		"no subtask has the key groups from 0":     nil,
		"no subtask has the key groups from 65535": {{First: 0, Last: 65534}},
		"one must begin with 0":                    {{First: 1, Last: 65535}},
		"one must begin with 11":                   {{First: 0, Last: 10}, {First: 12, Last: 65535}},
		"subtask 1 has the key groups 10 to 65535": {{First: 0, Last: 10}, {First: 10, Last: 65535}},
		"subtask 1 has the key groups 0 to 65535":  {{First: 0, Last: 65535}, {First: 0, Last: 65535}},
	} {
		if _, err := checkpoint.RedistributeKeys(old, 2); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", old, err, want)
		}
	}
	for _, parallelism := range []int{0, -1, 65537} {
		if _, err := checkpoint.RedistributeKeys(checkpoint.KeyRanges(2), parallelism); err == nil {
			t.Errorf("parallelism %d is accepted", parallelism)
		}
	}
}

// TestRedistributeList deals each item once, evenly and in order; at the same
// parallelism each subtask keeps its own. Union state goes to everybody.
func TestRedistributeList(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 4))
		counts := make([]int, rng.IntN(10))
		var items [][2]int
		for i := range counts {
			counts[i] = rng.IntN(3) * rng.IntN(20)
			for j := range counts[i] {
				items = append(items, [2]int{i, j})
			}
		}
		read := func(parts []checkpoint.ListPart) (got [][2]int) {
			for _, p := range parts {
				if p.Count < 1 {
					t.Fatalf("seed %d: an empty part %+v", seed, p)
				}
				for j := range p.Count {
					got = append(got, [2]int{p.Subtask, p.First + j})
				}
			}
			return got
		}
		parallelism := 1 + rng.IntN(10)
		parts := checkpoint.RedistributeList(counts, parallelism)
		var all [][2]int
		for i, p := range parts {
			got := read(p)
			all = append(all, got...)
			even := len(items) / parallelism
			if len(counts) == parallelism {
				if len(got) != counts[i] || len(got) > 0 && got[0][0] != i {
					t.Fatalf("seed %d: subtask %d does not keep its own", seed, i)
				}
			} else if len(got) != even && len(got) != even+1 {
				t.Fatalf("seed %d: subtask %d gets %d of %d items", seed, i, len(got), len(items))
			}
		}
		if !slices.Equal(all, items) || len(parts) != parallelism {
			t.Fatalf("seed %d: from %v to %d: %v", seed, counts, parallelism, parts)
		}
		for _, p := range checkpoint.RedistributeUnion(counts, parallelism) {
			if !slices.Equal(read(p), items) {
				t.Fatalf("seed %d: a subtask gets %v of the union", seed, p)
			}
		}
	}
	if got := checkpoint.BroadcastSource(5, 3); got != 2 {
		t.Errorf("subtask 5 reads the broadcast state of %d of 3", got)
	}
}
