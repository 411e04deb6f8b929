package stdout_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/stdout"
)

// printed is what a sink writes in a subtask.
func printed[T any](t *testing.T, sink weir.Sink[T], got *bytes.Buffer, subtask weir.Subtask, values ...T) string {
	t.Helper()
	w, err := sink.Open(t.Context(), subtask)
	if err != nil {
		t.Fatal(err)
	}
	got.Reset()
	if err := errors.Join(w.Write(values), w.Flush(), w.Close()); err != nil {
		t.Fatal(err)
	}
	return got.String()
}

// TestPrintPrefix: the four forms of Flink's print.
func TestPrintPrefix(t *testing.T) {
	var got bytes.Buffer
	to := stdout.To(&got)
	one, third := weir.Subtask{Parallelism: 1}, weir.Subtask{Index: 2, Parallelism: 4}
	for _, test := range []struct {
		sink    weir.Sink[string]
		subtask weir.Subtask
		want    string
	}{
		{stdout.Print[string](to), one, "a\nb\n"},
		{stdout.Print[string](to), third, "3> a\n3> b\n"},
		{stdout.PrintAs[string]("late", to), one, "late> a\nlate> b\n"},
		{stdout.PrintAs[string]("late", to), third, "late:3> a\nlate:3> b\n"},
	} {
		if s := printed(t, test.sink, &got, test.subtask, "a", "b"); s != test.want {
			t.Errorf("%+v: %q, want %q", test.subtask, s, test.want)
		}
	}
}

type point struct{ X, Y int }

type degrees float64

func (d degrees) String() string { return fmt.Sprintf("%.1f°", float64(d)) }

func TestPrintValues(t *testing.T) {
	var got bytes.Buffer
	to, second := stdout.To(&got), weir.Subtask{Index: 1, Parallelism: 2}
	for _, test := range []struct{ got, want string }{
		{printed(t, stdout.Print[point](to), &got, second, point{1, -2}), "2> {1 -2}\n"},
		{printed(t, stdout.Print[*point](to), &got, second, &point{1, -2}, nil), "2> &{1 -2}\n2> <nil>\n"},
		{printed(t, stdout.Print[degrees](to), &got, second, 21.25), "2> 21.2°\n"},
		{printed(t, stdout.Print[any](to), &got, second, any("text"), 1, nil), "2> text\n2> 1\n2> <nil>\n"},
		{printed(t, stdout.Print[time.Duration](to), &got, second, time.Minute), "2> 1m0s\n"},
		{printed(t, stdout.Print[string](to), &got, second, "100%d", "", "two\nlines"), "2> 100%d\n2> \n2> two\nlines\n"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

// TestPrintErrors: much is written without a Flush, and what is refused fails.
func TestPrintErrors(t *testing.T) {
	w := open(t, stdout.Print[string](stdout.To(refusal{})))
	if err := w.Write([]string{"a"}); err != nil {
		t.Errorf("a line: %v", err)
	}
	if err := w.Flush(); !errors.Is(err, errFull) {
		t.Errorf("a full disk at Flush: error %v", err)
	}
	if err := w.Write([]string{strings.Repeat("x", 1<<17)}); !errors.Is(err, errFull) {
		t.Errorf("a full disk at Write: error %v", err)
	}
}

func BenchmarkPrint(b *testing.B) {
	b.ReportAllocs()
	w, err := stdout.Print[string](stdout.To(io.Discard)).Open(b.Context(), weir.Subtask{Parallelism: 2})
	if err != nil {
		b.Fatal(err)
	}
	values := make([]string, 256)
	for i := range values {
		values[i] = "to be or not to be"
	}
	for b.Loop() {
		if err := w.Write(values); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(values))/b.Elapsed().Seconds(), "records/s")
}
