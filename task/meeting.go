package task

// meeting is where several channels lead into one operator: it hands on the signals
// that the valve makes of theirs.
type meeting struct {
	ctx   *Context
	valve *valve
	to    signals
}

func newMeeting(ctx *Context, channels int, to signals) *meeting {
	return &meeting{ctx: ctx, valve: newValve(channels), to: to}
}

// raise notes that a channel brought records or a watermark.
func (m *meeting) raise(channel int, t int64) error {
	was := m.valve.idle
	return m.signal(m.valve.raise(channel, t), was)
}

// rest notes that a channel is idle. The operator's input is when all of them are.
func (m *meeting) rest(channel int) error {
	was := m.valve.idle
	return m.signal(m.valve.rest(channel), was)
}

// signal hands on what the valve says, given whether all were idle before.
func (m *meeting) signal(rose, wasIdle bool) error {
	if rose {
		m.ctx.figures.Watermark.Store(m.valve.low)
		if err := m.to.Watermark(m.valve.low); err != nil {
			return err
		}
	}
	if wasIdle || !m.valve.idle {
		return nil
	}
	return m.ctx.afterResults(m.to.Idle)
}
