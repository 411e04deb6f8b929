package task

// valve computes a task's watermark from those of its input channels: the
// smallest of those that count, never falling. A channel that is idle does not
// count, nor does one that has come back from idleness until it has caught up
// with the rest. It is a pure state machine. (The rules are Flink's, see its
// StatusWatermarkValve.)
type valve struct {
	channels []channel
	low      int64
	// atLow counts the counting channels that are at low, so that a rise elsewhere
	// costs nothing.
	atLow int
	open  int
	// idle tells that every open channel is.
	idle bool
}

type channel struct {
	watermark int64
	state     channelState
}

type channelState uint8

const (
	// counts: the channel's watermark holds back the task's.
	counts channelState = iota
	// lags: it was idle, and is behind the task's watermark.
	lags
	// idles: nothing comes on it for a while.
	idles
)

func newValve(channels int) *valve {
	v := &valve{channels: make([]channel, channels), low: NoTime, atLow: channels, open: channels}
	for i := range v.channels {
		v.channels[i].watermark = NoTime
	}
	return v
}

// restore begins at a watermark, which every channel had reached.
func (v *valve) restore(low int64) {
	v.low = low
	for i := range v.channels {
		v.channels[i].watermark = low
	}
}

// raise notes that records or a watermark came on a channel, and reports whether
// the task's watermark has risen. A watermark that falls is ignored.
func (v *valve) raise(index int, t int64) (rose bool) {
	c := &v.channels[index]
	old := c.watermark
	if t <= old && c.state == counts {
		return false
	}
	c.watermark = max(old, t)
	if c.state != counts {
		v.idle = false
		return v.comeBack(c)
	}
	if old != v.low {
		return false
	}
	if v.atLow--; v.atLow > 0 {
		return false
	}
	return v.settle()
}

// comeBack lets a channel count again if it is not behind.
func (v *valve) comeBack(c *channel) (rose bool) {
	c.state = lags
	if c.watermark < v.low {
		return false
	}
	c.state = counts
	// Where no other counts, it alone decides.
	return v.settle()
}

// rest notes that a channel is idle, and reports whether the task's watermark has
// risen.
func (v *valve) rest(index int) (rose bool) {
	c := &v.channels[index]
	c.state = idles
	return v.settle()
}

// settle computes the watermark anew. When all channels that are open are idle it
// is the largest of theirs, since what they may still bring is as late as what
// the furthest brings.
func (v *valve) settle() (rose bool) {
	low, atLow, highest, active, ended := MaxTime, 0, NoTime, false, 0
	for i := range v.channels {
		c := &v.channels[i]
		switch {
		case c.watermark == MaxTime:
			ended++
			continue // it holds back nobody
		case c.state == idles:
			highest = max(highest, c.watermark)
			continue
		}
		active = true
		switch {
		case c.state == lags || c.watermark > low:
		case c.watermark < low:
			low, atLow = c.watermark, 1
		default:
			atLow++
		}
	}
	v.idle = !active && ended < len(v.channels)
	switch {
	case v.idle:
		low, atLow = highest, 0
	case active && atLow == 0: // those that are active lag
		low = v.low
	}
	if low <= v.low {
		v.atLow = atLow
		return false
	}
	v.low, v.atLow = low, atLow
	return true
}

// end notes that a channel will send nothing more, and reports whether it was
// the last one.
func (v *valve) end() (all bool) {
	v.open--
	return v.open == 0
}
