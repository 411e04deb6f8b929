package task

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// valveModel is Flink's StatusWatermarkValve, written down plainly: everything is
// computed anew from what each channel has said. One thing differs: a channel that
// has ended is out of it, so that those that are left decide whether all are idle.
type valveModel struct {
	watermark     []int64
	idle, aligned []bool
	out           int64
	outIdle       bool
}

func newValveModel(channels int) *valveModel {
	m := &valveModel{
		watermark: slices.Repeat([]int64{NoTime}, channels), idle: make([]bool, channels),
		aligned: slices.Repeat([]bool{true}, channels), out: NoTime,
	}
	return m
}

func (m *valveModel) raise(c int, t int64) {
	m.watermark[c] = max(m.watermark[c], t)
	m.idle[c] = false
	if m.watermark[c] >= m.out {
		m.aligned[c] = true
	}
	m.settle()
}

func (m *valveModel) rest(c int) {
	m.idle[c], m.aligned[c] = true, false
	m.settle()
}

func (m *valveModel) settle() {
	low, any, highest, active, open := MaxTime, false, NoTime, false, false
	for c, t := range m.watermark {
		if t == MaxTime {
			continue
		}
		open = true
		if m.aligned[c] {
			low, any = min(low, t), true
		}
		if m.idle[c] {
			highest = max(highest, t)
		} else {
			active = true
		}
	}
	m.outIdle = open && !active
	switch {
	case !open:
		m.out = MaxTime
	case m.outIdle:
		m.out = max(m.out, highest)
	case any:
		m.out = max(m.out, low)
	}
}

// TestValve compares the valve with the model, under channels that rise, rest, come
// back and end.
func TestValve(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		channels := rapid.IntRange(1, 5).Draw(t, "channels")
		v, m := newValve(channels), newValveModel(channels)
		if v.low != NoTime || v.idle {
			t.Fatalf("a new valve is at %d, idle: %v", v.low, v.idle)
		}
		// Few values, so that channels are often equal.
		times := rapid.OneOf(rapid.Int64Range(-3, 3), rapid.SampledFrom([]int64{NoTime, NoTime, NoTime + 1, MaxTime - 1, MaxTime}))
		for range rapid.IntRange(0, 80).Draw(t, "steps") {
			c, before := rapid.IntRange(0, channels-1).Draw(t, "channel"), m.out
			var rose bool
			if rests := rapid.IntRange(0, 2).Draw(t, "rests") == 0; rests && m.watermark[c] != MaxTime {
				m.rest(c)
				rose = v.rest(c)
			} else {
				at := times.Draw(t, "time")
				m.raise(c, at)
				rose = v.raise(c, at)
			}
			if v.low != m.out || v.idle != m.outIdle || rose != (m.out > before) {
				t.Fatalf("the valve is at %d, idle %v, rose %v; the model was at %d and is: %+v", v.low, v.idle, rose, before, *m)
			}
		}
	})
}

// TestValveStory is a union of a fast and an idle input, told out.
func TestValveStory(t *testing.T) {
	v := newValve(2)
	for i, step := range []struct {
		do   func() bool
		low  int64
		idle bool
	}{
		{func() bool { return v.raise(0, 100) }, NoTime, false},
		{func() bool { return v.rest(1) }, 100, false}, // nobody waits for it
		{func() bool { return v.raise(0, 200) }, 200, false},
		{func() bool { return v.raise(1, 50) }, 200, false}, // back, but behind
		{func() bool { return v.raise(0, 300) }, 300, false},
		{func() bool { return v.raise(1, 350) }, 300, false}, // caught up: it counts
		{func() bool { return v.raise(0, 400) }, 350, false},
		{func() bool { return v.rest(1) }, 400, false},
		{func() bool { return v.rest(0) }, 400, true},
		{func() bool { return v.raise(1, NoTime) }, 400, false}, // a record, no watermark
		{func() bool { return v.raise(1, MaxTime) }, 400, true}, // its end: the other is idle
		{func() bool { return v.raise(0, MaxTime) }, MaxTime, false},
	} {
		step.do()
		if v.low != step.low || v.idle != step.idle {
			t.Fatalf("after step %d the watermark is %d, idle %v; want %d, %v", i, v.low, v.idle, step.low, step.idle)
		}
	}
}

func TestValveEnds(t *testing.T) {
	v := newValve(3)
	for i, want := range []bool{false, false, true} {
		if got := v.end(); got != want {
			t.Errorf("end %d: all ended is %v, want %v", i, got, want)
		}
	}
}
