// Package file is the connector for files: [CSV] reads CSV files into structs.
//
//	type Flight struct {
//		Departure time.Time `csv:"dep_local,layout=2006-01-02T15:04"`
//		Delay     int64     `csv:"arr_delay_min"`
//		Airport   string    `csv:"origin"`
//	}
//
//	flights := weir.From(env, "flights", file.CSV[Flight]("/data/flights/*.csv.gz"))
//
// # Its room
//
// A job's main builds the source; the engine asks it for splits and opens a
// reader per split, inside a worker. The package uses the public API alone and
// knows nothing of the engine. It reads the file system of the machine that the
// worker runs on, so every TaskManager must see the same files under the same
// path.
//
// # The pattern
//
// A pattern names a file, a directory (all files below it, except those whose
// name begins with "." or "_") or is a glob as of [path/filepath.Match], where,
// as in a shell, a wildcard does not match a leading dot. Each file is one
// split; they are read in the order of their paths, as subtasks become free. A
// pattern that matches nothing fails the job, and so does a directory or file
// that cannot be read: input is never left out silently. A worker's working
// directory is not the user's, so on a cluster the pattern is absolute.
//
// # The format
//
// RFC 4180, as package [encoding/csv] reads it with its defaults: quoted fields
// with doubled quotes, delimiters and newlines inside; records ended by LF or
// CRLF; empty lines left out. A UTF-8 byte order mark is left out too. Files
// whose name ends in .gz, or that begin with gzip's magic bytes, are
// decompressed, members one after the other.
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
//   - A column that no field asks for is ignored. A field whose column is
//     missing, or there twice, fails the job.
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
// # Life cycle and concurrency
//
// The struct type is compiled once, when the source is built; reading a record
// uses no reflection (a type with UnmarshalText is reached through it) and
// allocates for strings only, many of which share one allocation. A source is
// immutable and may be used concurrently; a reader belongs to one goroutine. A
// record is handed over and never touched again.
//
// # Invariants
//
//   - F1: every record of a file is returned once and in order, or the job fails.
//   - F2: [weir.Reader.Position] names the byte and line of the next record, so
//     a reader opened there returns exactly the records that were still to come,
//     with the same line numbers in its errors.
//   - F3: memory is bounded: a record larger than [MaxRecordSize] is an error, so
//     an unclosed quote does not read the rest of the file into memory.
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
// WEIR_TEST_DATA.
package file
