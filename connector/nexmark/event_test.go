package nexmark_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weirstream/weir/connector/nexmark"
	"github.com/weirstream/weir/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// goldenLines are FNV-1a and the length of the lines of single events of seed 1, as
// the benchmark's description has them.
var goldenLines = []struct {
	seq   int64
	hash  uint64
	bytes int
}{
	{0, 0xee74cee475a7db40, 327},
	{1, 0xcdb5b1a704298c1a, 569},
	{2, 0x8195bc3395f35cef, 693},
	{3, 0x860378644194acb3, 584},
	{4, 0x782e526215d8accf, 259},
	{5, 0x04876ff568f4182a, 240},
	{6, 0x4f923847f9e1f600, 263},
	{7, 0x398d9f48b533cc2b, 280},
	{8, 0x89ec46edf1abfc79, 266},
	{9, 0x51b5c58cb658abc0, 255},
	{49, 0xa73ecca967d855d2, 275},
	{50, 0x6e72e037c1383b75, 342},
	{12345, 0xf0ddd16542b9e4f5, 251},
	{10_000_000, 0xb27d69e13c0119fc, 325},
}

func TestGoldenLines(t *testing.T) {
	source := nexmark.Events(-1)
	for _, want := range goldenLines {
		line := source.Event(want.seq).AppendJSON(nil)
		var d digest
		if d.add(line); d.hash != want.hash || d.bytes != want.bytes {
			t.Errorf("event %d is\n%s\nwant, as the model has it,\n%s", want.seq, line, model{1, 10_000, 1436918370000}.line(uint64(want.seq)))
		}
	}
}

// digest is FNV-1a of lines, with a line feed between two.
type digest struct {
	hash  uint64
	lines int
	bytes int
}

func (d *digest) add(line []byte) {
	hash := d.hash
	if d.lines == 0 {
		hash = 0xcbf29ce484222325
	} else {
		hash = (hash ^ '\n') * 0x100000001b3
		d.bytes++
	}
	for _, c := range line {
		hash = (hash ^ uint64(c)) * 0x100000001b3
	}
	d.hash = hash
	d.lines++
	d.bytes += len(line)
}

// TestGoldenDigests reads a million events, as a job does that has one subtask.
func TestGoldenDigests(t *testing.T) {
	source := nexmark.Events(1_000_000)
	splits, err := source.Splits(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	r, err := source.Open(t.Context(), splits[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, r)
	want := map[int]digest{
		1_000:     {0x53ddfcbd47f2e338, 1_000, 290_250},
		1_000_000: {0x92d43e036fd64501, 1_000_000, 294_301_763},
	}
	values := make([]nexmark.Event, 500)
	var line []byte
	for d := (digest{}); d.lines < 1_000_000; {
		n, err := r.Read(values)
		if n == 0 {
			t.Fatalf("after %d events: %v", d.lines, err)
		}
		for _, e := range values[:n] {
			line = e.AppendJSON(line[:0])
			d.add(line)
			if w, ok := want[d.lines]; ok && d != w {
				t.Errorf("digest of %d lines: %x of %d bytes, want %x of %d", d.lines, d.hash, d.bytes, w.hash, w.bytes)
			}
		}
	}
}

// TestAgainstModel compares random events of random settings with the model's
// (E1).
func TestAgainstModel(t *testing.T) {
	const seed1, seed2 = 6, 28
	random := rand.New(rand.NewPCG(seed1, seed2))
	rates := []int64{1, 3, 999, 1000, 1001, 10_000, 1_000_000, 3_400_000, math.MaxInt64}
	starts := []int64{0, -62135596800000, 1436918370000, 253402300799999}
	for range 20_000 {
		m := model{seed: random.Uint64(), rate: 1 + random.Uint64N(1<<40), base: starts[random.IntN(len(starts))]}
		if random.IntN(2) == 0 {
			m.rate = uint64(rates[random.IntN(len(rates))])
		}
		// Near the beginning and the end, and at every magnitude in between.
		seq := random.Int64N(9e15)>>random.IntN(53) + random.Int64N(50)
		if seq >= 9e15 || random.IntN(100) == 0 {
			seq = 9e15 - 1 - random.Int64N(50)
		}
		source := nexmark.Events(-1).Seed(m.seed).EventRate(int64(m.rate)).Start(time.UnixMilli(m.base))
		e := source.Event(seq)
		got, want := string(e.AppendJSON(nil)), m.line(uint64(seq))
		if got != want {
			t.Fatalf("event %d of %+v is\n%s\nwant\n%s", seq, m, got, want)
		}
		if e.Seq != seq || e.DateTime != m.time(uint64(seq)) {
			t.Fatalf("event %d of %+v has number %d and time %d", seq, m, e.Seq, e.DateTime)
		}
	}
}

// TestKinds holds that an event is of exactly one kind.
func TestKinds(t *testing.T) {
	source := nexmark.Events(-1)
	for seq := range int64(100) {
		e := source.Event(seq)
		want := nexmark.KindBid
		switch seq % 50 {
		case 0:
			want = nexmark.KindPerson
		case 1, 2, 3:
			want = nexmark.KindAuction
		}
		if e.Kind != want || (e.Person != nil) != (want == nexmark.KindPerson) ||
			(e.Auction != nil) != (want == nexmark.KindAuction) || (e.Bid != nexmark.Bid{}) != (want == nexmark.KindBid) {
			t.Errorf("event %d, a %v: %+v", seq, want, e)
		}
	}
	if got := nexmark.Kind(0).String(); got != "Kind(0)" {
		t.Errorf("no kind is called %s", got)
	}
}
