package task

import "testing"

// TestGain: combining goes on while records are at least three times as many as
// partial results, is decided on enough of them, and is tried again later.
func TestGain(t *testing.T) {
	for _, c := range []struct {
		name    string
		in, out int
		off     bool
	}{
		{"nothing is reduced", decideAfter, decideAfter, true},
		{"just too little", decideAfter, decideAfter/minReduction + 1, true},
		{"just enough", decideAfter, decideAfter / minReduction, false},
		{"much is reduced", decideAfter, 10, false},
		{"too few to decide", decideAfter - 1, decideAfter - 1, false},
	} {
		g := newGain()
		if !g.on(c.in) {
			t.Fatalf("%s: it is off from the start", c.name)
		}
		g.observe(c.out)
		if g.off != c.off {
			t.Errorf("%s: %d records became %d, off is %v", c.name, c.in, c.out, g.off)
		}
	}
}

func TestGainForgetsWhatWasDecided(t *testing.T) {
	g := newGain()
	for range 10 { // much was reduced
		g.on(decideAfter)
		g.observe(10)
	}
	g.on(decideAfter)
	g.observe(decideAfter) // and now nothing is
	if !g.off {
		t.Error("earlier reduction keeps it on")
	}
}

func TestGainTriesAgain(t *testing.T) {
	g := newGain()
	g.on(decideAfter)
	g.observe(decideAfter)
	passed := 0
	for !g.on(BatchSize) {
		passed += BatchSize
		g.observe(7) // what was still held when it went off
		if passed > 2*retryAfter {
			t.Fatal("it never tries again")
		}
	}
	if passed < retryAfter-BatchSize {
		t.Errorf("it tries again after %d records, want %d", passed, retryAfter)
	}
	// The new try stands for itself.
	g.on(decideAfter)
	g.observe(10)
	if g.off {
		t.Error("the try after a rest counts what was held before it")
	}
}
