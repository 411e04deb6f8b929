package batchingtest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/batching"
	"github.com/weirstream/weir/connector/batching/batchingtest"
	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var errBusy = errors.New("busy")

func open(t *testing.T, d *batchingtest.Destination[string]) batching.Sender[string] {
	t.Helper()
	s, err := d.Open(t.Context(), weir.Subtask{Name: "sink"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestAnswers: each answer comes as and when it says, and is kept with its
// request.
func TestAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			answer batchingtest.Answer
			failed string
			err    error
			took   time.Duration // with a context that ends after a second
		}{
			"accept":   {batchingtest.Accept, "[]", nil, 0},
			"fail":     {batchingtest.Fail(errBusy), "[]", errBusy, 0},
			"refuse":   {batchingtest.Refuse(errBusy, 2, 0), "[{2 busy} {0 busy}]", nil, 0},
			"hang":     {batchingtest.Hang, "[]", context.DeadlineExceeded, time.Second},
			"after":    {batchingtest.After(500*time.Millisecond, batchingtest.Accept), "[]", nil, 500 * time.Millisecond},
			"too late": {batchingtest.After(time.Minute, batchingtest.Accept), "[]", context.DeadlineExceeded, time.Second},
			"deaf":     {batchingtest.Deaf(time.Minute, batchingtest.Fail(errBusy)), "[]", errBusy, time.Minute},
		} {
			d := batchingtest.New[string](test.answer)
			s := open(t, d)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			began := time.Now()
			failed, err := s.Send(ctx, []string{"a", "b", "c"})
			if fmt.Sprint(failed) != test.failed || !errors.Is(err, test.err) || time.Since(began) != test.took {
				t.Errorf("%s: %v, %v after %v", name, failed, err, time.Since(began))
			}
			cancel()
			r := d.Requests()[0]
			if fmt.Sprint(r.Batch, r.Failed) != "[a b c] "+test.failed || !errors.Is(r.Err, test.err) || !r.Begun.Equal(began) || !r.Ended.Equal(time.Now()) {
				t.Errorf("%s: it keeps %+v", name, r)
			}
			want := map[bool]string{true: "[a b c]", false: "[]"}[test.err == nil]
			if name == "refuse" {
				want = "[b]"
			}
			if got := fmt.Sprint(d.Acknowledged()); got != want {
				t.Errorf("%s: acknowledged %v, want %v", name, got, want)
			}
		}
	})
}

// TestNoAnswer: requests that do not return are kept as such.
func TestNoAnswer(t *testing.T) {
	d := batchingtest.New[string](batchingtest.Panic(errBusy), batchingtest.Goexit)
	s := open(t, d)
	group := goroutine.New(t.Context())
	group.Go(func(ctx context.Context) error {
		defer func() {
			if err, _ := recover().(error); !errors.Is(err, errBusy) {
				t.Errorf("it panics with %v", err)
			}
		}()
		_, _ = s.Send(ctx, []string{"a"})
		return nil
	})
	_ = group.Wait()
	group.Go(func(ctx context.Context) error {
		_, _ = s.Send(ctx, []string{"b"})
		t.Error("it returns")
		return nil
	})
	_ = group.Wait()
	group.Stop()
	for _, r := range d.Requests() {
		if !errors.Is(r.Err, batchingtest.ErrNone) || r.Ended.IsZero() {
			t.Errorf("it keeps %+v", r)
		}
	}
	if len(d.Requests()) != 2 || len(d.Acknowledged()) != 0 {
		t.Errorf("%d requests, acknowledged %v", len(d.Requests()), d.Acknowledged())
	}
}

// TestMisuse is D2.
func TestMisuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := batchingtest.New[string](batchingtest.After(time.Minute, batchingtest.Accept))
		s := open(t, d)
		group := goroutine.New(t.Context())
		for range 2 {
			group.Go(func(ctx context.Context) error {
				_, err := s.Send(ctx, []string{"a"})
				return err
			})
		}
		synctest.Wait()
		if d.Misuse() != nil || d.OpenSenders() != 1 || d.MostInFlight() != 2 {
			t.Errorf("before: misuse %v, %d open, %d at a time", d.Misuse(), d.OpenSenders(), d.MostInFlight())
		}
		_ = errors.Join(s.Close(), s.Close(), group.Wait())
		group.Stop()
		_, _ = s.Send(t.Context(), []string{"b"})
		want := "sink: a sender was closed with 1 requests under way\nsink: a sender was closed twice\nsink: a request of 1 records after the sender was closed"
		if err := d.Misuse(); err == nil || err.Error() != want {
			t.Errorf("got\n%v\nwant\n%s", err, want)
		}
		if d.OpenSenders() != 0 || strings.Join(d.Acknowledged(), "") != "aab" {
			t.Errorf("%d senders open, acknowledged %v", d.OpenSenders(), d.Acknowledged())
		}
	})
}

// A test of a job tells its destination what to do, and asks it what it got.
func ExampleDestination() {
	destination := batchingtest.New[string](
		batchingtest.Refuse(errors.New("busy"), 1),
	)
	sink := batching.New(destination.Open).Backoff(0, 0)

	w, err := sink.Open(context.Background(), weir.Subtask{Parallelism: 1})
	if err == nil {
		err = errors.Join(w.Write([]string{"a", "b", "c"}), w.(weir.Finisher).Finish(), w.Close())
	}
	for _, request := range destination.Requests() {
		fmt.Println(request.Batch, request.Failed)
	}
	fmt.Println(destination.Acknowledged(), err)
	// Output:
	// [a b c] [{1 busy}]
	// [b] []
	// [a c b] <nil>
}
