package batching_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/batching"
	"github.com/weirstream/weir/connector/batching/batchingtest"
	"github.com/weirstream/weir/connector/generator"
)

// runJob runs a job of two subtasks that writes the numbers below count.
func runJob(ctx context.Context, t *testing.T, count int64, sink weir.Sink[int]) error {
	t.Helper()
	return weir.Run(ctx, "numbers", func(env *weir.Env) {
		weir.From(env, "numbers", generator.Of(count, func(i int64) int { return int(i) })).To("rows", sink)
	}, weir.Setting("parallelism.default", "2"), weir.WithoutWarnings())
}

// TestJob: a job that has finished has everything acknowledged, also if the
// destination refuses some of it at first.
func TestJob(t *testing.T) {
	d := batchingtest.By(func(request int, _ []int) batchingtest.Answer {
		if request%3 == 0 {
			return batchingtest.Refuse(errBusy, 0)
		}
		return batchingtest.Accept
	})
	must(t, runJob(t.Context(), t, 10_000, batching.New(d.Open).BatchSize(100).InFlight(2).Backoff(0, 0)))
	got := d.Acknowledged()
	slices.Sort(got)
	if !slices.Equal(got, numbers(0, 10_000)) {
		t.Errorf("%d records are acknowledged, want 10000", len(got))
	}
	subtasks := map[string]bool{}
	for _, r := range d.Requests() {
		subtasks[r.Subtask.Name] = true
	}
	if len(subtasks) != 2 || d.Misuse() != nil || d.OpenSenders() != 0 {
		t.Errorf("subtasks %v, misuse %v, %d senders open", subtasks, d.Misuse(), d.OpenSenders())
	}
}

// TestJobFails: a job whose sink fails says what the sink says.
func TestJobFails(t *testing.T) {
	d := batchingtest.New[int](batchingtest.Fail(batching.Fatal(errGone)))
	err := runJob(t.Context(), t, -1, batching.New(d.Open))
	want := "batching: 500 of the 500 records of a request were not accepted, attempts: 1 (not acknowledged in all: "
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "no such table") {
		t.Errorf("got %v, want %q", err, want)
	}
	if d.OpenSenders() != 0 {
		t.Errorf("%d senders are open", d.OpenSenders())
	}
	err = runJob(t.Context(), t, -1, batching.New(d.Open).InFlight(-1))
	if err == nil || !strings.Contains(err.Error(), "-1 requests in flight") {
		t.Errorf("wrong settings: %v", err)
	}
}

// breaking is a source of three numbers that rests and, once ready is closed,
// breaks.
type breaking struct{ ready chan struct{} }

var errBroken = errors.New("the source is broken")

func (breaking) Bounded() bool { return true }
func (breaking) Splits(context.Context, int) ([]weir.Split, error) {
	return []weir.Split{{ID: "only"}}, nil
}

func (b breaking) Open(context.Context, weir.Split, []byte) (weir.Reader[int], error) {
	return &breakingReader{ready: b.ready}, nil
}

type breakingReader struct {
	ready chan struct{}
	calls int
}

func (r *breakingReader) Read(values []int) (int, error) {
	r.calls++
	switch r.calls {
	case 1:
		return copy(values, numbers(0, 3)), nil
	case 2:
		return 0, nil
	default:
		return 0, errBroken
	}
}

func (r *breakingReader) Ready() <-chan struct{}    { return r.ready }
func (r *breakingReader) Position() ([]byte, error) { return nil, nil }
func (r *breakingReader) Close() error              { return nil }

// TestJobFailsElsewhere: a task that fails when nothing was written since a Flush
// does not wait for a destination that is down.
func TestJobFailsElsewhere(t *testing.T) {
	source := breaking{make(chan struct{})}
	d := batchingtest.By(func(request int, _ []int) batchingtest.Answer {
		if request == 0 {
			close(source.ready)
		}
		return batchingtest.Fail(errBusy)
	})
	// The job is canceled if it waits, and says so.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := weir.Run(ctx, "numbers", func(env *weir.Env) {
		weir.From(env, "numbers", source).To("rows", batching.New(d.Open).Linger(0).Attempts(-1).Backoff(time.Hour, time.Hour))
	}, weir.Setting("parallelism.default", "1"), weir.WithoutWarnings())
	if err == nil || !strings.Contains(err.Error(), errBroken.Error()) {
		t.Errorf("error %v", err)
	}
	if d.OpenSenders() != 0 || d.Misuse() != nil || len(d.Requests()) != 1 {
		t.Errorf("%d senders open, misuse %v, %d requests", d.OpenSenders(), d.Misuse(), len(d.Requests()))
	}
}

// TestJobCanceled: a job is canceled while its destination answers nothing and
// its sinks are full.
func TestJobCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d := batchingtest.By(func(request int, _ []int) batchingtest.Answer {
		if request == 3 { // both subtasks have two requests under way
			cancel()
		}
		return batchingtest.Hang
	})
	if err := runJob(ctx, t, -1, batching.New(d.Open).InFlight(2).Timeout(0)); err == nil {
		t.Error("a job that was canceled has finished")
	}
	if d.OpenSenders() != 0 || d.Misuse() != nil || d.MostInFlight() != 4 {
		t.Errorf("%d senders open, misuse %v, %d requests at a time", d.OpenSenders(), d.Misuse(), d.MostInFlight())
	}
}
