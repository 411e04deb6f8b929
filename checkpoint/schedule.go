package checkpoint

import (
	"fmt"
	"slices"
	"time"
)

// schedule starts a checkpoint if one is due. Whatever was put off is made up
// for by one checkpoint, however many intervals have passed (C7).
func (c *Coordinator) schedule() {
	if !c.running || c.failing || c.allocation != nil {
		return
	}
	switch {
	case c.allEnded():
		if c.finished == 0 && !c.finalPending() && !c.now.Before(c.retry) {
			c.startFinal()
		}
	case !c.room():
	case len(c.requests) > 0:
		c.allocate()
	default:
		if at, ok := c.periodic(); ok && c.rules.due(at, c.now) {
			c.allocate()
			// At a fixed rate, but what was missed is not made up for.
			c.due = c.due.Add(c.config.Interval)
			if !c.due.After(c.now) {
				c.due = c.now.Add(c.config.Interval)
			}
		}
	}
}

// room reports whether another checkpoint may be under way.
func (c *Coordinator) room() bool { return len(c.pending) < c.config.MaxConcurrent }

// periodic returns when the next periodic checkpoint may start.
func (c *Coordinator) periodic() (at time.Time, ok bool) {
	if c.due.IsZero() {
		return time.Time{}, false
	}
	if pause := c.lastCompletion.Add(c.config.MinPause); !c.lastCompletion.IsZero() && pause.After(c.due) {
		return pause, true
	}
	return c.due, true
}

func (c *Coordinator) finalPending() bool {
	return slices.ContainsFunc(c.pending, func(p *pending) bool { return p.final && p.attempt == c.attempt })
}

// startFinal starts the final checkpoint at once. What was triggered while some
// task had not ended gives way to it, unless the store is asked already.
func (c *Coordinator) startFinal() {
	for _, p := range slices.Clone(c.pending) {
		if p.phase < recording {
			c.requests = append(c.requests, p.requests...)
			p.requests = nil
			c.abort(p, "all tasks have ended, so that the final checkpoint takes its place")
		}
	}
	c.allocate()
}

// allocate asks for an id, which comes before anything else (C1).
func (c *Coordinator) allocate() {
	c.allocated++
	c.allocation = &allocation{number: c.allocated, deadline: c.now.Add(c.config.Timeout)}
	c.do(AllocateID{Allocation: c.allocated})
}

func (c *Coordinator) idAllocated(e IDAllocated) {
	if c.allocation == nil || c.allocation.number != e.Allocation {
		c.lastID = max(c.lastID, e.ID)
		c.drop(e, 0, e.ID, "nobody waits for it any more: it is skipped")
		return
	}
	c.allocation = nil
	if e.ID <= c.lastID {
		c.fail(fmt.Sprintf("the metadata store allocated checkpoint id %d again: %d is taken", e.ID, c.lastID))
		return
	}
	c.lastID = e.ID
	c.trigger(e.ID)
}

func (c *Coordinator) idRefused(e IDRefused) {
	if c.allocation == nil || c.allocation.number != e.Allocation {
		c.drop(e, 0, 0, "nobody waits for it any more")
		return
	}
	c.allocation = nil
	c.fail("no checkpoint id could be allocated: " + e.Reason)
}

// trigger starts a checkpoint that has its id.
func (c *Coordinator) trigger(id ID) {
	p := &pending{
		id: id, attempt: c.attempt, triggered: c.now, deadline: c.now.Add(c.config.Timeout),
		tasks: c.places, acknowledged: make([]*Acknowledgement, len(c.order)), final: c.allEnded(), requests: c.requests,
	}
	c.requests = nil
	c.pending = append(c.pending, p)
	c.history.started(p)
	var base ID
	if c.latest != nil {
		base = c.latest.ID
	}
	c.do(Started{ID: id, Base: base})
	c.do(TriggerTasks{Attempt: c.attempt, ID: id, Timestamp: c.now, Mode: c.config.Mode, Base: base, Final: p.final})
}

// fail counts a checkpoint that failed. Too many in a row fail the job, whose
// attempt is over before another one is triggered.
func (c *Coordinator) fail(reason string) {
	c.retry = c.now.Add(retryAfter)
	c.failures++
	if c.failures <= c.config.TolerableFailed || !c.running || c.failing {
		return
	}
	c.do(FailJob{Attempt: c.attempt, Reason: fmt.Sprintf(
		"exceeded checkpoint tolerable failure threshold (execution.checkpointing.tolerable-failed-checkpoints: %d): %s", c.config.TolerableFailed, reason,
	)})
	c.failures, c.failing, c.allocation = 0, true, nil
}

// Deadline returns when a [Tick] is due at the latest, and false if none is.
func (c *Coordinator) Deadline() (time.Time, bool) {
	var first time.Time
	expect := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	expect(c.repeat)
	if c.allocation != nil {
		expect(c.allocation.deadline)
	}
	for _, p := range c.pending {
		expect(p.deadline)
		expect(p.retry)
	}
	if c.running && !c.failing && c.allocation == nil {
		if c.allEnded() {
			if c.finished == 0 && !c.finalPending() {
				expect(c.retry)
			}
		} else if at, ok := c.periodic(); ok && c.room() {
			expect(at)
		}
	}
	return first, !first.IsZero()
}

// tick acts on every deadline that has passed but that of the next checkpoint,
// which schedule looks after.
func (c *Coordinator) tick() {
	if c.allocation != nil && c.rules.due(c.allocation.deadline, c.now) {
		c.allocation = nil
		c.fail(fmt.Sprintf("no checkpoint id was allocated within execution.checkpointing.timeout (%s)", c.config.Timeout))
	}
	for _, p := range slices.Clone(c.pending) {
		if c.rules.due(p.deadline, c.now) {
			c.expire(p)
		}
		if c.rules.due(p.retry, c.now) {
			p.retry = time.Time{}
			c.askAgain(p)
		}
	}
	if c.rules.due(c.repeat, c.now) {
		if c.unanswered > 0 {
			c.sendNotification()
		} else {
			c.finish()
		}
	}
}
