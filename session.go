package weir

import (
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/task"
)

// Session are windows that follow the records: one begins with a record of a key that
// is the gap or more away from all others, and ends when no record of the key has
// come for so long. So it spans the time from its first record to the gap after its
// last, and a record that comes out of order may connect two sessions to one. The gap
// is at least 1 ms, and whole milliseconds.
//
// (Flink also connects records that are exactly one gap apart.)
//
// An aggregator for session windows needs a method Merge. Of two sessions that are
// connected, the later is merged into the earlier one, and then the record is added.
//
// Windows fire in the order of their ends. With a [WindowedStream.AllowedLateness] a
// late record may connect sessions that have fired: the window of all of them fires
// with the combined result, and replaces those that it overlaps. A record is late if
// the session that it belongs to, with all that it connects, would be gone.
func Session(gap time.Duration) WindowAssigner {
	return WindowAssigner{kind: sessionWindows, size: gap}
}

// sessionMistake is [WindowAssigner.mistake] for session windows.
func (w WindowAssigner) sessionMistake() string {
	switch {
	case !wholeMillis(w.size, 1):
		return fmt.Sprintf("a session gap of %v: it must be whole milliseconds, and at least one", w.size)
	case w.offset != 0:
		return fmt.Sprintf("an offset of %v for session windows, which begin with their first record", w.offset)
	}
	return ""
}

// thenSession is thenWindow for session windows.
func thenSession[K comparable, T, A, O any](w WindowedStream[K, T], n *dataflow.Node, a task.Aggregation[K, T, A, O]) Stream[O] {
	if a.Merge == nil && a.Adder != nil {
		w.keyed.stream.graph.Mistake(n.Position, "session windows need an aggregator with a method Merge(acc, other *%s): a record may connect two sessions, which are then merged", typeName[A]())
	}
	return thenKeyed[K, T, O](w.keyed, n, task.SessionAggregate[K, T, A, O]{
		Keys: w.keyed.keys, Aggregation: a, Gap: w.window.size.Milliseconds(),
		Lateness: w.lateness, ProcessingTime: w.window.processing,
	})
}
