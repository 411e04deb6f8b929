package key

import "unsafe"

const (
	minChunk = 1 << 10
	maxChunk = 64 << 10
)

// Arena holds the bytes of cloned strings, in chunks, so that the collector sees
// one object where it would see hundreds. The zero value is ready. It has one
// owner and is not safe for concurrent use.
//
// The arena refers only to the chunk it fills. A full chunk lives as long as a
// string in it does, and no byte is ever written twice: a cloned string may be
// kept by anyone, also after Reset.
type Arena struct {
	free []byte // rest of the chunk in use
	next int    // size of the next chunk
	used int
}

// Clone returns a copy of s whose bytes are in the arena.
func (a *Arena) Clone(s string) string {
	if len(s) == 0 {
		return ""
	}
	if len(s) > len(a.free) && !a.grow(len(s)) {
		a.used += len(s)
		return string([]byte(s)) // long: an object of its own
	}
	a.used += len(s)
	n := copy(a.free, s)
	c := unsafe.String(unsafe.SliceData(a.free), n)
	a.free = a.free[n:]
	return c
}

// grow begins a new chunk unless n is so long that too much of the chunk would
// be left unused. Chunks double from 1 KiB to 64 KiB, so that a small table
// stays small.
func (a *Arena) grow(n int) bool {
	if n > maxChunk/8 {
		return false
	}
	size := max(a.next, minChunk)
	for size < 8*n {
		size *= 2
	}
	a.free = make([]byte, size)
	a.next = min(2*size, maxChunk)
	return true
}

// Used returns the bytes that were cloned since the last Reset.
func (a *Arena) Used() int { return a.used }

// Reset lets go of the chunk in use. Strings that were cloned stay valid.
func (a *Arena) Reset() { *a = Arena{next: a.next} }
