package workload

// Answer computes what the results of all splits are when added together (A2).
// It takes time and keeps two numbers per key.
func (p Params) Answer(splits int) Result { return p.SlidingAnswer(splits, 1) }

// SlidingAnswer is [Params.Answer] for windows that are so many times as long as
// Window, and of which one begins after each Window. It keeps two numbers for each
// key of each of them.
func (p Params) SlidingAnswer(splits int, panes int64) Result {
	streams := make([]stream, splits)
	for s := range streams {
		streams[s].x = uint64(7919*s + 1)
	}
	// The last slides, in turn, and what they add up to.
	slides := make([]struct{ counts, sums []int64 }, panes)
	for i := range slides {
		slides[i].counts, slides[i].sums = make([]int64, p.Keys), make([]int64, p.Keys)
	}
	counts, sums := make([]int64, p.Keys), make([]int64, p.Keys)
	var all Result
	for i, more := int64(0), panes; more > 0; i++ {
		start, slide := i*p.Window, &slides[i%panes]
		for key := range counts {
			counts[key] -= slide.counts[key]
			sums[key] -= slide.sums[key]
		}
		clear(slide.counts)
		clear(slide.sums)
		// The first event at or after the window's end is the first i for which
		// i × 2000 is at least end × rate.
		end := start + p.Window
		before := min(p.Events, (end*p.Rate+1999)/2000)
		for s := range streams {
			streams[s].draw(before, slide.counts, slide.sums)
		}
		for key := range counts {
			counts[key] += slide.counts[key]
			sums[key] += slide.sums[key]
			if counts[key] > 0 {
				all.Row(uint64(key), start-(panes-1)*p.Window, counts[key], sums[key])
			}
		}
		if streams[0].drawn == p.Events {
			more-- // windows that begin before the last event are still to come
		}
	}
	return all
}

// stream is a split's events from some point on.
type stream struct {
	x     uint64
	drawn int64
}

// draw counts the events up to an index, which is not drawn.
func (s *stream) draw(before int64, counts, sums []int64) {
	for ; s.drawn < before; s.drawn++ {
		s.x ^= s.x << 13
		s.x ^= s.x >> 7
		s.x ^= s.x << 17
		key := s.x % uint64(len(counts))
		counts[key]++
		sums[key] += int64(s.x >> 40)
	}
}
