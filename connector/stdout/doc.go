// Package stdout is the connector that prints to standard output: [JSON] writes
// each record as a line of JSON, for programs; [Print] as fmt.Println does, for
// eyes, with the number of the subtask before it if there are several.
//
// # Its room
//
// A job's main builds the sink; the engine opens a writer per subtask, inside a
// worker. What a worker prints reaches whoever stays with the job in "weir run",
// and is kept in the job's log file on the worker's TaskManager. The package
// uses the public API alone.
//
// # Life cycle and concurrency
//
// A writer collects lines and writes them together: when [weir.Writer.Flush] is
// called, when some tens of kilobytes are there, and never at its Close, which
// follows a Flush or an error. Writers of one process take turns, so lines of
// several subtasks never mix; a write begins and ends with whole lines. The
// order between subtasks is not specified.
//
// # Invariants
//
//   - O1: every write consists of whole lines, one for each record, or more where
//     Print shows a value that contains newlines.
//   - O2: after Flush has returned nil, all that Write took is written.
//
// # Errors
//
// A record that JSON cannot express (Print can show any), and a destination that refuses a write,
// fail the job. Records that were written before a failure are written again
// when a job goes on from an earlier point: this sink is for eyes and pipes.
package stdout
