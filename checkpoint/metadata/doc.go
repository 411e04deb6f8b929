// Package metadata is the format of a checkpoint's _metadata file: what a job is
// restored from, and all that is needed to find it.
//
// # Its room
//
// The JobManager encodes a [Metadata] when every task has acknowledged, and
// stores it as the last file of the checkpoint. It decodes one to restore a job,
// and tools do to show it. The package turns values into bytes and back; it reads
// and writes no files, and what is in the files that it names it does not know.
//
// # Types
//
// [Metadata] is a checkpoint, [Vertex] a chain of operators in it, [Task] what one
// subtask has stored, [Snapshot] where that is: a file in checkpoint storage, or,
// if it is small, in the metadata itself. A vertex is found again by the stable ids
// of its operators, not by its index: a job that has changed may put other
// operators into a chain.
//
// # The format, version 1
//
// An envelope, and in it a message of proto/weir/checkpoint/v1. Integers are little
// endian.
//
//	0  8 bytes "WEIRMETA"
//	8  u32 version
//	12 u32 zero
//	16 u64 length of the message
//	24 SHA-256 of bytes 0 to 23 and the message
//	56 the message
//
// The version is that of both. The envelope stays as it is in later versions, so
// that a program can tell a newer file from a damaged one. A message that has a
// field which its version does not have is refused: a program that left out what it
// does not know would lose state without a word.
//
// # Life cycle
//
// Values that are made, encoded or decoded, and read. There is nothing to close.
//
// # Concurrency
//
// The functions may be called concurrently. A Metadata is not changed by anybody
// once it is encoded or decoded.
//
// # Invariants
//
//   - M1: what Encode accepts, Decode returns, but for parts of times below a
//     millisecond. What Decode returns, Encode accepts.
//   - M2: every byte of a file is under its digest or compared with what it must be.
//   - M3: no memory is used in proportion to a number in a file, only to its
//     length, which [MaxSize] bounds, and to the number of its elements, which is
//     counted first.
//   - M4: no two vertices have an operator in common, every vertex has all of its
//     subtasks, and every subtask has a snapshot.
//
// # Errors
//
// [ErrTruncated], [ErrCorrupt] and [ErrVersion] are told apart with errors.Is. The
// messages name vertex, subtask and field. Nothing that cannot be decoded may be
// deleted for that reason: what it names is not known.
//
// # Testing
//
// testdata/v1.txt is a file of version 1, written by hand; it is never changed. Each
// byte of a file is changed in turn, and a fuzz target decodes messages in an
// envelope that is right.
package metadata
