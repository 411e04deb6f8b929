package weirtest

import "testing"

// For returns the run as one of another test.
func (r *Run) For(t testing.TB) *Run {
	t.Helper()
	other := *r
	other.t = t
	return &other
}
