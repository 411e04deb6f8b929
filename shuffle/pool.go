package shuffle

import (
	"fmt"
	"sync"
)

// A Pool is a fixed number of buffers that belong to one [Partition] or one
// [Gate]. It hands out the buffer that came back last, since that one is most
// likely still in the processor's cache.
type Pool struct {
	arena *Arena
	name  string
	size  int
	// ready tells the partition's task that a buffer came back.
	ready chan struct{}

	mu struct {
		sync.Mutex
		free []*Buffer
		out  int // buffers that somebody has
		// user is who the pool belongs to, for messages; empty until then.
		user string
		// gate is set when the pool belongs to a gate. The gate's credit
		// accounting is guarded by this mutex.
		gate *Gate
		// waiting is set when the partition found no buffer.
		waiting bool
		// failed is why the partition can send no more.
		failed error
		closed bool
	}
}

// Name is the name that the pool was made with.
func (p *Pool) Name() string { return p.name }

// Size is the number of buffers that the pool was made with.
func (p *Pool) Size() int { return p.size }

// Out is the number of buffers that are not in the pool at this moment.
func (p *Pool) Out() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.out
}

// Close gives the segments back to the arena: those in the pool now, the
// others as they are recycled. Close the pool's partition or gate first.
// Closing again does nothing.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return
	}
	p.mu.closed = true
	p.arena.giveBack(p.mu.free...)
	p.mu.free = nil
	p.signalLocked()
}

// attach makes the pool the property of one partition or gate.
func (p *Pool) attach(user string, gate *Gate) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return fmt.Errorf("buffer pool %q is closed", p.name)
	}
	if p.mu.user != "" {
		return fmt.Errorf("buffer pool %q belongs to %s already", p.name, p.mu.user)
	}
	p.mu.user, p.mu.gate = user, gate
	return nil
}

// detach ends what attach began.
func (p *Pool) detach() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.user, p.mu.gate = "", nil
}

// request takes a buffer, nil when none is free; waiting callers are told
// through ready.
func (p *Pool) request() (*Buffer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.failed != nil {
		return nil, p.mu.failed
	}
	if p.mu.closed {
		return nil, ErrClosed
	}
	b := p.popLocked()
	if b == nil {
		p.mu.waiting = true
	}
	return b, nil
}

func (p *Pool) popLocked() *Buffer {
	last := len(p.mu.free) - 1
	if last < 0 {
		return nil
	}
	b := p.mu.free[last]
	p.mu.free = p.mu.free[:last]
	p.mu.out++
	b.lend()
	return b
}

func (p *Pool) recycle(b *Buffer) {
	note := p.recycled(b)
	note.send()
}

// recycled takes a buffer home and says what credit is to be announced.
func (p *Pool) recycled(b *Buffer) creditNote {
	p.mu.Lock()
	defer p.mu.Unlock() // deferred, since homeLocked may panic
	p.homeLocked(b)
	if g := p.mu.gate; g != nil {
		return g.recycledLocked(int(b.channel))
	}
	if p.mu.waiting {
		p.signalLocked()
	}
	return creditNote{}
}

// recycleAll is recycle for several buffers at once.
func (p *Pool) recycleAll(buffers []*Buffer) {
	p.mu.Lock()
	if p.mu.gate != nil { // buffers that were received and sent on
		p.mu.Unlock()
		for _, b := range buffers {
			p.recycle(b)
		}
		return
	}
	defer p.mu.Unlock()
	for _, b := range buffers {
		p.homeLocked(b)
	}
	if p.mu.waiting {
		p.signalLocked()
	}
}

func (p *Pool) homeLocked(b *Buffer) {
	if b.free {
		panic(fmt.Sprintf("shuffle: a buffer of pool %q was recycled twice", p.name))
	}
	b.home()
	p.mu.out--
	if p.mu.closed {
		p.arena.giveBack(b)
		return
	}
	p.mu.free = append(p.mu.free, b)
}

func (p *Pool) signalLocked() {
	p.mu.waiting = false
	select {
	case p.ready <- struct{}{}:
	default:
	}
}

// available tells whether request would answer at once.
func (p *Pool) available() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.mu.free) > 0 || p.mu.failed != nil || p.mu.closed {
		return true
	}
	p.mu.waiting = true
	return false
}

// fail makes every request answer with err from now on.
func (p *Pool) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.failed == nil {
		p.mu.failed = err
	}
	p.signalLocked()
}

// notify wakes who waits on ready.
func (p *Pool) notify() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signalLocked()
}
