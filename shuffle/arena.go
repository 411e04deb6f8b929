package shuffle

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

const (
	// HeaderSize is the number of bytes at the start of a segment that are
	// kept for the frame header, so that header and payload of a frame lie
	// side by side and are written as one piece.
	HeaderSize = 64
	// SlackSize is the number of bytes at the end of a segment into which the
	// receiver reads ahead: the header of the frame that follows.
	SlackSize = 64

	// minSegmentSize and maxSegmentSize bound taskmanager.memory.segment-size.
	minSegmentSize = 512
	maxSegmentSize = 64 << 20
)

// An Arena is the network memory of one slot: memory outside of the Go heap,
// cut into segments of equal size. Pools take segments from it and give them
// back. All methods may be called concurrently.
type Arena struct {
	memory      []byte
	segmentSize int
	buffers     []Buffer

	mu struct {
		sync.Mutex
		free   []*Buffer
		closed bool
	}
}

// NewArena returns an arena of its own, private to this process: embedded mode
// and tests use it. A segment's size, in bytes, is a multiple of 64 between
// 512 and 64 MiB.
func NewArena(segments, segmentSize int) (*Arena, error) {
	if err := checkSegmentSize(segmentSize); err != nil {
		return nil, err
	}
	if segments < 1 {
		return nil, fmt.Errorf("network memory of %d segments: at least 1 is needed", segments)
	}
	memory, err := mapAnonymous(segments * segmentSize)
	if err != nil {
		return nil, fmt.Errorf("map network memory of %d segments of %d bytes: %w", segments, segmentSize, err)
	}
	return newArena(memory, segmentSize), nil
}

// MapArena returns an arena over the whole of f, a memory file that the
// TaskManager handed over. Its size is a multiple of segmentSize. The mapping
// does not need f any longer: the caller may close it.
func MapArena(f *os.File, segmentSize int) (*Arena, error) {
	if err := checkSegmentSize(segmentSize); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("size of network memory %s: %w", f.Name(), err)
	}
	size := info.Size()
	if size < int64(segmentSize) || size%int64(segmentSize) != 0 {
		return nil, fmt.Errorf("network memory %s has %d bytes: want a multiple of the segment size, %d", f.Name(), size, segmentSize)
	}
	memory, err := mapFile(f, int(size))
	if err != nil {
		return nil, fmt.Errorf("map network memory %s of %d bytes: %w", f.Name(), size, err)
	}
	return newArena(memory, segmentSize), nil
}

func checkSegmentSize(n int) error {
	if n < minSegmentSize || n > maxSegmentSize || n%64 != 0 {
		return fmt.Errorf("segment size %d: want a multiple of 64 between %d and %d", n, minSegmentSize, maxSegmentSize)
	}
	return nil
}

func newArena(memory []byte, segmentSize int) *Arena {
	n := len(memory) / segmentSize
	a := &Arena{memory: memory, segmentSize: segmentSize, buffers: make([]Buffer, n)}
	a.mu.free = make([]*Buffer, 0, n)
	// The first segment ends up on top of the stack, so that a job that needs
	// little touches the start of the memory only.
	for i := n - 1; i >= 0; i-- {
		a.buffers[i].segment = memory[i*segmentSize : (i+1)*segmentSize : (i+1)*segmentSize]
		a.mu.free = append(a.mu.free, &a.buffers[i])
	}
	return a
}

// Segments is the number of segments that the arena was cut into.
func (a *Arena) Segments() int { return len(a.buffers) }

// SegmentSize is the size of a segment in bytes; a buffer's payload has
// [HeaderSize] + [SlackSize] bytes less.
func (a *Arena) SegmentSize() int { return a.segmentSize }

// Free is the number of segments that no pool holds.
func (a *Arena) Free() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.mu.free)
}

// NewPool moves exactly the given number of segments into a new pool. When
// there are not as many, the error says what is needed and what is there. The
// name is for messages, such as "window gate 0".
func (a *Arena) NewPool(name string, buffers int) (*Pool, error) {
	if buffers < 1 {
		return nil, fmt.Errorf("buffer pool %q of %d buffers: at least 1 is needed", name, buffers)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mu.closed {
		return nil, fmt.Errorf("buffer pool %q: the network memory is closed", name)
	}
	if free := len(a.mu.free); free < buffers {
		return nil, fmt.Errorf("insufficient number of network buffers: %q requires %d, but only %d of %d are available", name, buffers, free, len(a.buffers))
	}
	p := &Pool{arena: a, name: name, size: buffers, ready: make(chan struct{}, 1)}
	rest := len(a.mu.free) - buffers
	p.mu.free = make([]*Buffer, 0, buffers)
	for i := len(a.mu.free) - 1; i >= rest; i-- {
		b := a.mu.free[i]
		b.pool = p
		b.home()
		p.mu.free = append(p.mu.free, b)
		a.mu.free[i] = nil
	}
	a.mu.free = a.mu.free[:rest]
	return p, nil
}

// giveBack returns segments of a closed pool.
func (a *Arena) giveBack(buffers ...*Buffer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range buffers {
		b.pool = nil
		a.mu.free = append(a.mu.free, b)
	}
}

// ErrBuffersOut is what [Arena.Close] refuses with while pools hold segments:
// unmapping memory that somebody may still write to would end the process.
var ErrBuffersOut = errors.New("network buffers are still out")

// Close unmaps the memory. It refuses with [ErrBuffersOut] as long as a pool
// holds segments. Closing again does nothing.
func (a *Arena) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mu.closed {
		return nil
	}
	if out := len(a.buffers) - len(a.mu.free); out > 0 {
		return fmt.Errorf("close network memory: %d of %d segments: %w", out, len(a.buffers), ErrBuffersOut)
	}
	if err := unmap(a.memory); err != nil {
		return fmt.Errorf("unmap network memory: %w", err)
	}
	a.mu.closed = true
	return nil
}
