// Package shuffle moves records between the subtasks of a job: it owns the
// network buffers, their pools, the credit that says who may send how much,
// the wire format and the connections between workers. It moves bytes, and
// knows no record, operator or state.
//
// # Its room
//
// Package task calls it: it writes typed batches into the payloads of buffers,
// reads them there, and decides which channel a record goes to. The worker
// makes the [Arena] of each slot and the one [Endpoint]. Shuffle calls the
// operating system and nobody else; it does not know configuration keys, gRPC,
// or what a barrier means.
//
// # The types, in reading order
//
//   - [Arena]: the network memory of a slot, outside of the Go heap, in segments.
//   - [Pool] and [Buffer]: segments on loan. A buffer is also a frame: its header
//     lies before the payload, so that both are written as one piece.
//   - [Partition]: the sending end of an exchange for one subtask.
//   - [Gate] and [Inbox]: the receiving end, and the task's mailbox for all its
//     gates.
//   - [Endpoint]: the worker's end of the data plane. It makes partitions and
//     gates and joins them, within the worker by handing buffers over, and to
//     other workers by one connection for each pair.
//
// Inside, outbox.go and credit.go decide what is sent and who gets credit; they
// are plain state machines without locks or I/O. handshake.go, frame.go and
// event.go are what peers say to each other. connection.go, writer.go and
// reader.go are the two goroutines of a connection around all that.
//
// # The way of a buffer
//
// A task requests a buffer from its partition, fills it and sends it. If the
// receiver is local, that is all: the buffer is in the receiver's inbox.
// Otherwise it is queued in the connection's outbox until its channel has
// credit. The writer takes up to 16 buffers at a time, seals their frames and
// writes them with one system call, together with credit for the other
// direction, and recycles them. At the other end the reader reads the header
// (mostly together with the frame before it), takes a buffer of the gate for
// which the credit stood, reads the payload straight into it, verifies it, and
// delivers. When the receiving task recycles the buffer it becomes credit
// again, which is announced when half of the channel's buffers have come back,
// or with whatever is written before.
//
// # Life cycle
//
// [NewArena] or [MapArena], [Listen], [Endpoint.Connect]; partitions and gates
// at any time, in any order on the two sides: nothing is sent on a channel
// before its receiver has announced credit. A task that ends well sends
// [EventEndOfInput] on every channel, calls [Partition.Drain] and then
// [Partition.Close]; one that is cancelled calls Close alone. [Gate.Close]
// discards what still arrives. Then [Pool.Close], [Endpoint.Close] and
// [Arena.Close], which refuses as long as a buffer is out.
//
// # Concurrency
//
// A partition belongs to the goroutine of its task, as do Poll of an inbox and
// Close of a gate. [Buffer.Recycle] and the methods of Arena, Pool and Endpoint
// may be called from anywhere. A connection has a reader and a writer; an
// endpoint has a goroutine that accepts, and one for each handshake under way.
// All are in one group, and Endpoint.Close waits for them.
//
// Locks are taken in this order, and mostly one at a time: local channel,
// connection, pool, arena; local channel, inbox. No lock is held during I/O.
//
// # Invariants
//
//   - S1: a buffer has one owner; it is in its pool, with a task, in a queue, or
//     in an inbox, and in one of these only.
//   - S2: the receiver never blocks: for each credit that a sender has, a buffer of
//     the gate is free.
//   - S3: what is sent on a channel arrives once and in order, except that an event
//     with priority overtakes, and nothing overtakes into a run.
//   - S4: what is under way is bounded by the pools: buffers by their number,
//     watermarks to one for each channel at each end.
//   - S5: what arrives was sent: every bit of a frame is under a checksum, the
//     header under its own, which is verified before a length is believed.
//   - S6: only those who prove the job's secret, and are of the same attempt,
//     executable and segment size, are spoken to.
//   - S7: sending and receiving a buffer allocates nothing.
//
// # Errors
//
// A connection that is lost while channels on it have not ended is a
// [*ConnectionError] with the worker's index and address: [Partition.Request]
// and [Partition.Drain] return it, each inbox concerned delivers it in an event
// of kind [EventConnectionLost], and [EndpointConfig.OnFailure] is told. It is
// final: the job's attempt is over. A partition that is closed, or whose
// endpoint is, fails with [ErrClosed]; a wait that its caller ended with
// [ErrStopped].
//
// # Testing
//
// The state machines are checked against models with random steps
// (credit_test.go, flow_test.go). protocol_test.go plays a peer that knows the
// secret and breaks the rules; relay_test.go is a network that can be damaged
// and cut; peer_test.go runs the test binary as a second process. Every test
// worker counts its buffers when it ends. Fuzz targets are in fuzz_test.go.
//
//	go test -run '^$' -bench Processes -benchtime 1x -cpu 1,2 ./shuffle
//
// compares the exchange with a bare loop over a connection.
package shuffle
