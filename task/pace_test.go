package task

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestPaceSettles drives the pace with functions of constant cost, and bounds
// what a chunk takes once it has settled.
func TestPaceSettles(t *testing.T) {
	for _, c := range []struct {
		perRecord time.Duration
		want      [2]int // the least and the largest chunk after 20 chunks
	}{
		{100 * time.Nanosecond, [2]int{BatchSize, BatchSize}},
		{10 * time.Microsecond, [2]int{51, 100}}, // 100 take a millisecond
		{400 * time.Microsecond, [2]int{2, 2}},
		{time.Millisecond, [2]int{1, 1}},
		{time.Second, [2]int{1, 1}},
	} {
		p := newPace()
		if p.size != 1 {
			t.Fatalf("the first chunk has %d records, want 1", p.size)
		}
		for i := range 40 {
			if i > 20 && (p.size < c.want[0] || p.size > c.want[1]) {
				t.Errorf("%v per record: chunk %d has %d records, want %v", c.perRecord, i, p.size, c.want)
			}
			p.observe(p.size, time.Duration(p.size)*c.perRecord)
		}
	}
}

// TestPaceIsBounded feeds any figures: a chunk has 1 to BatchSize records, at
// most doubles, and after one that took too long, never more than fit.
func TestPaceIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPace()
		for range rapid.IntRange(1, 50).Draw(t, "chunks") {
			before := p.size
			n := rapid.IntRange(0, p.size).Draw(t, "records")
			work := time.Duration(rapid.Int64Range(0, int64(10*time.Second)).Draw(t, "work"))
			p.observe(n, work)
			switch {
			case p.size < 1 || p.size > BatchSize:
				t.Fatalf("a chunk of %d records", p.size)
			case p.size > 2*before:
				t.Fatalf("from %d to %d records at once", before, p.size)
			case n == 0 && p.size != before:
				t.Fatalf("an empty chunk changed the size from %d to %d", before, p.size)
			case n > 0 && work > chunkTime && p.size > 1 && time.Duration(p.size)*work/time.Duration(n) > chunkTime:
				t.Fatalf("%d records took %v, and the next chunk has %d", n, work, p.size)
			}
		}
	})
}

// TestPaceKeepsWhenInputIsScarce: that little came says nothing about how much
// would have fitted.
func TestPaceKeepsWhenInputIsScarce(t *testing.T) {
	p := pace{size: 64}
	for range 10 {
		p.observe(3, time.Microsecond)
	}
	if p.size != 64 {
		t.Errorf("the size went from 64 to %d although chunks were not full", p.size)
	}
}
