// Package weir is the API for writing stream-processing jobs.
//
// A job is an ordinary Go program. Its main function calls [Main] with a
// function that builds the dataflow graph as a chain of methods, from sources
// over operators to sinks:
//
//	func main() { weir.Main("late departures", build) }
//
//	func build(env *weir.Env) {
//		weir.From(env, "flights", file.CSV[Flight]("flights/*.csv.gz")).
//			WithWatermarks(weir.BoundedOutOfOrderness(time.Hour), Flight.ScheduledAt).
//			Filter(Flight.Departed).
//			KeyBy(Flight.OriginAirport).
//			Window(weir.Tumbling(time.Hour)).
//			Aggregate(meanDelay{}).ID("mean delay").
//			To("stdout", stdout.JSON[HourlyDelay]())
//	}
//
// Started by hand, the program runs the whole job in its own process. Given to
// "weir run", the same executable is planned and executed by a cluster: every
// worker runs the same main, so the graph with its functions exists everywhere.
// Therefore build must do the same each time it runs: it must not depend on
// time, randomness, environment or working directory. [Once] is for values
// that do.
//
// # The main types
//
//   - [Env] collects the graph; [From] begins a stream.
//   - [Stream], [KeyedStream], [WindowedStream] and [CountWindowedStream] are
//     places in the graph; each offers what is possible there. They are small
//     values, valid while the job is built.
//   - [WindowAssigner] says to which windows of time a record belongs: [Tumbling],
//     [Sliding], [Session].
//   - [KeyedProcessFunction] and its relatives process records one at a time, with
//     state for each key ([ValueState], [ListState], [MapState], …), timers, side outputs
//     and metrics.
//   - [Aggregator] combines the records of a key, [Window] is a span of time.
//   - [Source] with [Reader], and [Sink] with [Writer], are what a connector
//     implements.
//
// # Records
//
// A stream's records are values of any type that can be encoded, whether or not
// they leave the process, since that depends on the parallelism: booleans,
// numbers, strings, [time.Time], and slices, arrays, maps, pointers and structs
// of these, pointers to protobuf messages, and types that encode themselves
// (encoding.BinaryMarshaler or encoding/gob's GobEncoder, with the opposite).
// Functions and channels cannot be encoded. An interface can if the types of its
// values are registered by [RegisterType]. A struct that holds strings, slices,
// maps or pointers has exported fields only, unless it encodes itself; a struct of
// numbers alone may have unexported ones. For any other type, [RegisterCodec] says
// how it is encoded. The same holds for the accumulator of an aggregator with a
// method Merge.
//
// A [time.Time] arrives as the same instant, without the monotonic reading: in
// UTC or in the local zone if it was, else in a fixed zone of the same name and
// offset.
//
// A record's strings may share memory with those of other records. An aggregator
// that keeps a string of a record for long does so with strings.Clone; keys, and
// what a reduction keeps, are cloned already.
//
// What a record refers to, such as a slice's elements, is shared by everything
// that was given the record. So a function may keep it, and must not change it.
//
// # Testing
//
// [Run] runs a job within a test, with [Args] and [Setting] in place of the
// command line, and returns why it failed. A sink that a test can read is
// stdout.JSON with the option stdout.To, or any other [Sink].
//
// # Mistakes
//
// A job that is built wrongly reports all of its mistakes, with file and line,
// before anything runs.
//
// # Time
//
// Event times are milliseconds since the epoch. The watermark is the promise
// that no record at or before it will follow. [Stream.WithWatermarks] gives a stream
// both; right behind its source there is one watermark for each split. A
// [WatermarkStrategy] says how it follows from the records, when nobody waits for an
// input that is silent, and which sources wait for each other.
//
// # Windows
//
// A window of event time fires when the watermark passes its last millisecond,
// which is the event time of its results. A record is late only if all of its
// windows are gone, which they are when the watermark has passed their last
// millisecond by [WindowedStream.AllowedLateness]; until then each record that comes
// behind the watermark makes its windows fire again for its key. Late records are
// counted (numLateRecordsDropped in Flink), or in a [WindowedStream.LateOutput].
//
// Sliding windows add a record up once and merge what was added up: [Aggregator]
// says what they ask of an aggregate. They merge in the order of event time, where
// other windows add records in the order of their coming;
// [WindowedStream.Process] has that order in all windows.
//
// # Its room
//
// This package knows the graph and the engine's operators, so that it can put
// types into them, and nothing of how tasks are scheduled.
package weir
