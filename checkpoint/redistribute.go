package checkpoint

import (
	"fmt"
	"slices"

	"github.com/weirstream/weir/internal/key"
)

// KeyRange are the key groups from First to Last, both included.
type KeyRange struct{ First, Last uint16 }

// KeyRanges returns the key groups of each subtask of an operator. It panics if
// the parallelism is not between 1 and 65,536.
func KeyRanges(parallelism int) []KeyRange {
	ranges := make([]KeyRange, parallelism)
	for i := range ranges {
		ranges[i].First, ranges[i].Last = key.GroupRange(i, parallelism)
	}
	return ranges
}

// KeyPart is a part of an old subtask's keyed state.
type KeyPart struct {
	// Subtask is the index of the old subtask.
	Subtask int
	// Groups are those of its key groups that are meant.
	Groups KeyRange
}

// RedistributeKeys returns which parts of the keyed state of old subtasks, whose
// key groups are given, each subtask of the new parallelism reads, in the order
// of the groups. It is an error if the old ranges are not every key group exactly
// once: a checkpoint that lacks some has lost state.
func RedistributeKeys(old []KeyRange, parallelism int) ([][]KeyPart, error) {
	if parallelism < 1 || parallelism > key.Groups {
		return nil, fmt.Errorf("keyed state for parallelism %d: it must be between 1 and %d", parallelism, key.Groups)
	}
	order := make([]int, len(old))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(old[a].First) - int(old[b].First) })
	next := 0
	for _, i := range order {
		r := old[i]
		if int(r.First) != next || r.Last < r.First {
			return nil, fmt.Errorf("keyed state: subtask %d has the key groups %d to %d where one must begin with %d: "+
				"the subtasks of a checkpoint have each of the %d key groups once", i, r.First, r.Last, next, key.Groups)
		}
		next = int(r.Last) + 1
	}
	if next != key.Groups {
		return nil, fmt.Errorf("keyed state: no subtask has the key groups from %d: "+
			"the subtasks of a checkpoint have each of the %d key groups once", next, key.Groups)
	}
	parts := make([][]KeyPart, parallelism)
	at := 0
	for n, want := range KeyRanges(parallelism) {
		for old[order[at]].Last < want.First {
			at++
		}
		for i := at; i < len(order) && old[order[i]].First <= want.Last; i++ {
			have := old[order[i]]
			parts[n] = append(parts[n], KeyPart{Subtask: order[i], Groups: KeyRange{
				First: max(have.First, want.First), Last: min(have.Last, want.Last),
			}})
		}
	}
	return parts, nil
}

// ListPart is a part of an old subtask's list state.
type ListPart struct {
	// Subtask is the index of the old subtask.
	Subtask int
	// The items from First on, Count of them, are meant.
	First, Count int
}

// RedistributeList returns which items of the list state of old subtasks, which
// have the given numbers of items, each subtask of the new parallelism gets. At
// an unchanged parallelism each keeps its own, as in Flink; otherwise the items
// are dealt in their order, and no subtask gets two more than another. It panics
// if the parallelism is less than 1.
func RedistributeList(counts []int, parallelism int) [][]ListPart {
	parts := make([][]ListPart, parallelism)
	if len(counts) == parallelism {
		for i, n := range counts {
			if n > 0 {
				parts[i] = []ListPart{{Subtask: i, Count: n}}
			}
		}
		return parts
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	subtask, first := 0, 0
	for i := range parts {
		quota := (i+1)*total/parallelism - i*total/parallelism
		for quota > 0 {
			if first == counts[subtask] {
				subtask, first = subtask+1, 0
				continue
			}
			n := min(quota, counts[subtask]-first)
			parts[i] = append(parts[i], ListPart{Subtask: subtask, First: first, Count: n})
			first += n
			quota -= n
		}
	}
	return parts
}

// RedistributeUnion returns which items of union list state each subtask gets:
// all items of all old subtasks, in the same order everywhere.
func RedistributeUnion(counts []int, parallelism int) [][]ListPart {
	var all []ListPart
	for i, n := range counts {
		if n > 0 {
			all = append(all, ListPart{Subtask: i, Count: n})
		}
	}
	parts := make([][]ListPart, parallelism)
	for i := range parts {
		parts[i] = slices.Clone(all)
	}
	return parts
}

// BroadcastSource returns the old subtask whose copy of broadcast state a new
// subtask reads; the copies are equal by contract. It panics if the old
// parallelism is less than 1.
func BroadcastSource(subtask, oldParallelism int) int { return subtask % oldParallelism }
