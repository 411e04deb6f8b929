package task

import "math"

// slides are the times of sliding windows and of their panes, as numbers that count
// them. Window w begins w slides after the offset. The windows' beginnings and ends
// cut time into panes: one for each slide if the size is a multiple of it, and else
// two, since windows begin at one place of a slide and end at another. (Panes of the
// greatest common divisor would be many where the two have little in common.)
//
// The first window is the one whose slide has the earliest time in it. It and those
// at the end of time are cut short.
type slides struct {
	size, slide int64
	offset      int64 // at least 0, less than slide
	cut         int64 // where in a slide windows end, if not where they begin
	per         int64 // panes of a slide
	length      int64 // panes of a window
	first       int64 // window
}

func newSlides(size, slide, offset int64) slides {
	s := slides{size: size, slide: slide, cut: size % slide, per: 1, length: size / slide}
	if s.offset = offset % slide; s.offset < 0 {
		s.offset += slide
	}
	if s.cut > 0 {
		s.per, s.length = 2, 2*s.length+1
	}
	s.first = s.window(NoTime + 1)
	return s
}

// window returns the last window that begins at t or before.
func (s *slides) window(t int64) int64 {
	w := floorDiv(t, s.slide)
	if s.offset+sinceWindowStart(t, s.slide, s.offset) >= s.slide {
		w--
	}
	return w
}

// pane returns the pane of time t.
func (s *slides) pane(t int64) int64 {
	p := s.per * s.window(t)
	if s.cut > 0 && sinceWindowStart(t, s.slide, s.offset) >= s.cut {
		p++
	}
	return p
}

// times returns when window w begins and ends.
func (s *slides) times(w int64) (start, end int64) {
	if w == s.first {
		since := sinceWindowStart(NoTime+1, s.slide, s.offset)
		start, end = NoTime, NoTime+1+(s.size-since)
		if since < 2 {
			start = NoTime + 1 - since
		}
		return start, end
	}
	// The product alone may be out of range; the sum, which wraps around, is not.
	start = w*s.slide + s.offset
	if start > MaxTime-s.size {
		return start, MaxTime
	}
	return start, start + s.size
}

// ended reports whether watermark t completes window w.
func (s *slides) ended(w, t int64) bool {
	_, end := s.times(w)
	return end-1 <= t
}

// next returns the first window that watermark t does not complete; MaxInt64 stands
// for none.
func (s *slides) next(t int64) int64 {
	switch {
	case t >= MaxTime-1:
		return math.MaxInt64
	case t < NoTime+s.size: // t-size+1 may be out of range
		if s.ended(s.first, t) {
			return s.first + 1
		}
		return s.first
	}
	return s.window(t-s.size+1) + 1
}

// panes returns the panes of window w, from from to before to.
func (s *slides) panes(w int64) (from, to int64) {
	if w == math.MaxInt64 {
		return w, w
	}
	from = s.per * w
	if from > math.MaxInt64-s.length {
		return from, math.MaxInt64
	}
	return from, from + s.length
}

// windows returns the first and the last window that pane p belongs to.
func (s *slides) windows(p int64) (first, last int64) {
	last = floorDiv(p, s.per)
	if p < math.MinInt64+s.length {
		return s.first, last
	}
	return max(s.first, floorDiv(p-s.length, s.per)+1), last
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// paneBounds returns the pane that t belongs to, where every period is cut in two,
// or is one pane if cut is 0. Panes at the two ends of time are cut short.
func paneBounds(t, period, cut, offset int64) (start, end int64) {
	since, length := sinceWindowStart(t, period, offset), period
	if cut > 0 {
		if length = cut; since >= cut {
			since, length = since-cut, period-cut
		}
	}
	start, end = NoTime, MaxTime
	if t >= NoTime+since {
		start = t - since
	}
	if left := length - since; t <= MaxTime-left {
		end = t + left
	}
	return start, end
}

// sinceWindowStart returns how far t is into its window, if windows of the given
// size follow one another and one of them begins at offset. It holds for every
// t: t-offset itself may be out of range.
func sinceWindowStart(t, size, offset int64) int64 {
	since := (t%size - offset%size) % size
	if since < 0 {
		since += size
	}
	return since
}
