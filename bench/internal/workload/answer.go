package workload

// Answer computes what the results of all splits are when added together (A2).
// It takes time and keeps two numbers per key.
func (p Params) Answer(splits int) Result {
	streams := make([]stream, splits)
	for s := range streams {
		streams[s].x = uint64(7919*s + 1)
	}
	counts, sums := make([]int64, p.Keys), make([]int64, p.Keys)
	var all Result
	for start := int64(0); streams[0].drawn < p.Events; start += p.Window {
		// The first event at or after the window's end is the first i for which
		// i × 2000 is at least end × rate.
		end := start + p.Window
		before := min(p.Events, (end*p.Rate+1999)/2000)
		for s := range streams {
			streams[s].draw(before, counts, sums)
		}
		for key, count := range counts {
			if count > 0 {
				all.Row(uint64(key), start, count, sums[key])
			}
		}
		clear(counts)
		clear(sums)
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
