package batching_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/batching"
	"github.com/weirstream/weir/connector/batching/batchingtest"
	"github.com/weirstream/weir/internal/goroutine"
)

var (
	errBusy = errors.New("busy")
	errGone = errors.New("no such table")
)

// writer is what a sink opens.
type writer interface {
	weir.Writer[int]
	weir.Syncer
	weir.Finisher
}

// open opens a sink's writer, which ends with ctx.
func open(ctx context.Context, t *testing.T, sink weir.Sink[int]) writer {
	t.Helper()
	w, err := sink.Open(ctx, weir.Subtask{Index: 1, Parallelism: 4, Name: "sink: rows (2/4)"})
	if err != nil {
		t.Fatal(err)
	}
	return w.(writer)
}

// numbers returns the numbers from first up to, but not including, end.
func numbers(first, end int) (n []int) {
	for i := first; i < end; i++ {
		n = append(n, i)
	}
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// closed closes a writer and checks what it leaves behind.
func closed(t *testing.T, w writer, d *batchingtest.Destination[int]) {
	t.Helper()
	must(t, w.Close())
	if n := d.OpenSenders(); n != 0 || d.Misuse() != nil {
		t.Errorf("after Close %d senders are open; misuse: %v", n, d.Misuse())
	}
}

// sent describes requests: when they were sent, in time since the first, and
// their records.
func sent(d *batchingtest.Destination[int], since time.Time) (list []string) {
	for _, r := range d.Requests() {
		list = append(list, fmt.Sprint(r.Begun.Sub(since), r.Batch))
	}
	return list
}

func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// TestBatches: a full batch goes at once, an open one when it has lingered, which
// Flush does not shorten and Finish does.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, began := batchingtest.New[int](), time.Now()
		w := open(t.Context(), t, batching.New(d.Open).BatchSize(3).Linger(time.Second).InFlight(4))
		must(t, w.Write(numbers(0, 7)))
		must(t, w.Flush())
		<-time.After(900 * time.Millisecond)
		must(t, w.Write(numbers(7, 8)))
		<-time.After(900 * time.Millisecond)
		must(t, w.Write(numbers(8, 9)))
		<-time.After(100 * time.Millisecond)
		must(t, w.Finish())
		must(t, w.Finish())
		closed(t, w, d)
		got := sent(d, began)
		slices.Sort(got) // requests of the same time come in any order
		equal(t, got, "0s [0 1 2]", "0s [3 4 5]", "1.9s [8]", "1s [6 7]")
	})
}

// TestSync: with a checkpoint everything so far is sent and acknowledged, whatever it
// would linger; what follows lingers again.
func TestSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, began := batchingtest.New[int](batchingtest.After(5*time.Second, batchingtest.Accept)), time.Now()
		w := open(t.Context(), t, batching.New(d.Open).BatchSize(10).Linger(time.Minute))
		must(t, w.Write(numbers(0, 3)))
		must(t, w.Sync())
		if took := time.Since(began); took != 5*time.Second || len(d.Acknowledged()) != 3 {
			t.Errorf("after %v %d records are acknowledged; want 3 after 5s", took, len(d.Acknowledged()))
		}
		must(t, w.Write(numbers(3, 5)))
		must(t, w.Flush())
		<-time.After(time.Minute)
		must(t, w.Finish())
		closed(t, w, d)
		equal(t, sent(d, began), "0s [0 1 2]", "1m5s [3 4]")
	})
}

// TestBytes: a batch ends before the record that would make it too large, and a
// record that is too large by itself is an error.
func TestBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, began := batchingtest.New[int](), time.Now()
		w := open(t.Context(), t, batching.New(d.Open).BatchBytes(10, func(v int) int { return v }).BufferBytes(10).Linger(time.Hour))
		must(t, w.Write([]int{4, 6, 1, 10, 2, 3}))
		must(t, w.Finish())
		equal(t, sent(d, began), "0s [4 6]", "0s [1]", "0s [10]", "0s [2 3]")

		var failed *batching.Error
		err := w.Write([]int{5, 11, 1})
		if !errors.As(err, &failed) || failed.Records != 1 || failed.Unacknowledged != 2 || failed.Attempts != 0 {
			t.Errorf("a record of 11 bytes: %v", err)
		}
		want := "batching: a record cannot be sent (not acknowledged in all: 2): its size is 11 bytes; a request has at most 10"
		if err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		closed(t, w, d)
	})
}

// TestBackpressure: when nothing is answered, Write takes what may be under way
// and in the buffer, and blocks.
func TestBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := batchingtest.New[int](batchingtest.After(time.Minute, batchingtest.Accept), batchingtest.After(time.Hour, batchingtest.Accept))
		w := open(t.Context(), t, batching.New(d.Open).BatchSize(10).InFlight(2).Buffer(25).Timeout(0))
		began := time.Now()
		must(t, w.Write(numbers(0, 45)))
		if took := time.Since(began); took != 0 {
			t.Errorf("Write blocked for %v with room in the buffer", took)
		}
		must(t, w.Write(numbers(45, 46)))
		if took := time.Since(began); took != time.Minute {
			t.Errorf("Write blocked for %v; the first request was answered after a minute", took)
		}
		must(t, w.Flush())
		must(t, w.Finish())
		if took := time.Since(began); took != time.Hour {
			t.Errorf("Finish waited until %v; the last request was answered after an hour", took)
		}
		closed(t, w, d)
		if n := len(d.Acknowledged()); n != 46 || d.MostInFlight() != 2 {
			t.Errorf("%d records are acknowledged; %d requests at a time", n, d.MostInFlight())
		}
	})
}

// TestCancel: the end of the task ends a blocked Write, a blocked Finish and hanging
// requests, at once.
func TestCancel(t *testing.T) {
	calls := map[string]func(writer) error{
		"write":  func(w writer) error { return w.Write(numbers(0, 100)) },
		"finish": func(w writer) error { return errors.Join(w.Write(numbers(0, 5)), w.Finish()) },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				d := batchingtest.New[int](batchingtest.Hang)
				w := open(ctx, t, batching.New(d.Open).BatchSize(10).Buffer(20).Timeout(0))
				canceled := errors.New("canceled by the user")
				time.AfterFunc(time.Minute, func() { cancel(canceled) })
				began := time.Now()
				if err := call(w); !errors.Is(err, canceled) || time.Since(began) != time.Minute {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
				closed(t, w, d)
				if took := time.Since(began); took != time.Minute || d.OpenSenders() != 0 {
					t.Errorf("closed after %v, %d senders open", took, d.OpenSenders())
				}
				if n := len(d.Acknowledged()); n != 0 {
					t.Errorf("%d records are acknowledged", n)
				}
			})
		})
	}
}

// TestRetries: what failed is sent again, and nothing else, later each time.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, began := batchingtest.New[int](
			batchingtest.Refuse(errBusy, 3, 1),
			batchingtest.Fail(batching.RetryAfter(errBusy, time.Minute)),
			batchingtest.Hang,
			batchingtest.Refuse(nil, 1),
		), time.Now()
		w := open(t.Context(), t, batching.New(d.Open).BatchSize(4).Timeout(10*time.Second).Backoff(2*time.Second, 5*time.Second))
		must(t, w.Write(numbers(0, 6)))
		must(t, w.Flush())
		must(t, w.Finish())
		closed(t, w, d)

		requests := d.Requests()
		var batches [][]int
		var waits []time.Duration
		for i, r := range requests {
			batches = append(batches, r.Batch)
			if i > 0 {
				waits = append(waits, r.Begun.Sub(requests[i-1].Ended))
			}
		}
		if got, want := fmt.Sprint(batches), "[[0 1 2 3] [1 3] [1 3] [1 3] [3] [4 5]]"; got != want {
			t.Errorf("requests %v, want %v", got, want)
		}
		for i, want := range [][2]time.Duration{
			{time.Second, 2 * time.Second},
			{time.Minute, time.Minute}, // as the destination said
			{2500 * time.Millisecond, 5 * time.Second},
			{2500 * time.Millisecond, 5 * time.Second},
			{0, 0},
		} {
			if waits[i] < want[0] || waits[i] > want[1] {
				t.Errorf("before request %d it waited for %v, want %v to %v", i+1, waits[i], want[0], want[1])
			}
		}
		if r := requests[2]; r.Ended.Sub(r.Begun) != 10*time.Second || !errors.Is(r.Err, context.DeadlineExceeded) {
			t.Errorf("the hanging request ended after %v: %v", r.Ended.Sub(r.Begun), r.Err)
		}
		if got, want := fmt.Sprint(d.Acknowledged()), "[0 2 1 3 4 5]"; got != want {
			t.Errorf("acknowledged %v, want %v, %v after the beginning", got, want, time.Since(began))
		}
	})
}

// TestFailures: the ways in which a sink fails, and what it says.
func TestFailures(t *testing.T) {
	errStrange := errors.New("strange")
	for name, test := range map[string]struct {
		answers  []batchingtest.Answer
		cause    error // nil if it has no value
		says     string
		records  int
		attempts int
	}{
		"fatal": {
			answers: []batchingtest.Answer{batchingtest.Fail(batching.Fatal(errGone))},
			cause:   errGone, records: 4, attempts: 1,
			says: "batching: 4 of the 4 records of a request were not accepted, attempts: 1 (not acknowledged in all: 6): no such table",
		},
		"a fatal record among others": {
			answers: []batchingtest.Answer{mixed},
			cause:   errGone, records: 2, attempts: 1,
			says: "batching: 2 of the 4 records of a request were not accepted, attempts: 1 (not acknowledged in all: 4): no such table",
		},
		"too many attempts": {
			answers: []batchingtest.Answer{batchingtest.Refuse(errBusy, 0, 1, 2), batchingtest.Fail(errBusy), batchingtest.Refuse(errBusy, 1)},
			cause:   errBusy, records: 1, attempts: 3,
			says: "batching: 1 of the 3 records of a request were not accepted, attempts: 3 in 0s (not acknowledged in all: 3): busy",
		},
		"timeouts": {
			answers: []batchingtest.Answer{batchingtest.Hang, batchingtest.Hang, batchingtest.Deaf(time.Minute, batchingtest.Fail(errBusy))},
			cause:   errBusy, records: 4, attempts: 3,
			says: "attempts: 3 in 1m2s (not acknowledged in all: 6): no answer within the timeout of 1s: busy",
		},
		"panic": {
			answers: []batchingtest.Answer{batchingtest.Panic(errStrange)},
			cause:   errStrange, records: 4, attempts: 1, says: "Send panicked: strange\ngoroutine ",
		},
		"panic without an error": {
			answers: []batchingtest.Answer{batchingtest.Panic("oops")}, records: 4, attempts: 1, says: "Send panicked: oops\n",
		},
		"goexit": {
			answers: []batchingtest.Answer{batchingtest.Goexit}, records: 4, attempts: 1, says: "runtime.Goexit",
		},
		"an impossible answer": {
			answers: []batchingtest.Answer{batchingtest.Refuse(errBusy, 4)}, records: 4, attempts: 1,
			says: "the sender says that record 4 failed, of a request of 4 records, which count from 0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := batchingtest.New[int](test.answers...)
				w := open(t.Context(), t, batching.New(d.Open).BatchSize(4).Timeout(time.Second).Attempts(3).Backoff(0, 0))
				must(t, w.Write(numbers(0, 6)))
				<-time.After(time.Hour)
				err := w.Flush()
				var failed *batching.Error
				if !errors.As(err, &failed) || !strings.Contains(err.Error(), test.says) ||
					failed.Records != test.records || failed.Attempts != test.attempts {
					t.Errorf("got  %v\nwant %s", err, test.says)
				}
				if test.cause != nil && !errors.Is(err, test.cause) {
					t.Errorf("%v does not wrap %v", err, test.cause)
				}
				if again := w.Write(numbers(6, 7)); again == nil || again.Error() != err.Error() {
					t.Errorf("Write after the failure: %v", again)
				}
				if again := w.Finish(); again == nil || again.Error() != err.Error() {
					t.Errorf("Finish after the failure: %v", again)
				}
				closed(t, w, d) // it does not say it a second time
				if n := len(d.Requests()); n != len(test.answers) {
					t.Errorf("%d requests, want %d: nothing is sent after a failure", n, len(test.answers))
				}
			})
		})
	}
}

// mixed is an answer that refuses two records, of which one will never do.
func mixed(context.Context, int) ([]batching.Failure, error) {
	return []batching.Failure{{Index: 0, Err: errBusy}, {Index: 2, Err: batching.Fatal(errGone)}}, nil
}

// TestFailureReachesWhoWaits: a failure ends a Write that waits for room, a Finish,
// and is what Close says if nobody has heard of it.
func TestFailureReachesWhoWaits(t *testing.T) {
	calls := map[string]func(writer) error{
		"write":  func(w writer) error { return w.Write(numbers(0, 100)) },
		"finish": func(w writer) error { return errors.Join(w.Write(numbers(0, 5)), w.Finish()) },
		"close": func(w writer) error {
			err := errors.Join(w.Write(numbers(0, 5)), w.Flush())
			<-time.After(time.Minute)
			synctest.Wait() // for the answer
			return errors.Join(err, w.Close())
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := batchingtest.New[int](batchingtest.After(time.Minute, batchingtest.Fail(batching.Fatal(errGone))))
				w := open(t.Context(), t, batching.New(d.Open).BatchSize(5).Buffer(5).Timeout(0))
				began := time.Now()
				if err := call(w); !errors.Is(err, errGone) || time.Since(began) != time.Minute {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
				if name != "close" {
					closed(t, w, d)
				}
			})
		})
	}
}

// TestCloseWithoutFinish: whoever closes before the input has ended has failed or
// is canceled, after a Write or a Flush: nothing more is sent and requests are told
// to end. Close waits for one that does not listen, and for no repetition.
func TestCloseWithoutFinish(t *testing.T) {
	for name, test := range map[string]struct {
		answer       batchingtest.Answer
		flush        bool
		acknowledged string
		took         time.Duration
	}{
		"deaf, after a write": {batchingtest.Deaf(time.Minute, batchingtest.Accept), false, "[0 1 2 3]", time.Minute},
		"deaf, after a flush": {batchingtest.Deaf(time.Minute, batchingtest.Accept), true, "[0 1 2 3]", time.Minute},
		"deaf, and refuses":   {batchingtest.Deaf(time.Minute, batchingtest.Fail(errBusy)), true, "[]", time.Minute},
		"hangs":               {batchingtest.Hang, true, "[]", 0},
		"waits to repeat":     {batchingtest.Fail(batching.RetryAfter(errBusy, time.Hour)), true, "[]", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := batchingtest.New[int](test.answer)
				w := open(t.Context(), t, batching.New(d.Open).BatchSize(4).Timeout(0).Attempts(2).Backoff(0, 0))
				must(t, w.Write(numbers(0, 9)))
				if test.flush {
					must(t, w.Flush())
				}
				synctest.Wait()
				began := time.Now()
				closed(t, w, d)
				if took := time.Since(began); took != test.took {
					t.Errorf("Close returned after %v, want %v", took, test.took)
				}
				if got := fmt.Sprint(d.Acknowledged()); got != test.acknowledged || len(d.Requests()) != 1 {
					t.Errorf("acknowledged %v, %d requests", got, len(d.Requests()))
				}
			})
		})
	}
}

// unclosable is a sender that cannot be closed.
type unclosable struct{ batching.SendFunc[int] }

func (unclosable) Close() error { return errBusy }

// TestSenderOpensAndCloses: errors of opening and closing a sender are the sink's.
func TestSenderOpensAndCloses(t *testing.T) {
	sink := batching.New(func(_ context.Context, subtask weir.Subtask) (batching.Sender[int], error) {
		return nil, fmt.Errorf("%s: %w", subtask.Name, errGone)
	})
	if _, err := sink.Open(t.Context(), weir.Subtask{Name: "rows"}); !errors.Is(err, errGone) || err.Error() != "rows: no such table" {
		t.Errorf("a sender that cannot be opened: %v", err)
	}
	sink = batching.New(func(context.Context, weir.Subtask) (batching.Sender[int], error) {
		return unclosable{func(context.Context, []int) ([]batching.Failure, error) { return nil, nil }}, nil
	})
	w := open(t.Context(), t, sink)
	if err := errors.Join(w.Write(numbers(0, 3)), w.Flush(), w.Finish(), w.Close()); !errors.Is(err, errBusy) {
		t.Errorf("a sender that cannot be closed: %v", err)
	}
}

// TestChaos sends to a destination that goes wrong at random, in every way that
// another attempt can mend. Everything arrives, acknowledged once.
func TestChaos(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { chaos(t, seed) })
		})
	}
}

func chaos(t *testing.T, seed uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	choices := rand.New(rand.NewPCG(seed, 2)) // of the destination, which is asked by other goroutines
	d := batchingtest.By(func(_ int, batch []int) batchingtest.Answer {
		some := choices.Perm(len(batch))[:choices.IntN(len(batch)+1)]
		d := time.Duration(choices.IntN(2000)) * time.Millisecond
		return []batchingtest.Answer{
			batchingtest.Accept,
			batchingtest.After(d, batchingtest.Accept),
			batchingtest.Refuse(errBusy, some...),
			batchingtest.After(d, batchingtest.Refuse(errBusy, some...)),
			batchingtest.Fail(batching.RetryAfter(errBusy, d)),
			batchingtest.Hang,
			batchingtest.Deaf(d, batchingtest.Accept),
			batchingtest.Deaf(d, batchingtest.Fail(errBusy)),
		}[choices.IntN(8)]
	})
	limit := 1 + random.IntN(4)
	w := open(t.Context(), t, batching.New(d.Open).
		BatchSize(1+random.IntN(20)).InFlight(limit).Linger(time.Duration(random.IntN(1000))*time.Millisecond).
		Timeout(time.Second).Attempts(-1).Backoff(time.Duration(random.IntN(100))*time.Millisecond, time.Second))
	written := 0
	for range 50 {
		n := random.IntN(50)
		must(t, w.Write(numbers(written, written+n)))
		written += n
		<-time.After(time.Duration(random.IntN(300)) * time.Millisecond)
		must(t, w.Flush())
		if random.IntN(10) == 0 {
			must(t, w.Finish())
			if got := len(d.Acknowledged()); got != written {
				t.Fatalf("after Finish %d of %d records are acknowledged", got, written)
			}
		}
	}
	must(t, w.Flush())
	must(t, w.Finish())
	closed(t, w, d)
	got := d.Acknowledged()
	slices.Sort(got)
	if !slices.Equal(got, numbers(0, written)) {
		t.Errorf("%d records were written, acknowledged are %v", written, got)
	}
	if most := d.MostInFlight(); most > limit {
		t.Errorf("%d requests at a time, the limit is %d", most, limit)
	}
	if limit > 1 {
		return
	}
	highest := -1
	for _, r := range d.Requests() {
		if i := slices.IndexFunc(r.Batch, func(v int) bool { return v > highest }); i >= 0 && r.Batch[0] <= highest {
			t.Errorf("%v is sent with earlier records behind it that were not acknowledged", r.Batch)
		}
		highest = max(highest, r.Batch[len(r.Batch)-1])
	}
}

// TestWriters: several subtasks of one sink write at once, in real time.
func TestWriters(t *testing.T) {
	d := batchingtest.By(func(request int, _ []int) batchingtest.Answer {
		if request%7 == 3 {
			return batchingtest.Refuse(errBusy, 0)
		}
		return batchingtest.Accept
	})
	sink := batching.New(d.Open).BatchSize(8).InFlight(3).Linger(0).Backoff(0, 0)
	group := goroutine.New(t.Context())
	for i := range 4 {
		w := open(t.Context(), t, sink)
		group.Go(func(context.Context) error {
			for j := range 100 {
				if err := w.Write(numbers(1000*i+10*j, 1000*i+10*j+10)); err != nil {
					return err
				}
			}
			return errors.Join(w.Flush(), w.Finish(), w.Close())
		})
	}
	must(t, group.Wait())
	group.Stop()
	got := d.Acknowledged()
	slices.Sort(got)
	if want := numbers(0, 4000); !slices.Equal(got, want) {
		t.Errorf("%d records are acknowledged, want %d", len(got), len(want))
	}
	if d.Misuse() != nil || d.OpenSenders() != 0 {
		t.Errorf("misuse: %v; %d senders open", d.Misuse(), d.OpenSenders())
	}
}

func TestValidate(t *testing.T) {
	d := batchingtest.New[int]()
	size := func(int) int { return 1 }
	good := batching.New(d.Open)
	for _, test := range []struct {
		sink batching.Sink[int]
		want string
	}{
		{good, ""},
		{good.BatchSize(1).Linger(0).Timeout(0).Attempts(-1).Backoff(0, 0).InFlight(10_000).Buffer(1), ""},
		{good.BatchSize(100_000), ""}, // the buffer grows with it
		{good.BatchBytes(10, size).BufferBytes(10), ""},
		{batching.Sink[int]{}, "use batching.New"},
		{good.BatchSize(0), "the batch size is 0 records"},
		{good.BatchBytes(0, size), "bytes is not positive"},
		{good.BatchBytes(1, nil), "needs a function"},
		{good.InFlight(0), "0 requests in flight"},
		{good.InFlight(10_001), "10001 requests in flight"},
		{good.Buffer(0), "smaller than a batch of 500 records"},
		{good.Buffer(499), "smaller than a batch of 500 records"},
		{good.BufferBytes(1), "needs a batch size in bytes"},
		{good.BatchBytes(10, size).BufferBytes(9), "smaller than a batch of 10 bytes"},
		{good.BatchBytes(10, size).BufferBytes(0), "smaller than a batch of 10 bytes"},
		{good.Linger(-1), "the linger time is -1ns"},
		{good.Timeout(-1), "the timeout is -1ns"},
		{good.Attempts(0), "0 attempts"},
		{good.Attempts(-2), "-2 attempts"},
		{good.Backoff(-1, 1), "the backoff is from -1ns to 1ns"},
		{good.Backoff(2, 1), "the backoff is from 2ns to 1ns"},
		{good.Linger(-1).InFlight(0), "0 requests in flight; there are between 1 and 10000\nthe linger time is -1ns"},
	} {
		err := test.sink.Validate()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
		if _, openErr := test.sink.Open(t.Context(), weir.Subtask{}); err != nil && (openErr == nil || openErr.Error() != err.Error()) {
			t.Errorf("Open does not refuse what Validate does: %v", openErr)
		}
	}
}

func TestMarks(t *testing.T) {
	if batching.Fatal(nil) != nil || batching.RetryAfter(nil, 1) != nil {
		t.Error("a mark on nothing is an error")
	}
	for _, err := range []error{batching.Fatal(errBusy), batching.RetryAfter(errBusy, 1)} {
		if !errors.Is(err, errBusy) || err.Error() != "busy" {
			t.Errorf("a mark hides %v", err)
		}
	}
}
