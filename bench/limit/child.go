package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/weirstream/weir/bench/internal/report"
	"github.com/weirstream/weir/bench/internal/workload"
	"github.com/weirstream/weir/internal/goroutine"
)

// The sizes of the buffers and how many there are. The queues have room for all
// of a pool, so that only an empty pool holds the source back.
const (
	eventSize    = 32
	bufferSize   = 32 << 10
	bufferCount  = 64
	receiveSize  = 8 * bufferSize
	receiveCount = 16
	fromMyself   = 0
	fromPeer     = 1
	sendFile     = 3
	receiveFile  = 4
	noMore       = int64(1) << 62 // the window that an input is in after its end
	initialTable = 1 << 10        // slots
)

// inputRun is a number of whole events from one of the inputs of the aggregate; nil
// data is the input's end.
type inputRun struct {
	input int
	data  []byte
}

// peer is one of the two processes.
type peer struct {
	id     int
	params workload.Params

	free     chan []byte   // empty buffers of the source
	outgoing chan []byte   // full ones, for the other process
	received chan []byte   // empty buffers of the receiver
	arrived  chan inputRun // for this process's aggregate

	receivedEvents int64
	result         workload.Result
}

// child is the main of one of the processes.
func child(id int, p workload.Params, stdout io.Writer) error {
	if id >= processes {
		return fmt.Errorf("-id %d: there are %d processes", id, processes)
	}
	out, err := inherited(sendFile)
	if err != nil {
		return err
	}
	defer out.Close()
	in, err := inherited(receiveFile)
	if err != nil {
		return err
	}
	defer in.Close()
	c, err := newPeer(id, p)
	if err != nil {
		return err
	}
	if err := c.run(out, in); err != nil {
		return err
	}
	return report.Print(stdout, childLine{Result: c.result, Received: c.receivedEvents})
}

// inherited returns a connection that the parent has made.
func inherited(fd uintptr) (*net.TCPConn, error) {
	file := os.NewFile(fd, "connection")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("file descriptor %d is no connection: run limit without -id: %w", fd, err)
	}
	return conn.(*net.TCPConn), nil
}

func newPeer(id int, p workload.Params) (*peer, error) {
	c := &peer{
		id: id, params: p,
		free: make(chan []byte, bufferCount), outgoing: make(chan []byte, bufferCount),
		received: make(chan []byte, receiveCount), arrived: make(chan inputRun, bufferCount),
	}
	memory, err := unix.Mmap(-1, 0, bufferCount*bufferSize+receiveCount*receiveSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map memory for buffers: %w", err)
	}
	take := func(n int) []byte {
		buffer := memory[:0:n]
		memory = memory[n:]
		return buffer
	}
	for range bufferCount {
		c.free <- take(bufferSize)
	}
	for range receiveCount {
		c.received <- take(receiveSize)
	}
	return c, nil
}

// run does the work of this process.
func (c *peer) run(out, in *net.TCPConn) error {
	group := goroutine.New(context.Background())
	group.Go(func(ctx context.Context) error { return c.send(ctx, out) })
	group.Go(func(ctx context.Context) error { return c.receive(ctx, in) })
	group.Go(c.aggregate)
	group.Go(c.source)
	return group.Wait()
}

// put hands a value on, unless the process is failing.
func put[T any](ctx context.Context, to chan<- T, value T) error {
	select {
	case to <- value:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// take waits for a value, unless the process is failing.
func take[T any](ctx context.Context, from <-chan T) (value T, err error) {
	select {
	case value = <-from:
		return value, nil
	case <-ctx.Done():
		return value, context.Cause(ctx)
	}
}
