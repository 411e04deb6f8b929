package generator

import (
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weirstream/weir"
)

// clock is the time of a test, and the alarm that is set on it.
type clock struct {
	now    time.Duration // since the reader was opened
	set    time.Duration // when the alarm goes off, or -1
	c      chan struct{}
	closed bool
	err    error
}

func newClock() *clock { return &clock{set: -1, c: make(chan struct{}, 1)} }

func (c *clock) C() <-chan struct{}            { return c.c }
func (c *clock) Close() error                  { c.closed = true; return nil }
func (c *clock) Set(d time.Duration) error     { c.set = c.now + d; return c.err }
func (c *clock) since(time.Time) time.Duration { return c.now }
func (c *clock) reader(g Generator[sent], s stride, next int64) weir.Reader[sent] {
	return newPacedReader(reader[sent]{source: g, stride: s, next: next}, c, opened, c.since)
}

var opened = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

type sent struct {
	i   int64
	due time.Time
}

func newSent(i int64, due time.Time) sent { return sent{i, due} }

// TestSchedule wakes a reader when it asks to be, and expects each record then.
func TestSchedule(t *testing.T) {
	c := newClock()
	r := c.reader(Paced(10, 1000, newSent), stride{1, 3}, 1) // makes 1, 4, 7, due at 1, 4, 7 ms
	values := make([]sent, 8)
	for _, i := range []int64{1, 4, 7} {
		due := time.Duration(i) * time.Millisecond
		if n, err := r.Read(values); n != 0 || err != nil || c.set != due {
			t.Fatalf("record %d is due at %v: at %v Read returned %d, %v and set the alarm to %v", i, due, c.now, n, err, c.set)
		}
		c.now = due - 1
		if n, err := r.Read(values); n != 0 || err != nil || c.set != due {
			t.Fatalf("record %d is due at %v: at %v Read returned %d, %v and set the alarm to %v", i, due, c.now, n, err, c.set)
		}
		c.now = due
		if n, err := r.Read(values); n != 1 || err != nil || values[0] != (sent{i, opened.Add(due)}) {
			t.Fatalf("record %d is due at %v: at %v Read returned %d, %v: %v", i, due, c.now, n, err, values[0])
		}
	}
	if n, err := r.Read(values); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("behind the last record: %d, %v", n, err)
	}
	if done, total := r.(weir.Progresser).Progress(); done != 3 || total != 3 {
		t.Errorf("progress %d of %d", done, total)
	}
	if err := r.Close(); err != nil || !c.closed {
		t.Errorf("closed: %v, error %v", c.closed, err)
	}
}

// TestOverdue makes what is overdue at once, in batches as large as asked for,
// and afterwards keeps to the schedule.
func TestOverdue(t *testing.T) {
	c := newClock()
	r := c.reader(Paced(-1, 1000, newSent), stride{0, 1}, 0)
	c.now = 10*time.Millisecond + 1
	values := make([]sent, 8)
	if n, err := r.Read(values); n != 8 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := r.Read(values); n != 3 || err != nil || values[2] != (sent{10, opened.Add(10 * time.Millisecond)}) {
		t.Fatal(n, err, values[2])
	}
	if n, err := r.Read(values); n != 0 || err != nil || c.set != 11*time.Millisecond {
		t.Fatal(n, err, c.set)
	}
	c.err = errors.New("no timer")
	if n, err := r.Read(values); n != 0 || !errors.Is(err, c.err) {
		t.Errorf("without a timer: %d, %v", n, err)
	}
}

// TestResumedSchedule begins anew: what was due while the job was down is not
// made up for.
func TestResumedSchedule(t *testing.T) {
	c := newClock()
	r := c.reader(Of(-1, func(i int64) sent { return sent{i: i} }).Rate(1000), stride{1, 2}, 1_000_001)
	values := make([]sent, 8)
	if n, err := r.Read(values); n != 0 || err != nil || c.set != time.Millisecond {
		t.Fatal(n, err, c.set)
	}
	c.now = 3 * time.Millisecond
	if n, err := r.Read(values); n != 2 || err != nil || values[0].i != 1_000_001 || values[1].i != 1_000_003 {
		t.Fatal(n, err, values[:2])
	}
}

// TestReadyAgreesWithDue compares the two directions of the schedule, at rates
// and times at which floating-point numbers round (N2).
func TestReadyAgreesWithDue(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		rate := math.Exp(random.Float64()*math.Log(maxRate/minRate)) * minRate
		step := 1 + random.Int64N(100)
		p := pace{offset: float64(random.Int64N(step)) * 1e9 / rate, interval: float64(step) * 1e9 / rate}
		elapsed := time.Duration(random.Int64N(int64(1) << (10 + random.IntN(50))))
		if random.IntN(2) == 0 {
			elapsed = p.due(random.Int64N(1 << 30))
		}
		if elapsed > math.MaxInt64/2 {
			continue
		}
		k := p.ready(elapsed)
		if k < 0 || k > 0 && p.due(k-1) > elapsed || p.due(k) <= elapsed {
			t.Fatalf("%+v: %d are ready at %v, but due(%d) is %v and due(%d) %v", p, k, elapsed, k-1, p.due(k-1), k, p.due(k))
		}
	}
}

// TestRealClock lets a source run on the machine's clock: all records come, and
// none before it is due.
func TestRealClock(t *testing.T) {
	const count = 400
	source := Paced(count, 4000, newSent)
	splits, err := source.Splits(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := source.Open(t.Context(), splits[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, opened)
	r := opened.(interface {
		weir.Reader[sent]
		weir.Notifier
	})
	values := make([]sent, 16)
	for read := int64(0); ; {
		n, err := r.Read(values)
		now := time.Now()
		for _, v := range values[:n] {
			if v.i != read || v.due.After(now) {
				t.Fatalf("record %d, wanted %d, at %v before it is due", v.i, read, v.due.Sub(now))
			}
			read++
		}
		if errors.Is(err, io.EOF) {
			if read != count {
				t.Errorf("%d of %d records", read, count)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			select {
			case <-r.Ready():
			case <-t.Context().Done():
				t.Fatal("no wake-up")
			}
		}
	}
}

// TestCloseWhileWaiting closes a reader whose alarm is set far away.
func TestCloseWhileWaiting(t *testing.T) {
	r, err := Of(-1, square).Rate(minRate).Open(t.Context(), stride{1, 2}.split(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.Read(make([]int64, 1)); n != 0 || err != nil {
		t.Errorf("Read returned %d, %v", n, err)
	}
	closed(t, r) // waits for the goroutine; leaktest would find it
}
