package task

import "slices"

// barriers decides when the barrier of a checkpoint has come on all channels of a
// task, and which channels must wait for it until then. It is a pure state machine.
//
// A channel that has ended counts as one that delivered every barrier: all of its
// records come before them. So a task whose channels have all ended learns of a
// checkpoint from its announcement alone, which every task gets.
type barriers struct {
	// exactlyOnce has a channel wait that has delivered its barrier. Otherwise
	// barriers are only counted, and records behind one of them may be in the
	// checkpoint before it as well.
	exactlyOnce bool
	channels    []barrierChannel
	live        int // channels that have not ended
	// pending are the checkpoints of which a barrier has come, or that were
	// announced, by id. Those up to settled are over: complete here, or given up.
	pending []*alignment
	settled uint64
	// skipped are those above settled that were given up by themselves.
	skipped []uint64
}

// barrierChannel is one of the channels.
type barrierChannel struct {
	// last is the newest barrier that it has delivered.
	last  uint64
	ended bool
}

// alignment is a checkpoint on its way through a task.
type alignment struct {
	id        uint64
	timestamp int64 // of its trigger, in ms since the epoch
	// begun tells that a barrier has come.
	begun bool
}

func newBarriers(channels int, exactlyOnce bool) *barriers {
	return &barriers{exactlyOnce: exactlyOnce, channels: make([]barrierChannel, channels), live: channels}
}

// announce notes that a checkpoint was triggered, and returns those that are
// complete with that.
func (b *barriers) announce(id uint64, timestamp int64) (complete []alignment) {
	b.note(id, timestamp)
	return b.settle()
}

// arrive takes in a barrier, and returns the checkpoints that are complete with it.
// begun tells that it is the first of its checkpoint.
func (b *barriers) arrive(channel int, id uint64, timestamp int64) (begun bool, complete []alignment) {
	c := &b.channels[channel]
	c.last = max(c.last, id)
	if b.exactlyOnce {
		// The channel does not deliver the barriers of older ones any more.
		b.giveUp(id - 1)
	}
	a := b.note(id, timestamp)
	if a == nil {
		return false, nil
	}
	begun, a.begun = !a.begun, true
	return begun, b.settle()
}

// end notes that a channel has ended, and returns what is complete with that.
func (b *barriers) end(channel int) (complete []alignment) {
	if c := &b.channels[channel]; !c.ended {
		c.ended = true
		b.live--
	}
	return b.settle()
}

// abort gives a checkpoint up; earlier tells that this holds for those before it, too.
func (b *barriers) abort(id uint64, earlier bool) {
	if earlier {
		b.giveUp(id)
		return
	}
	if id > b.settled && !slices.Contains(b.skipped, id) {
		b.skipped = append(b.skipped, id)
	}
	b.pending = slices.DeleteFunc(b.pending, func(a *alignment) bool { return a.id == id })
}

// waits reports whether a channel must not be read now: it has delivered a barrier
// that others have not.
func (b *barriers) waits(channel int) bool {
	c := &b.channels[channel]
	return b.exactlyOnce && !c.ended && slices.ContainsFunc(b.pending, func(a *alignment) bool { return a.id == c.last })
}

// note returns the alignment of a checkpoint, nil if it is over.
func (b *barriers) note(id uint64, timestamp int64) *alignment {
	if id <= b.settled || slices.Contains(b.skipped, id) {
		return nil
	}
	i, found := slices.BinarySearchFunc(b.pending, id, func(a *alignment, id uint64) int {
		switch {
		case a.id < id:
			return -1
		case a.id > id:
			return 1
		}
		return 0
	})
	if !found {
		b.pending = slices.Insert(b.pending, i, &alignment{id: id, timestamp: timestamp})
	}
	return b.pending[i]
}

func (b *barriers) giveUp(id uint64) {
	b.settled = max(b.settled, id)
	b.pending = slices.DeleteFunc(b.pending, func(a *alignment) bool { return a.id <= b.settled })
	b.skipped = slices.DeleteFunc(b.skipped, func(id uint64) bool { return id <= b.settled })
}

// settle takes out what has come on all channels. What is older than a complete
// checkpoint is given up: its barriers would come behind those of a newer one.
func (b *barriers) settle() (complete []alignment) {
	for i := 0; i < len(b.pending); i++ {
		if a := b.pending[i]; b.arrived(a.id) {
			complete = append(complete, *a)
			b.giveUp(a.id)
			i = -1
		}
	}
	return complete
}

func (b *barriers) arrived(id uint64) bool {
	return !slices.ContainsFunc(b.channels, func(c barrierChannel) bool { return !c.ended && c.last < id })
}
