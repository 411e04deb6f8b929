// Package shuffle moves records between the subtasks of a job: it owns the
// network buffers, their pools, the credit that says who may send how much,
// the wire format and the connections between workers. It moves bytes, and
// knows no record, operator or state.
//
// # Its room
//
// Package task calls it: it writes typed batches into the payloads of buffers
// and reads them there, and decides which channel a record goes to. The worker
// makes the [Arena] of each slot and the one [Endpoint]. Shuffle calls nobody
// but the operating system.
//
// # The types, in reading order
//
//   - [Arena]: the network memory of a slot, outside of the Go heap, in segments.
//   - [Pool] and [Buffer]: segments on loan.
//   - [Partition]: the sending end of an exchange for one subtask.
//   - [Gate] and [Inbox]: the receiving end, and the task's mailbox.
//   - [Endpoint]: the worker's end of the data plane, which makes them and joins
//     them to those of other workers.
package shuffle
