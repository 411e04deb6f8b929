package task

// gain decides whether combining records before a shuffle pays. It is a pure
// state machine: it is told how many records came and how many partial results
// they became, switches off where the one is not at least [minReduction] times
// the other, and tries again after a while, since data change.
type gain struct {
	off bool
	// in and out are what was combined since the last decision.
	in, out int
	// rest is how many records pass before the next try.
	rest int
}

const (
	// minReduction is how many records a partial result must stand for. Building
	// one costs about as much as sending two records.
	minReduction = 3
	// decideAfter is how many records a decision is based on, at least.
	decideAfter = 1 << 14
	// retryAfter is how many records pass while it is off.
	retryAfter = 1 << 20
)

func newGain() gain { return gain{} }

// on reports whether the next n records should be combined.
func (g *gain) on(n int) bool {
	if !g.off {
		g.in += n
		return true
	}
	if g.rest -= n; g.rest > 0 {
		return false
	}
	*g = gain{in: n}
	return true
}

// observe is told that n partial results were sent.
func (g *gain) observe(n int) {
	g.out += n
	if g.off || g.in < decideAfter {
		return
	}
	if g.in < minReduction*g.out {
		g.off, g.rest = true, retryAfter
	}
	g.in, g.out = 0, 0
}
