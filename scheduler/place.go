package scheduler

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/memory"
)

// LoadBalance says how the slots of a job are chosen:
// taskmanager.load-balance.mode.
type LoadBalance uint8

const (
	// TakeSlots (NONE) takes slots in the order in which they were offered.
	TakeSlots LoadBalance = iota
	// SpreadSlots (SLOTS) loads all TaskManagers evenly.
	SpreadSlots
	// PackSlots (MIN_RESOURCES) uses as few TaskManagers as possible.
	PackSlots
)

// String returns the configuration's name of the mode.
func (l LoadBalance) String() string {
	switch l {
	case TakeSlots:
		return "NONE"
	case SpreadSlots:
		return "SLOTS"
	case PackSlots:
		return "MIN_RESOURCES"
	}
	return fmt.Sprintf("LoadBalance(%d)", uint8(l))
}

// capacity is what a TaskManager has.
type capacity struct{ free, slots int }

// choose returns, for each of n slots, the index of the capacity that it is
// taken from; nil if there are fewer than n. The slots of a TaskManager are next
// to each other, unless spreading lets TaskManagers take turns.
func choose(n int, from []capacity, mode LoadBalance) []int {
	free := 0
	for _, c := range from {
		free += c.free
	}
	if free < n {
		return nil
	}
	switch mode {
	case SpreadSlots:
		return spread(n, from)
	case PackSlots:
		return pack(n, from)
	default:
		return take(n, from)
	}
}

// take takes all slots of each TaskManager in turn.
func take(n int, from []capacity) []int {
	chosen := make([]int, 0, n)
	for i, c := range from {
		for range min(n-len(chosen), c.free) {
			chosen = append(chosen, i)
		}
	}
	return chosen
}

// pack takes what is left from the fullest TaskManager that has all of it, so
// that emptier ones stay for larger jobs; while none has, it takes all of the
// emptiest.
func pack(n int, from []capacity) []int {
	left := slices.Clone(from)
	chosen := make([]int, 0, n)
	for len(chosen) < n {
		need := n - len(chosen)
		best := 0
		for i, c := range left {
			if better(c.free, left[best].free, need) {
				best = i
			}
		}
		for range min(need, left[best].free) {
			chosen = append(chosen, best)
		}
		left[best].free = 0
	}
	return chosen
}

// better reports whether a TaskManager with a free slots is to be preferred to
// one with b when need slots are wanted.
func better(a, b, need int) bool {
	if a >= need && b >= need {
		return a < b
	}
	return a > b
}

// spread takes one slot after the other, each from the TaskManager of which the
// smallest part is in use, and among equals from the one with most free slots.
func spread(n int, from []capacity) []int {
	left := slices.Clone(from)
	chosen := make([]int, 0, n)
	for len(chosen) < n {
		best := -1
		for i, c := range left {
			if c.free > 0 && (best < 0 || emptier(c, left[best])) {
				best = i
			}
		}
		chosen = append(chosen, best)
		left[best].free--
	}
	return chosen
}

func emptier(a, b capacity) bool {
	// used(a) ÷ slots(a) against used(b) ÷ slots(b), without the division.
	x, y := (a.slots-a.free)*b.slots, (b.slots-b.free)*a.slots
	return x < y || x == y && a.free > b.free
}

// fits reports whether a job can use the slots of a TaskManager.
func (j *job) fits(tm *taskManager) bool { return j.runsOn(tm) && tm.buffers() >= j.buffers }

func (j *job) runsOn(tm *taskManager) bool {
	return j.options.Platform == "" || j.options.Platform == tm.Platform
}

// place deploys a job if there are slots for it; otherwise the job says what it
// waits for. A buffer of one worker must fit into one of the others, so all
// slots of a job are on TaskManagers with the same segment size.
func (s *Scheduler) place(j *job) {
	if err := s.checkBuffers(j); err != nil {
		s.reject(j, err.Error())
		return
	}
	bySize := map[memory.Size][]*taskManager{}
	free := map[memory.Size]int{}
	for _, tm := range s.taskManagers {
		if j.fits(tm) {
			bySize[tm.SegmentSize] = append(bySize[tm.SegmentSize], tm)
			free[tm.SegmentSize] += tm.free
		}
	}
	var sizes []memory.Size
	for size := range bySize {
		sizes = append(sizes, size)
	}
	slices.SortFunc(sizes, func(a, b memory.Size) int { return cmp.Or(cmp.Compare(free[b], free[a]), cmp.Compare(a, b)) })
	for _, size := range sizes {
		candidates := bySize[size]
		capacities := make([]capacity, len(candidates))
		for i, tm := range candidates {
			capacities[i] = capacity{free: tm.free, slots: tm.Slots}
		}
		if chosen := choose(j.slots, capacities, s.config.LoadBalance); chosen != nil {
			s.deploy(j, candidates, chosen)
			return
		}
	}
	if text := s.lacking(j); text != j.status {
		j.status = text
		s.touch(j)
	}
}

// lacking says what a job waits for: how many slots it needs, and how many the
// cluster has that it could use.
func (s *Scheduler) lacking(j *job) string {
	free, total := 0, 0
	var each, useless []string
	sizes := map[memory.Size]bool{}
	for _, tm := range s.taskManagers {
		switch {
		case !j.runsOn(tm):
			useless = append(useless, fmt.Sprintf("%s is %s", tm.ID, tm.Platform))
		case !j.fits(tm):
			useless = append(useless, fmt.Sprintf("%s has %d network buffers in a slot", tm.ID, tm.buffers()))
		default:
			free += tm.free
			total += tm.Slots
			sizes[tm.SegmentSize] = true
			each = append(each, fmt.Sprintf("%s: %d of %d", tm.ID, tm.free, tm.Slots))
		}
	}
	text := fmt.Sprintf("needs %d %s, %d free of %d in the cluster", j.slots, plural(j.slots, "slot"), free, total)
	switch {
	case len(s.taskManagers) == 0:
		text += " (no TaskManager is registered)"
	case len(each) > 0:
		text += " (" + shorten(each) + ")"
	}
	if len(sizes) > 1 {
		text += fmt.Sprintf("; they have buffers of %d sizes, and a job needs one taskmanager.memory.segment-size in all of its slots", len(sizes))
	}
	if len(useless) > 0 {
		what := []string{}
		if j.options.Platform != "" {
			what = append(what, j.options.Platform)
		}
		if j.buffers > 0 {
			what = append(what, fmt.Sprintf("%d network buffers in a slot", j.buffers))
		}
		text += fmt.Sprintf("; not counted because the job needs %s: %s", strings.Join(what, " and "), shorten(useless))
	}
	return text
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// shorten joins the first few of a list.
func shorten(list []string) string {
	const shown = 8
	if len(list) <= shown {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:shown], ", "), len(list)-shown)
}
