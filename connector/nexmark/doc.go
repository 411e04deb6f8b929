// Package nexmark is the connector that makes the events of the Nexmark
// benchmark: people, auctions and bids, 1 : 3 : 46, with the benchmark's skew and
// text, for queries whose exact answer is known.
//
//	weir.From(env, "nexmark", nexmark.Events(1_000_000)).
//		WithWatermarksByField(weir.BoundedOutOfOrderness(nexmark.OutOfOrderness),
//			func(e *nexmark.Event) *int64 { return &e.DateTime })
//
// # Its room
//
// A job's main builds the source; the engine opens a reader per subtask, inside a
// worker. The package stands on connector/generator, which counts, divides the
// numbers among subtasks and keeps to a rate; what it adds is the event of a
// number. [Source.Event] gives one to whoever checks an answer.
//
// # The main types
//
//   - [Events] makes a [Source]; its methods return it with other settings.
//   - [Event] holds a [Person], an [Auction] or a [Bid], as its [Kind] says.
//
// # What the events are
//
// Event number e is a function of e and the seed. So events are the same at every
// parallelism and after every failure, and any of them can be made without those
// before it. All is integer arithmetic: a field takes numbered draws
// from the state of its event, mix(mix(seed) + e), and draw d is mix of the state
// and d. Of fifty events, the first is a person, three are auctions, the others
// bids. Three quarters of the bids come from a hot bidder, half go to a hot
// auction, three quarters of the auctions are a hot seller's. A bid or an auction
// may name a person or an auction that is up to ten beyond the newest.
//
// They differ from those of other Nexmark programs: these draw from random state
// that events share; a number of a person or an auction has 1000 added exactly
// once; prices are uniform within each power of two; texts neither begin nor end
// with their special character. Golden digests in the tests hold the events of
// seed 1.
//
// # Order, time and subtasks
//
// Of p splits, one for each subtask, split s makes the events s, s+p, s+2p and so
// on. Event e has the time start + e * 1000 / event rate, in whole milliseconds. So
// times never fall within a split, and all splits go through the same time: what
// is hot is hot everywhere at once. The benchmark's watermark is 4 s behind the
// newest event, which is [OutOfOrderness].
//
// # Memory
//
// Bids lie in the event, and their text is part of tables, about 1 MB, that a
// process makes once: making one allocates nothing. A person and an
// auction take two allocations each.
//
// # Concurrency
//
// A source is immutable and may be used concurrently. A reader belongs to one
// goroutine.
//
// # Invariants
//
//   - E1: an event depends on its number, the seed, the event rate and the start.
//   - E2: the splits of every parallelism have together every event below the
//     count exactly once, each split in the order of their numbers.
//   - E3: a reader opened at [weir.Reader.Position] goes on with the next event.
//   - E4: [Event.AppendJSON] writes the same bytes everywhere.
//
// # Errors
//
// A count, a rate or a start out of bounds is reported when the job is built.
//
// # Testing
//
// Golden digests of single lines and of a million, and a second generator, written
// plainly in the tests from the formulas, with which random events of random
// settings are compared.
package nexmark
