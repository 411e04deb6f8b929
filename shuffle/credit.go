package shuffle

import (
	"errors"
	"fmt"
)

// ledger accounts for the buffers of one gate: who may send how much, which
// channel a buffer belongs to when it comes back, and when it is worth a write
// of its own to say so. It only counts; it knows no buffer, lock or connection.
//
// Each channel has its exclusive buffers; the rest of the gate's are floating.
// A sender says with each frame how many buffers wait behind it, its backlog,
// and the channel then holds, as long as floating buffers are left, as many as
// that beside its exclusive ones. A channel that gets less waits in line: each
// floating buffer that comes back goes to the channel that waits longest.
//
// Every buffer is in exactly one place:
//
//	buffers = floating + Σ (outstanding + pending + inUse) over the channels
//
// and a channel that has not ended never has less than its exclusive buffers,
// which is why the receiver never blocks: to each frame that a sender may send
// belongs a buffer that is free.
type ledger struct {
	exclusive int32
	floating  int32
	channels  []account
	waiting   fifo[int32]
	// dry is the number of channels whose sender has no credit while there is
	// some to announce.
	dry int32
}

// account is the part of a ledger that belongs to one channel.
type account struct {
	outstanding int32 // credit the sender has: a free buffer is kept for each
	pending     int32 // credit not announced yet: free buffers, too
	inUse       int32 // buffers received and not yet recycled
	// peak and last are the largest backlog of the current and the previous
	// period of demandPeriod frames. Bursts end with a small backlog, so the
	// latest one alone would take the floating buffers away after each burst.
	peak, last int32
	frames     int32
	// soon is set when the pending credit is to be announced at once.
	soon    bool
	waiting bool
	ended   bool
}

// demandPeriod is the number of frames after which a larger backlog is
// forgotten, at the latest after twice as many.
const demandPeriod = 32

// newLedger returns the accounts of a gate: every channel starts with its
// exclusive buffers as credit to announce.
func newLedger(channels, exclusive, buffers int) ledger {
	l := ledger{
		exclusive: int32(exclusive),
		floating:  int32(buffers - channels*exclusive),
		channels:  make([]account, channels),
	}
	for i := range l.channels {
		l.channels[i].pending = l.exclusive
	}
	l.dry = int32(channels)
	return l
}

// demand is how much credit beside the exclusive one the sender can use.
func (a *account) demand() int32 { return max(a.peak, a.last) }

// held is the number of buffers that the channel has.
func (a *account) held() int32 { return a.outstanding + a.pending + a.inUse }

func (a *account) isDry() bool { return a.outstanding == 0 && a.pending > 0 }

// short tells whether the channel would use a floating buffer.
func (l *ledger) short(a *account) bool {
	return !a.ended && a.outstanding+a.pending < l.exclusive+a.demand()
}

// receive accounts for a data frame on channel c, which says how many more
// wait behind it. Credit may have been added to c alone. It is an error when
// the sender had no credit.
func (l *ledger) receive(c int, backlog uint32) error {
	a := &l.channels[c]
	if a.ended {
		return errors.New("a buffer arrived after the end of input")
	}
	if a.outstanding == 0 {
		return fmt.Errorf("a buffer arrived without credit: %d are in use, %d can be announced", a.inUse, a.pending)
	}
	l.update(a, func() {
		a.outstanding--
		a.inUse++
		if a.frames++; a.frames >= demandPeriod {
			a.frames, a.last, a.peak = 0, a.peak, 0
		}
		a.peak = max(a.peak, int32(min(backlog, maxCredit)))
		for l.floating > 0 && l.short(a) {
			l.floating--
			a.pending++
			a.soon = true
		}
	})
	if l.short(a) && !a.waiting {
		a.waiting = true
		l.waiting.push(int32(c))
	}
	return nil
}

// recycle accounts for a buffer of channel c that came back. It returns the
// channel that got credit for it, or -1 when the buffer floats.
func (l *ledger) recycle(c int) int {
	a := &l.channels[c]
	a.inUse--
	if !a.ended && a.held() < l.exclusive {
		l.update(a, func() { a.pending++ })
		return c
	}
	l.floating++ // the channel is in line already if it goes short
	return l.grant()
}

// grant gives one floating buffer to the channel that waits longest, and
// returns it, or -1 when none waits or nothing floats.
func (l *ledger) grant() int {
	for l.floating > 0 && l.waiting.len() > 0 {
		c := l.waiting.pop()
		a := &l.channels[c]
		a.waiting = false
		if !l.short(a) {
			continue
		}
		l.floating--
		l.update(a, func() { a.pending++ })
		if l.short(a) {
			a.waiting = true
			l.waiting.push(c)
		}
		return int(c)
	}
	return -1
}

// announce moves the pending credit of channel c to its sender and returns it.
func (l *ledger) announce(c int) int {
	a := &l.channels[c]
	n := a.pending
	l.update(a, func() {
		a.pending, a.soon = 0, false
		a.outstanding += n
	})
	return int(n)
}

// end accounts for the end of channel c: nothing will arrive on it any more,
// and its free buffers float. Each call of grant hands one of them on.
func (l *ledger) end(c int) {
	a := &l.channels[c]
	if a.ended {
		return
	}
	l.update(a, func() {
		l.floating += a.outstanding + a.pending
		a.outstanding, a.pending, a.ended = 0, 0, true
	})
}

// urgent tells whether the pending credit of channel c is worth a write of its
// own: when it is half of what the channel has, the sender has at most the
// other half, and there is time for the announcement to reach it before it
// runs out. Credit that is not urgent travels with the next write, whatever
// that is for. But a sender that got floating buffers is told at once; and so
// is one without credit when the task is idle, that is, has nothing that it
// could still recycle.
func (l *ledger) urgent(c int, idle bool) bool {
	a := &l.channels[c]
	if a.pending == 0 {
		return false
	}
	return a.soon || 2*a.pending >= a.held() || idle && a.outstanding == 0
}

// update keeps dry in step with a change of a.
func (l *ledger) update(a *account, change func()) {
	before := a.isDry()
	change()
	switch after := a.isDry(); {
	case after && !before:
		l.dry++
	case before && !after:
		l.dry--
	}
}
