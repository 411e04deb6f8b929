// Package leaktest ends a package's tests with a check that no goroutine was
// left behind. Every package with tests calls it from its TestMain; a house
// test at the root of the module sees to that.
//
//	func TestMain(m *testing.M) { leaktest.Main(m) }
package leaktest

import (
	"testing"

	"go.uber.org/goleak"
)

// Main runs the tests of m and exits: with the tests' own code, or with 1 when
// a goroutine that a test started still runs.
func Main(m *testing.M) { goleak.VerifyTestMain(m) }
