package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
)

// send writes full buffers to the other process, until there are no more.
func (c *peer) send(ctx context.Context, out *net.TCPConn) error {
	for {
		select {
		case b, more := <-c.outgoing:
			if !more {
				return out.CloseWrite()
			}
			if _, err := out.Write(b); err != nil {
				return fmt.Errorf("send to the other process: %w", err)
			}
			if err := put(ctx, c.free, b[:0]); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// receive cuts what arrives into runs of whole events. The part of an event at
// the end of one read begins the buffer of the next.
func (c *peer) receive(ctx context.Context, in *net.TCPConn) error {
	var part [eventSize]byte
	parted := 0
	for {
		b, err := take(ctx, c.received)
		if err != nil {
			return err
		}
		b = b[:cap(b)]
		copy(b, part[:parted])
		n, readErr := in.Read(b[parted:])
		n += parted
		whole := n / eventSize * eventSize
		parted = copy(part[:], b[whole:n])
		if err := c.arrive(ctx, b[:whole]); err != nil {
			return err
		}
		switch {
		case errors.Is(readErr, io.EOF) && parted == 0:
			return put(ctx, c.arrived, inputRun{fromPeer, nil})
		case errors.Is(readErr, io.EOF):
			return fmt.Errorf("the other process has sent %d bytes of an event", parted)
		case readErr != nil:
			return fmt.Errorf("receive from the other process: %w", readErr)
		}
	}
}

// arrive hands events to the aggregate, if there are any.
func (c *peer) arrive(ctx context.Context, events []byte) error {
	if len(events) == 0 {
		return put(ctx, c.received, events)
	}
	c.receivedEvents += int64(len(events) / eventSize)
	return put(ctx, c.arrived, inputRun{fromPeer, events})
}
