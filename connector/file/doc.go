// Package file is the connector for files: sources that read CSV, JSON lines and
// plain lines, also from a directory that is watched, and sinks that write them.
//
//	type Flight struct {
//		Departure time.Time `csv:"dep_local,layout=2006-01-02T15:04"`
//		Delay     int64     `csv:"arr_delay_min"`
//		Airport   string    `csv:"origin"`
//	}
//
//	flights := weir.From(env, "flights", file.CSV[Flight]("/data/flights/*.csv.gz"))
//	flights.Filter(Flight.Late).To("late", file.JSONLinesSink[Flight]("/data/late"))
//
// # Its room
//
// A job's main builds sources and sinks; the engine asks a source for splits and
// opens a reader per split and a writer per subtask, inside a worker. The package
// uses the public API alone and knows nothing of the engine. It works on the file
// system of the machine that the worker runs on, so every TaskManager must see
// the same files under the same path.
//
// # The main types
//
//   - [Source] is what [CSV], [JSONLines] and [Lines] return. [Option] changes how
//     it reads; its methods make it watch a directory, check records, or hand on
//     what is no record as a [Result] with a [BadRecord].
//   - [Sink] is what [CSVSink], [JSONLinesSink] and [LinesSink] return.
//
// Inside, a fileReader takes bytes from an input (which decompresses), has a
// scanner cut them into records and a decoder make values of these; a watcher has
// one reader after the other. A writer has an encoder make bytes of records and
// gives them to a part, in a directory.
//
// # Patterns
//
// A pattern names a file, a directory (all files below it, except those whose
// name begins with "." or "_") or is a glob as of [path/filepath.Match], where,
// as in a shell, a wildcard does not match a leading dot. An element that is "**"
// stands for any number of directories, none included, whose names begin with
// neither "." nor "_"; as the last element, for all files below them. [Also]
// adds patterns. A pattern that matches nothing fails the job, and so does a
// directory or file that cannot be read: input is never left out silently. A
// worker's working directory is not the user's, so on a cluster the pattern is
// absolute.
//
// # Splits
//
// The files are read in the order of their paths, as subtasks become free. Each is
// one split; or several, if it is not compressed, at least twice [SplitSize]
// large, and every line of it is a record. Then it is cut into ranges of bytes, of
// which each holds the lines that begin in it, whatever the cut goes through. A
// CSV file may have newlines in quoted fields, which nobody can tell from ends of
// records who does not know what stands before them: it is cut only if
// [OneLinePerRecord] promises that there are none, and a promise that is not kept
// is an error of the record. A source with the parallelism 1 has nothing to gain
// and does not cut.
//
// A watched directory is one split: see [Source.Watch].
//
// # Compression
//
// Files that begin with the magic bytes of gzip or zstd, or whose name ends in
// .gz, .zst or .zstd, are decompressed, members or frames one after the other. A
// zstd frame may ask for a window of up to 128 MiB. A UTF-8 byte order mark at the
// beginning of a file is left out; UTF-16 is refused.
//
// # CSV
//
// RFC 4180, as package [encoding/csv] reads it with its defaults: quoted fields
// with doubled quotes, delimiters and newlines inside; records ended by LF or
// CRLF; empty lines left out.
//
// The first record is the header; it says in which column each field of the
// struct is found:
//
//   - A field with the tag `csv:"name"` is filled from the column of that name.
//   - A field without a tag, or with an empty name, is filled from the column
//     whose name equals the field's when case, "_", "-" and spaces are ignored:
//     DepDelay takes dep_delay, DepDelay or "dep delay".
//   - A field with the tag `csv:"-"`, and an unexported field without a tag,
//     keeps its zero value.
//   - The fields of an embedded struct count as the struct's own.
//   - A column that no field asks for is ignored, unless [RejectUnknownFields] is
//     set. A field whose column is missing, or there twice, fails the job.
//
// After the name a tag may hold options, each behind a comma:
//
//   - optional: an empty value gives the field's zero value.
//   - layout=…: the layout of a time, as of [time.Parse]; without it RFC 3339.
//     It takes the rest of the tag, commas included, so it comes last. A value
//     without a zone is in UTC.
//
// Fields are strings, booleans (as of [strconv.ParseBool]), integers (decimal),
// floating-point numbers, [time.Time], [time.Duration] (as of
// [time.ParseDuration]), types with an UnmarshalText method, and pointers to
// these. An empty value is an empty string and a nil pointer; a type with
// UnmarshalText is handed it; for the other types it is an error unless the
// field is optional. Spaces are part of a value.
//
// # Bad records
//
// A bad record is one that cannot be made into a value: that is no CSV or JSON,
// or longer than [MaxRecordSize]; whose text is not valid UTF-8, a number or time
// out of range, or a field missing that must be there; or that [Source.Check]
// refuses. A job chooses what it does with them, and is told file and line
// whatever it chooses:
//
//   - [FailOnBadRecord], the default: the first one fails the job.
//   - [CountBadRecords]: they are left out, counted and, the first few, logged.
//   - [Source.Rejected]: they are part of the stream, for the job to split off.
//
// What is no CSV, or too long, is given up line by line, so that a quote which is
// never closed takes its own line and not the rest of the file. Everything else is
// an error of the file, and fails the job: a header that does not fit, data that
// cannot be decompressed or is cut off, a file that shrinks or vanishes while it is
// read, a failing disk.
//
// # Files that are written
//
// See [Sink]: parts under hidden names, which are put on the disk and then given
// their names. Where a job takes no checkpoints, that is one step, and the last part of
// a subtask gets its name when the input has ended. Otherwise it is two
// ([weir.Committer]), with a description between them that the checkpoint keeps: the
// names, sizes and digests of the parts, and the names of the runs whose leftovers the
// next attempt removes. Committing a part is, in this order: to look whether it is
// there; to have its proof on the disk; to rename it, which never replaces a file. So
// "there is a proof, and no file of the temporary name" is the same as "it was
// committed", after a kill between any two steps. A writer that is closed removes what
// no checkpoint has.
//
// # Life cycle and concurrency
//
// A struct type is compiled once, when the source or sink is built; reading or
// writing a CSV record uses no reflection (a type with text methods is reached
// through it) and allocates for strings only, many of which share one allocation.
// JSON is decoded and encoded by [encoding/json/v2] with the options of
// [encoding/json]. Sources and sinks are immutable, but for the count of bad
// records, and may be used concurrently; a reader or a writer belongs to one
// goroutine. There are no others, but for the moment in which a timer wakes a
// watcher's task or completes a part that has reached its age. A record is handed
// over and never touched again.
//
// # Invariants
//
//   - F1: every record of a file is returned once and in order, or the job fails,
//     or it is a bad record and was counted or handed on. The ranges of a file
//     together hold what the file holds.
//   - F2: [weir.Reader.Position] names the byte and line of the next record, so
//     a reader opened there returns exactly the records that were still to come,
//     with the same line numbers in its errors. A watcher's position has the files
//     that were read besides, as long as they are there.
//   - F3: memory is bounded: a record larger than [MaxRecordSize] is an error, so
//     an unclosed quote does not read the rest of the file into memory.
//   - F4: a file under the name of a part is complete and on the disk, and does not
//     change any more.
//   - F5: a sink replaces no file, and removes none but hidden parts that no process
//     holds, and with [Sink.Overwrite] parts. Where there are checkpoints, the hidden
//     parts are those of runs that the checkpoint names, once all that it names is
//     committed.
//   - F6: what the parts of a job with checkpoints hold together, those that were moved
//     away included, is what it has written up to a complete checkpoint, once.
//   - F7: a proof is written for no part that is not there.
//
// # Errors
//
// An error says what is wrong, with file, line, column and value, as far as
// there are such, and what to do. None is worth a retry on its own. A wrong
// struct or option is reported when the job is built, a wrong pattern when it
// starts.
//
// # Testing
//
// The scanner is compared with encoding/csv by a fuzz target and on real data,
// which is looked for in ../shared/data beside the module's root, or in
// WEIR_TEST_DATA. Lines and their ranges are compared with a model, by properties
// and fuzz targets; what is written is read back. File systems that are full, refuse,
// shrink or forget files stand behind two small interfaces, and so does a process that
// is killed at each of its steps in turn.
package file
