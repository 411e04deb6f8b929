package task

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func buildOperator[T any](t testing.TB, o Operator, next any) Receiver[T] {
	t.Helper()
	return must[Inputs](t)(o.Build(testContext(t), to(next)))[0].(Receiver[T])
}

// TestFlatMapExpands: one record may become many batches, none larger than
// BatchSize, all with its event time.
func TestFlatMapExpands(t *testing.T) {
	var out recorder[int]
	expand := buildOperator[int](t, FlatMap[int, int]{F: func(n int, emit func(int)) error {
		for i := range n {
			emit(i)
		}
		return nil
	}}, Receiver[int](&out))
	const many = 3*BatchSize + 1
	if err := expand.Push([]int{2, 0, many, BatchSize - 3}, []int64{10, 20, 30, 40}); err != nil {
		t.Fatal(err)
	}
	if err := expand.Push([]int{0}, []int64{50}); err != nil {
		t.Fatal(err)
	}
	var want []record[int]
	for _, r := range []record[int]{{2, 10}, {many, 30}, {BatchSize - 3, 40}} {
		for i := range r.Value {
			want = append(want, record[int]{i, r.Time})
		}
	}
	if !slices.Equal(out.records, want) {
		t.Errorf("got %d records, want %d, or they differ", len(out.records), len(want))
	}
	if !slices.Equal(out.batches, []int{BatchSize, BatchSize, BatchSize, BatchSize}) {
		t.Errorf("batches of %v", out.batches)
	}
}

// TestFlatMapAfterAFailure: what user code emits after the chain has failed is
// dropped, and not kept.
func TestFlatMapAfterAFailure(t *testing.T) {
	full := errors.New("full")
	out := recorder[int]{fail: full}
	var r *flatMapReceiver[int, int]
	most := 0
	expand := buildOperator[int](t, FlatMap[int, int]{F: func(n int, emit func(int)) error {
		for i := range n {
			emit(i)
			most = max(most, cap(r.out.values))
		}
		return nil
	}}, Receiver[int](&out))
	r = expand.(*flatMapReceiver[int, int])
	if err := expand.Push([]int{100 * BatchSize}, []int64{0}); !errors.Is(err, full) {
		t.Errorf("the error is %v", err)
	}
	if most > BatchSize {
		t.Errorf("room for %d records was made, for a chain that has failed", most)
	}
}

func TestFlatMapFails(t *testing.T) {
	bad := errors.New("bad")
	var out recorder[string]
	split := buildOperator[string](t, FlatMap[string, string]{F: func(s string, emit func(string)) error {
		for f := range strings.FieldsSeq(s) {
			if f == "!" {
				return bad
			}
			emit(f)
		}
		return nil
	}}, Receiver[string](&out))
	if err := split.Push([]string{"a b", "c !", "d"}, make([]int64, 3)); !errors.Is(err, bad) {
		t.Errorf("the error is %v", err)
	}
}

// TestFanOut: every consumer gets everything, in the same order, and what one of
// them makes of it is not seen by the others (T1).
func TestFanOut(t *testing.T) {
	var plain, doubled, odd recorder[int]
	double := buildOperator[int](t, Map[int, int]{F: func(values, out []int) error {
		for i := range values {
			out[i] = 2 * values[i]
		}
		return nil
	}}, Receiver[int](&doubled))
	filter := buildOperator[int](t, Filter[int]{F: func(v int) bool { return v%2 == 1 }}, Receiver[int](&odd))
	all := join[int]([]any{double, Receiver[int](&plain), filter}).(Receiver[int])
	if err := errors.Join(all.Push([]int{1, 2, 3}, []int64{4, 5, 6}), all.Watermark(6), all.End()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		got  *recorder[int]
		want []record[int]
	}{
		{&plain, []record[int]{{1, 4}, {2, 5}, {3, 6}}},
		{&doubled, []record[int]{{2, 4}, {4, 5}, {6, 6}}},
		{&odd, []record[int]{{1, 4}, {3, 6}}},
	} {
		if !slices.Equal(c.got.records, c.want) || !slices.Equal(c.got.watermarks, []int64{6}) || !c.got.ended {
			t.Errorf("got %+v, want %v", c.got, c.want)
		}
	}
	if one := join[int]([]any{Receiver[int](&plain)}); one != any(Receiver[int](&plain)) {
		t.Error("a single consumer is wrapped")
	}
}

// TestFanOutFails: the first failure ends the round.
func TestFanOutFails(t *testing.T) {
	full := errors.New("full")
	bad, after := recorder[int]{fail: full}, recorder[int]{}
	all := join[int]([]any{Receiver[int](&bad), Receiver[int](&after)}).(Receiver[int])
	if err := all.Push([]int{1}, []int64{1}); !errors.Is(err, full) {
		t.Errorf("Push: %v", err)
	}
	if err := all.Watermark(1); !errors.Is(err, full) {
		t.Errorf("Watermark: %v", err)
	}
	if err := all.End(); !errors.Is(err, full) {
		t.Errorf("End: %v", err)
	}
	if len(after.records)+len(after.watermarks) > 0 || after.ended {
		t.Error("the next consumer got something after a failure")
	}
}

// TestRunningAggregate: every record emits its key's result so far, also when a
// key comes twice in a batch.
func TestRunningAggregate(t *testing.T) {
	keys, a := sums(func(v int64) int { return int(v % 2) })
	var out recorder[sumResult]
	r := buildOperator[int64](t, RunningAggregate[int, int64, sum, sumResult]{Keys: keys, Aggregation: a}, Receiver[sumResult](&out))
	if err := r.Push([]int64{1, 3, 4, 1}, []int64{9, 8, 7, 6}); err != nil {
		t.Fatal(err)
	}
	if err := r.Push([]int64{2}, []int64{5}); err != nil {
		t.Fatal(err)
	}
	want := []record[sumResult]{
		{sumResult{1, 0, 0, sum{1, 1, 1000}}, 9},
		{sumResult{1, 0, 0, sum{2, 4, 1000}}, 8},
		{sumResult{0, 0, 0, sum{1, 4, 1000}}, 7},
		{sumResult{1, 0, 0, sum{3, 5, 1000}}, 6},
		{sumResult{0, 0, 0, sum{2, 6, 1000}}, 5},
	}
	if !slices.Equal(out.records, want) {
		t.Errorf("got  %v\nwant %v", out.records, want)
	}
}

// TestReduction: the first value of a key is its result, and f gets what it
// returned before and the next value, in this order; merging keeps it.
func TestReduction(t *testing.T) {
	a := Reduction[int](func(a, b string) string { return a + b })
	var left, right, none Reduced[string]
	for _, v := range []string{"a", "b"} {
		a.Adder.Add(&left, v)
	}
	for _, v := range []string{"c", "d"} {
		a.Adder.Add(&right, v)
	}
	a.Merge(&left, &right)
	a.Merge(&left, &none)
	a.Merge(&none, &left)
	if got := a.Result(0, 0, 0, &none); got != "abcd" {
		t.Errorf("got %q", got)
	}
}
