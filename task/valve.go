package task

// valve computes a task's watermark from those of its input channels: the
// smallest of them, never falling. It is a pure state machine.
type valve struct {
	channels []int64
	low      int64
	// atLow counts the channels that are at low, so that a rise elsewhere costs
	// nothing.
	atLow int
	open  int
}

func newValve(channels int) *valve {
	v := &valve{channels: make([]int64, channels), low: NoTime, atLow: channels, open: channels}
	for i := range v.channels {
		v.channels[i] = NoTime
	}
	return v
}

// raise sets a channel's watermark and reports whether the task's has risen. A
// watermark that falls is ignored.
func (v *valve) raise(channel int, t int64) (rose bool) {
	old := v.channels[channel]
	if t <= old {
		return false
	}
	v.channels[channel] = t
	if old != v.low {
		return false
	}
	if v.atLow--; v.atLow > 0 {
		return false
	}
	v.low, v.atLow = MaxTime, 0
	for _, c := range v.channels {
		switch {
		case c < v.low:
			v.low, v.atLow = c, 1
		case c == v.low:
			v.atLow++
		}
	}
	return true
}

// end notes that a channel will send nothing more, and reports whether it was
// the last one.
func (v *valve) end() (all bool) {
	v.open--
	return v.open == 0
}
