package stdout_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/stdout"
	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

type delay struct {
	Airport string    `json:"airport"`
	Hour    time.Time `json:"hour"`
	Mean    float64   `json:"mean,omitzero"`
	Note    string
	secret  int
}

func open[T any](t *testing.T, sink weir.Sink[T]) weir.Writer[T] {
	t.Helper()
	w, err := sink.Open(t.Context(), weir.Subtask{Parallelism: 1, Name: "sink: stdout (1/1)"})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestJSON(t *testing.T) {
	var got bytes.Buffer
	w := open(t, stdout.JSON[delay](stdout.To(&got)))
	hour := time.Date(2001, 1, 1, 7, 0, 0, 0, time.UTC)
	if err := w.Write([]delay{{"LAS", hour, 2.5, "<a & b>\n", 1}, {Airport: "ATL"}}); err != nil {
		t.Fatal(err)
	}
	if got.Len() > 0 {
		t.Errorf("written before Flush: %q", got.String())
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	want := `{"airport":"LAS","hour":"2001-01-01T07:00:00Z","mean":2.5,"Note":"<a & b>\n"}` + "\n" +
		`{"airport":"ATL","hour":"0001-01-01T00:00:00Z","Note":""}` + "\n"
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
	if err := errors.Join(w.Flush(), w.Close()); err != nil || got.String() != want {
		t.Errorf("Flush and Close without records: error %v, output\n%s", err, got.String())
	}
}

// lineWriter fails the test when a write is not made of whole lines.
type lineWriter struct {
	t      *testing.T
	busy   bool // seen by the race detector when two write at once
	writes int
	counts map[string]int
}

func (w *lineWriter) Write(p []byte) (int, error) {
	if w.busy {
		w.t.Error("two writes at once")
	}
	w.busy = true
	w.writes++
	if !bytes.HasSuffix(p, []byte{'\n'}) {
		w.t.Errorf("a write ends in %q", p[max(0, len(p)-10):])
	}
	for line := range bytes.Lines(p) {
		var d delay
		if err := json.Unmarshal(line, &d); err != nil {
			w.t.Errorf("%q: %v", line, err)
		}
		w.counts[d.Airport]++
	}
	w.busy = false
	return len(p), nil
}

// TestSubtasks writes from several subtasks at once: lines stay whole (O1), and
// all of them arrive (O2), large ones as well.
func TestSubtasks(t *testing.T) {
	const subtasks, batches, batch = 4, 50, 100
	to := &lineWriter{t: t, counts: map[string]int{}}
	sink := stdout.JSON[delay](stdout.To(to))
	group := goroutine.New(t.Context())
	for i := range subtasks {
		w := open(t, sink)
		group.Go(func(context.Context) error {
			values := make([]delay, batch)
			for j := range values {
				values[j] = delay{Airport: fmt.Sprint(i), Note: strings.Repeat("x", j)}
			}
			values[0].Note = strings.Repeat("y", 1<<21)
			if err := w.Write(values); err != nil {
				return err
			}
			values[0].Note = ""
			for range batches - 1 {
				if err := w.Write(values); err != nil {
					return err
				}
			}
			return errors.Join(w.Flush(), w.Close())
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for i := range subtasks {
		if got := to.counts[fmt.Sprint(i)]; got != batches*batch {
			t.Errorf("subtask %d: %d records", i, got)
		}
	}
	if to.writes < 2*subtasks || to.writes > subtasks*batches {
		t.Errorf("%d writes for %d batches", to.writes, subtasks*batches)
	}
}

type refusal struct{ short bool }

var errFull = errors.New("no space left")

func (r refusal) Write(p []byte) (int, error) {
	if r.short {
		return len(p) - 1, nil
	}
	return 0, errFull
}

func TestErrors(t *testing.T) {
	w := open(t, stdout.JSON[delay](stdout.To(refusal{})))
	if err := w.Write([]delay{{}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); !errors.Is(err, errFull) {
		t.Errorf("a full disk at Flush: error %v", err)
	}
	if err := w.Write([]delay{{Note: strings.Repeat("x", 1<<17)}}); !errors.Is(err, errFull) {
		t.Errorf("a full disk at Write: error %v", err)
	}
	w = open(t, stdout.JSON[delay](stdout.To(refusal{short: true})))
	if err := errors.Join(w.Write([]delay{{}}), w.Flush()); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a short write: error %v", err)
	}
	var unsupported *json.UnsupportedTypeError
	err := open(t, stdout.JSON[func()](stdout.To(io.Discard))).Write(make([]func(), 1))
	if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "a func() cannot be written as JSON") {
		t.Errorf("a function: error %v", err)
	}
}

// TestStandardOutput finds what os.Stdout is when it writes, not when the job
// was built.
func TestStandardOutput(t *testing.T) {
	sink := stdout.JSON[int]()
	r, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	saved := os.Stdout
	defer func() { os.Stdout = saved }()
	os.Stdout = pipe

	w := open(t, sink)
	if err := errors.Join(w.Write([]int{1, 2}), w.Flush(), w.Close(), pipe.Close()); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "1\n2\n" {
		t.Errorf("got %q, %v", got, err)
	}
	err = errors.Join(w.Write([]int{3}), w.Flush())
	if !errors.Is(err, os.ErrClosed) || !strings.Contains(err.Error(), "standard output") {
		t.Errorf("a closed standard output: error %v", err)
	}
}

func BenchmarkJSON(b *testing.B) {
	b.ReportAllocs()
	w, err := stdout.JSON[delay](stdout.To(io.Discard)).Open(b.Context(), weir.Subtask{})
	if err != nil {
		b.Fatal(err)
	}
	values := make([]delay, 256)
	for i := range values {
		values[i] = delay{Airport: "LAS", Mean: float64(i)}
	}
	for b.Loop() {
		if err := w.Write(values); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(values))/b.Elapsed().Seconds(), "records/s")
}
