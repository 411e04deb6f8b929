package task

import "time"

// Alignment keeps the splits of the sources of a group from running ahead.
type Alignment struct {
	// Group names the sources that wait for one another; empty for none.
	Group string
	// MaxDrift is how far ahead of the slowest a watermark may be; a split that is
	// further is not read.
	MaxDrift time.Duration
	// Interval is how often a subtask reports its watermark, and hears of the others.
	Interval time.Duration
}

// AlignmentReport is what a source's subtask tells its group. Whoever collects the
// reports answers with [Host.Align].
type AlignmentReport struct {
	Group string
	// Watermark is that of the slowest split that is read and not idle: NoTime before
	// its first record, MaxTime if there is nobody to wait for.
	Watermark int64
	// MaxDrift in ms.
	MaxDrift int64
}

// limits are how far splits may be read: remote is what the group allows, local
// follows from the splits of the same subtask.
type limits struct{ remote, local int64 }

func newLimits() limits { return limits{remote: MaxTime, local: MaxTime} }

func (l limits) forbid(watermark int64) bool { return watermark > min(l.remote, l.local) }

// align begins to report, and takes the answers.
func (r *timestampReceiver[T]) align() {
	r.ctx.aligned = append(r.ctx.aligned, func(group string, limit int64) {
		if group == r.strategy.Alignment.Group {
			r.limits.remote = limit
			r.drift()
		}
	})
	r.ctx.At(r.ctx.Now(), r.report)
}

// report says how far this subtask is, and is called again after the interval.
func (r *timestampReceiver[T]) report(int64) error {
	if r.ended {
		return nil
	}
	r.ctx.At(later(r.ctx.Now(), max(1, r.strategy.Alignment.Interval.Milliseconds())), r.report)
	watermark, active := r.parts.slowest()
	if len(r.parts.list) == 0 {
		watermark, active = r.parts.low, true // between two splits
	}
	if !active {
		watermark = MaxTime
	}
	r.say(watermark)
	return nil
}

// reportEnd has nobody wait for this subtask any more.
func (r *timestampReceiver[T]) reportEnd() {
	if r.strategy.Alignment.Group != "" {
		r.say(MaxTime)
	}
}

func (r *timestampReceiver[T]) say(watermark int64) {
	if r.ctx.report != nil {
		a := r.strategy.Alignment
		r.ctx.report(AlignmentReport{Group: a.Group, Watermark: watermark, MaxDrift: a.MaxDrift.Milliseconds()})
	}
}

// bound computes anew how far the splits of this subtask let each other run ahead.
func (r *timestampReceiver[T]) bound() {
	slowest, active := r.parts.slowest()
	r.limits.local = MaxTime
	if active {
		r.limits.local = later(slowest, r.strategy.Alignment.MaxDrift.Milliseconds())
	}
	r.drift()
}

// drift publishes how far the watermark is beyond what the group allows; it is
// negative below that, and 0 where the group has set no limit.
func (r *timestampReceiver[T]) drift() {
	drift := int64(0)
	if low, limit := r.parts.low, r.limits.remote; limit != MaxTime && limit != NoTime && low != NoTime {
		if drift = low - limit; limit < 0 && drift < low {
			drift = MaxTime
		}
	}
	r.ctx.figures.AlignmentDrift.Store(drift)
}

func (r *timestampReceiver[T]) paused(split int) bool {
	return r.strategy.Alignment.Group != "" && r.limits.forbid(r.split(split).watermark)
}
