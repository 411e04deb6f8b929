package nexmark_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/nexmark"
	"github.com/weirstream/weir/connector/stdout"
)

func closed(t testing.TB, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func opened(t testing.TB, source nexmark.Source, parallelism, s int, at []byte) weir.Reader[nexmark.Event] {
	t.Helper()
	splits, err := source.Splits(t.Context(), parallelism)
	if err != nil || len(splits) != parallelism {
		t.Fatalf("%d splits, error %v; want %d", len(splits), err, parallelism)
	}
	r, err := source.Open(t.Context(), splits[s], at)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rest reads what a reader has, n events at a time, and closes it. The buffer
// begins full of other events, of which nothing must stay.
func rest(t *testing.T, r weir.Reader[nexmark.Event], n int) (events []nexmark.Event) {
	t.Helper()
	defer closed(t, r)
	values := make([]nexmark.Event, n)
	for i := range values {
		values[i] = nexmark.Events(-1).Seed(99).Event(int64(i))
	}
	for {
		got, err := r.Read(values)
		events = append(events, values[:got]...)
		if errors.Is(err, io.EOF) {
			return events
		}
		if err != nil || got == 0 {
			t.Fatalf("Read returned %d, %v", got, err)
		}
	}
}

// TestEveryEventOnce collects the splits of several parallelisms (E2), and goes on
// from every position (E3).
func TestEveryEventOnce(t *testing.T) {
	for _, count := range []int64{0, 1, 3, 120} {
		source := nexmark.Events(count).EventRate(700).Seed(3)
		var want []nexmark.Event
		for seq := range count {
			want = append(want, source.Event(seq))
		}
		for _, parallelism := range []int{1, 2, 3, 4, 7, 50, 130} {
			var all []nexmark.Event
			for s := range parallelism {
				mine := rest(t, opened(t, source, parallelism, s, nil), 1+s*7)
				if !slices.IsSortedFunc(mine, func(a, b nexmark.Event) int { return int(a.DateTime - b.DateTime) }) {
					t.Errorf("split %d of %d: times fall", s, parallelism)
				}
				for i, e := range mine {
					if e.Seq != int64(s+i*parallelism) {
						t.Fatalf("event %d of split %d of %d is number %d", i, s, parallelism, e.Seq)
					}
				}
				all = append(all, mine...)
				testPositions(t, source, parallelism, s, mine)
			}
			slices.SortFunc(all, func(a, b nexmark.Event) int { return int(a.Seq - b.Seq) })
			if !reflect.DeepEqual(all, want) {
				t.Errorf("%d events in %d splits: got %d, or others", count, parallelism, len(all))
			}
		}
	}
}

// testPositions goes on from each position of a split that has the events all.
func testPositions(t *testing.T, source nexmark.Source, parallelism, s int, all []nexmark.Event) {
	t.Helper()
	r := opened(t, source, parallelism, s, nil)
	defer closed(t, r)
	for read := 0; ; read++ {
		at, err := r.Position()
		if err != nil {
			t.Fatal(err)
		}
		if again := rest(t, opened(t, source, parallelism, s, at), 4); !reflect.DeepEqual(again, slices.Clip(all[read:])) && len(again)+len(all[read:]) > 0 {
			t.Fatalf("split %d of %d, from its event %d: %d others", s, parallelism, read, len(again))
		}
		done, total := r.(weir.Progresser).Progress()
		if done != uint64(read) || total != uint64(len(all)) {
			t.Fatalf("progress %d of %d, want %d of %d", done, total, read, len(all))
		}
		if n, err := r.Read(make([]nexmark.Event, 1)); n == 0 {
			if !errors.Is(err, io.EOF) || read != len(all) {
				t.Fatalf("event %d of %d: %v", read, len(all), err)
			}
			return
		}
	}
}

// TestKindsOfReader asks each reader for what it must offer, and no more: a
// Notifier has nothing to say when every event is ready.
func TestKindsOfReader(t *testing.T) {
	for name, c := range map[string]struct {
		source         nexmark.Source
		bounded, paced bool
	}{
		"unbounded":        {nexmark.Events(-1), false, false},
		"bounded":          {nexmark.Events(10), true, false},
		"paced":            {nexmark.Events(-1).Rate(1e6), false, true},
		"bounded and pace": {nexmark.Events(10).Rate(1e6), true, true},
	} {
		r := opened(t, c.source, 1, 0, nil)
		_, progresser := r.(weir.Progresser)
		_, notifier := r.(weir.Notifier)
		if progresser != c.bounded || notifier != c.paced || c.source.Bounded() != c.bounded {
			t.Errorf("%s: bounded %t, progress %t, ready %t", name, c.source.Bounded(), progresser, notifier)
		}
		closed(t, r)
	}
}

// TestOutOfOrderness holds the bound to the benchmark's watermark, 4 s behind an
// event: a strategy keeps one millisecond more than its bound.
func TestOutOfOrderness(t *testing.T) {
	if behind := nexmark.OutOfOrderness + time.Millisecond; behind.Milliseconds() != 4000 {
		t.Errorf("the watermark is %v behind", behind)
	}
}

// TestRate waits for the events of one of two splits.
func TestRate(t *testing.T) {
	source := nexmark.Events(9).Rate(10_000)
	begin := time.Now()
	r := opened(t, source, 2, 1, nil)
	defer closed(t, r)
	values := make([]nexmark.Event, 8)
	for want := int64(1); want < 9; {
		n, err := r.Read(values)
		if err != nil {
			t.Fatal(err)
		}
		elapsed := time.Since(begin)
		for _, e := range values[:n] {
			if due := time.Duration(want) * time.Second / 10_000; elapsed < due {
				t.Errorf("event %d is due after %v, and came after %v", want, due, elapsed)
			}
			if !reflect.DeepEqual(e, source.Event(want)) {
				t.Errorf("event %d is %+v", want, e)
			}
			want += 2
		}
		if n == 0 {
			<-r.(weir.Notifier).Ready()
		}
	}
	if n, err := r.Read(values); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("behind the last event: %d, %v", n, err)
	}
	if done, total := r.(weir.Progresser).Progress(); done != 4 || total != 4 {
		t.Errorf("progress %d of %d", done, total)
	}
}

func TestMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		source nexmark.Source
		want   string
	}{
		"zero":           {nexmark.Source{}, "it has no event rate; make it with nexmark.Events"},
		"count":          {nexmark.Events(9e15 + 1), "the count is 9000000000000001 events; it is at most 9000000000000000"},
		"event rate":     {nexmark.Events(5).EventRate(0), "the event rate is 0 events per second of event time; it is at least 1"},
		"negative":       {nexmark.Events(5).EventRate(-3), "the event rate is -3"},
		"rate":           {nexmark.Events(5).Rate(math.NaN()), "the rate is NaN records per second"},
		"year 0":         {nexmark.Events(5).Start(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)), "event 0 is in the year 0; it is between 1 and 9999"},
		"year 1e4":       {nexmark.Events(5).Start(time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)), "the year 10000"},
		"more than one":  {nexmark.Events(5).EventRate(0).Rate(0), "at least 1\na generator of int64: the rate is 0"},
		"also afterward": {nexmark.Events(5).EventRate(0).EventRate(1), "the event rate is 0"},
	} {
		var source weir.Source[nexmark.Event] = c.source
		valid := source.(weir.Validator).Validate()
		_, splits := source.Splits(t.Context(), 1)
		_, open := source.Open(t.Context(), weir.Split{}, nil)
		for _, err := range []error{valid, splits, open} {
			if err == nil || !strings.HasPrefix(err.Error(), "a source of Nexmark events: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: error %v, want %q", name, err, c.want)
			}
		}
		if caught := panicOf(func() { c.source.Event(0) }); caught == nil || caught.(error).Error() != valid.Error() {
			t.Errorf("%s: Event panics with %v", name, caught)
		}
	}
	for _, seq := range []int64{-1, 9e15, math.MaxInt64} {
		if caught := panicOf(func() { nexmark.Events(-1).Event(seq) }); caught == nil || !strings.Contains(caught.(error).Error(), "there is no event ") {
			t.Errorf("event %d: panics with %v", seq, caught)
		}
	}
	if _, err := nexmark.Events(5).Open(t.Context(), weir.Split{ID: "bad"}, nil); err == nil || !strings.Contains(err.Error(), `split "bad"`) {
		t.Errorf("a split from elsewhere: error %v", err)
	}
}

func panicOf(f func()) (caught any) {
	defer func() { caught = recover() }()
	f()
	return nil
}

// TestEndOfNumbers reads an endless source to where times would wrap around.
func TestEndOfNumbers(t *testing.T) {
	at := binary.BigEndian.AppendUint64(nil, 9e15-768)
	r := opened(t, nexmark.Events(-1).EventRate(1), 1, 0, at)
	defer closed(t, r)
	values := make([]nexmark.Event, 1000)
	n, err := r.Read(values)
	if n != 768 || err == nil || errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "there is no event 9000000000000000") {
		t.Fatalf("%d events, error %v", n, err)
	}
	if last := values[n-1]; last.Seq != 9e15-1 || last.DateTime != 1436918370000+(9e15-1)*1000 {
		t.Errorf("the last event is %+v", last)
	}
}

// TestThroughExchange runs a job whose events go from subtask to subtask, encoded,
// and come out equal.
func TestThroughExchange(t *testing.T) {
	const count = 2_000
	source := nexmark.Events(count)
	var out bytes.Buffer
	err := weir.Run(t.Context(), "events", func(env *weir.Env) {
		weir.From(env, "nexmark", source).
			Rebalance().
			To("lines", stdout.JSON[nexmark.Event](stdout.To(&out)))
	}, weir.Setting("parallelism.default", "2"), weir.WithoutWarnings())
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	var want []string
	for seq := range int64(count) {
		want = append(want, string(source.Event(seq).AppendJSON(nil)))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d lines, want %d; or they differ", len(got), len(want))
	}
}

// TestAllocations holds readers to two for a person or an auction, and none for a
// bid: eight in a round of 50 events.
func TestAllocations(t *testing.T) {
	r := opened(t, nexmark.Events(-1), 1, 0, nil)
	defer closed(t, r)
	values := make([]nexmark.Event, 50)
	allocs := testing.AllocsPerRun(100, func() {
		if n, err := r.Read(values); n != 50 || err != nil {
			t.Fatal(n, err)
		}
	})
	if allocs != 8 {
		t.Errorf("%v allocations for 50 events, want 8", allocs)
	}
	var line []byte
	e := values[49]
	line = e.AppendJSON(line)
	if allocs := testing.AllocsPerRun(100, func() { line = e.AppendJSON(line[:0]) }); allocs != 0 {
		t.Errorf("%v allocations for a line", allocs)
	}
}
