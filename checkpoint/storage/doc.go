// Package storage keeps the files of checkpoints where they outlive every process
// of a cluster: the snapshots of tasks, and last the metadata that names them.
//
// # Its room
//
// A TaskManager stores what its workers have snapshotted and fetches it when they
// are restored. The JobManager stores metadata, reads it, and deletes what its
// retention says. Both open the [Storage] of one job; several processes on several
// machines have the same one open. The package knows bytes and names; what is in a
// file and whether it is still needed others know.
//
// # Types
//
// [Storage] is the interface, [Directory] its implementation in a file system that
// all machines have mounted. [Open] finds the implementation for a location, such
// as "file:///checkpoints". [Content] is what is stored: its length and digest are
// known beforehand and verified before anything is visible. [Ensure], [Read] and
// [Fetch] are what a caller mostly wants, over any implementation.
//
//	s, err := storage.Open("file:///checkpoints", job)
//	err = storage.Ensure(ctx, s, storage.TaskName(7, task), attempt, content)
//	err = storage.Ensure(ctx, s, storage.MetadataName(7), attempt, storage.Bytes(b))
//	b, err := storage.Read(ctx, s, storage.MetadataName(7), metadata.MaxSize)
//	err = storage.Fetch(ctx, s, storage.TaskName(7, task), size, digest, file)
//
// # Layout
//
//	<location>/<job>/chk-<n>/_metadata      written last
//	<location>/<job>/chk-<n>/task-<v>-<s>   subtask s of vertex v
//	<location>/<job>/shared/<n>-…           named by several checkpoints
//
// Names are paths with slashes from the job's directory. They have the id of the
// checkpoint that wrote them ([Writer]), and ids are never used twice, so that a
// name has one content for ever.
//
// # How a directory stores a file
//
// A file is written under a temporary name beside its own, which begins with a dot
// and has the attempt in it; it is synced, linked to its name, which fails if that
// exists, and its directory is synced. So a name is there with all of its content,
// or it is not there, whatever dies when. If it is there already, file and directory
// are synced before that is said: whoever reads back and finds what it wanted may
// rely on it.
//
// # Life cycle
//
// [Open] does no I/O, and a Storage holds nothing that needs closing; a [File] does.
// When an attempt begins, [Storage.CleanUp] removes what attempts before it have left
// unfinished; when a job has ended, with an attempt that no job reaches, what all
// have.
//
// # Concurrency
//
// Everything may be called concurrently, also from several processes. A writer whose
// unfinished file is taken from it fails, and nothing of it becomes visible.
//
// # Invariants
//
//   - D1: what was stored is never overwritten and never changes.
//   - D2: a name that can be opened has all of its content.
//   - D3: a Put that has returned nil survives the crash of every machine that the
//     file system survives.
//   - D4: nothing is deleted but what Delete names, and temporary files of attempts
//     before the one that CleanUp names, of the same job.
//   - D5: no answer depends on what is listed.
//
// # Errors
//
// [ErrExists] and [ErrNotFound] are definite and told apart with errors.Is; every
// other error of Put leaves open whether the file is stored. Messages have the
// location. Errors of the file system are wrapped: syscall.ENOSPC can be asked for.
// A sync that has failed is not tried again, since the kernel may have dropped what it
// could not write: the checkpoint fails, and the next one has another name.
//
// # Testing
//
// suite_test.go is what every implementation has to pass. fault_test.go fails a
// directory at every step; crash_test.go kills a process at every step.
package storage
