// Package socket is the connector for first steps: [Lines] reads lines of text
// from a TCP connection, such as what is typed into "nc -lk 9000".
//
//	words := weir.From(env, "lines", socket.Lines("localhost:9000"))
//
// # Its room
//
// A job's main builds the source; the engine opens a reader in one subtask,
// inside a worker. The package uses the public API and, to own the goroutine that
// reads the connection, internal/goroutine.
//
// # What it promises
//
// A peer cannot be asked to send again what it has sent. So there is no position:
// a job that goes on after a failure connects anew, and goes on with what it is
// sent then; lines that were under way are lost. Where that matters, put a log
// or files in between.
//
// There is one split, so one subtask reads and the others of the source are idle;
// put [weir.Stream.Rebalance] behind it if what follows is more work than reading.
// The worker connects, not the machine on which the job was submitted:
// on a cluster, "localhost" is the TaskManager that has the subtask.
//
// # Lines
//
// A line ends with a newline, or with what [Delimiter] says, which is not part of
// it; of an end "\r\n" neither is. What the peer sends before it closes the
// connection is a line, too. Lines may be empty, and are handed on as they are,
// whether UTF-8 or not. A line longer than [MaxLength] fails the job, so that a
// peer that sends no delimiter does not fill the memory.
//
// # When the peer goes
//
// The source ends when the peer closes the connection, as Flink's socketTextStream
// does, and fails when there is none. With [Retry] it connects again in both
// cases. A connection that breaks in the middle of a line fails the job in any
// case: half a line would be taken for a whole one, or lost unseen.
//
// # Concurrency
//
// A source is immutable and may be used concurrently. A reader belongs to one
// goroutine, and has another one, which connects, reads and cuts lines. That is at
// most one batch of lines ahead; then the connection's own flow control holds back
// the peer. It ends before Close returns, which is at once.
//
// # Invariants
//
//   - S1: every line that arrives is returned once, in order, or the job fails.
//   - S2: memory is bounded by the longest line and what is read at a time.
//   - S3: Close waits for no peer.
//
// # Errors
//
// A wrong address or option is reported when the job is built. An error while
// the job runs has the address and says what to do about it.
package socket
