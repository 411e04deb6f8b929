package nexmark

import "github.com/weirstream/weir"

// reader makes the events whose numbers another reader gives it.
type reader struct {
	numbers weir.Reader[int64]
	maker   *maker
	batch   []int64
}

// Read implements [weir.Reader].
func (r *reader) Read(values []Event) (int, error) {
	if len(r.batch) < len(values) {
		r.batch = make([]int64, len(values))
	}
	n, err := r.numbers.Read(r.batch[:len(values)])
	for i, seq := range r.batch[:n] {
		if seq >= maxEvents { // of a source without end, or at a position from elsewhere
			return i, noSuchEvent(seq)
		}
		r.maker.make(&values[i], uint64(seq))
	}
	return n, err
}

// Position implements [weir.Reader].
func (r *reader) Position() ([]byte, error) { return r.numbers.Position() }

// Close implements [weir.Reader].
func (r *reader) Close() error { return r.numbers.Close() }

// boundedReader is a reader of a source with a count.
type boundedReader struct {
	reader
	weir.Progresser
}

// pacedReader is a reader of a source with a rate.
type pacedReader struct {
	reader
	weir.Notifier
}

// boundedPacedReader is a reader of a source with both.
type boundedPacedReader struct {
	reader
	weir.Notifier
	weir.Progresser
}
