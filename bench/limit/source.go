package main

import (
	"context"
	"encoding/binary"
)

// mix spreads the bits of a key.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// owner returns which process counts a key.
func owner(key uint64) int { return int(mix(key)>>40) & 1 }

// source makes the events of this process's split, each in the open buffer of
// the process that owns its key.
func (c *peer) source(ctx context.Context) error {
	var open [processes][]byte
	var err error
	for p := range open {
		if open[p], err = take(ctx, c.free); err != nil {
			return err
		}
	}
	x, keys, rate := uint64(c.id)*7919+1, c.params.Keys, c.params.Rate
	for i := range c.params.Events {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		key := x % keys
		to := owner(key)
		b := open[to]
		b = binary.LittleEndian.AppendUint64(b, key)
		b = binary.LittleEndian.AppendUint64(b, uint64(i*2000/rate))
		b = binary.LittleEndian.AppendUint64(b, x>>40)
		b = binary.LittleEndian.AppendUint64(b, x)
		if len(b) == cap(b) {
			if b, err = c.handOn(ctx, to, b); err != nil {
				return err
			}
		}
		open[to] = b
	}
	return c.finish(ctx, open)
}

// handOn gives away a buffer and returns an empty one.
func (c *peer) handOn(ctx context.Context, to int, full []byte) ([]byte, error) {
	if err := c.give(ctx, to, full); err != nil {
		return nil, err
	}
	return take(ctx, c.free)
}

func (c *peer) give(ctx context.Context, to int, buffer []byte) error {
	if to == c.id {
		return put(ctx, c.arrived, inputRun{fromMyself, buffer})
	}
	return put(ctx, c.outgoing, buffer)
}

// finish gives away the buffers that are not full, and says that these were all.
func (c *peer) finish(ctx context.Context, open [processes][]byte) error {
	for to, b := range open {
		if len(b) == 0 {
			continue
		}
		if err := c.give(ctx, to, b); err != nil {
			return err
		}
	}
	close(c.outgoing)
	return put(ctx, c.arrived, inputRun{fromMyself, nil})
}
