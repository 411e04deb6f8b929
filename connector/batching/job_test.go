package batching_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/batching"
	"github.com/weirstream/weir/connector/batching/batchingtest"
	"github.com/weirstream/weir/connector/generator"
)

// runJob runs a job of two subtasks that writes the numbers below count.
func runJob(t *testing.T, count int64, sink weir.Sink[int]) error {
	t.Helper()
	return weir.Run(t.Context(), "numbers", func(env *weir.Env) {
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
	must(t, runJob(t, 10_000, batching.New(d.Open).BatchSize(100).InFlight(2).Backoff(0, 0)))
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
	err := runJob(t, -1, batching.New(d.Open))
	want := "batching: 500 of the 500 records of a request were not accepted, attempts: 1: no such table"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
	if d.OpenSenders() != 0 {
		t.Errorf("%d senders are open", d.OpenSenders())
	}
	err = runJob(t, -1, batching.New(d.Open).InFlight(-1))
	if err == nil || !strings.Contains(err.Error(), "-1 requests in flight") {
		t.Errorf("wrong settings: %v", err)
	}
}
