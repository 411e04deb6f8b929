package task

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// script is a source whose readers do what a test says, step by step.
type script struct {
	reads map[string][]read // by split
	ready map[string]chan struct{}
	// closed counts the Close calls of each split's reader.
	closed map[string]int
}

// read is what one call of Read gives.
type read struct {
	values []int
	err    error
	panics bool
}

func (s *script) Splits(context.Context, int) ([]Split, error) { return nil, nil }
func (s *script) Bounded() bool                                { return true }
func (s *script) Open(_ context.Context, split Split, position []byte) (Reader[int], error) {
	if position != nil {
		return nil, errors.New("a position where there is none")
	}
	reads, ok := s.reads[split.ID]
	if !ok {
		return nil, errors.New("no such split")
	}
	r := &scriptReader{s: s, split: split.ID, reads: reads}
	if ready := s.ready[split.ID]; ready != nil {
		return &notifyingReader{r, ready}, nil
	}
	return r, nil
}

type scriptReader struct {
	s     *script
	split string
	reads []read
	done  uint64
}

func (r *scriptReader) Read(values []int) (int, error) {
	next := r.reads[0]
	if next.panics {
		panic("a bad reader")
	}
	n := copy(values, next.values)
	r.done += uint64(n)
	if n < len(next.values) {
		r.reads[0].values = next.values[n:]
		return n, nil
	}
	r.reads = r.reads[1:]
	return n, next.err
}
func (r *scriptReader) Position() ([]byte, error)      { return nil, nil }
func (r *scriptReader) Progress() (done, total uint64) { return r.done, 10 }
func (r *scriptReader) Close() error {
	if r.s.closed == nil {
		r.s.closed = map[string]int{}
	}
	r.s.closed[r.split]++
	return nil
}

type notifyingReader struct {
	*scriptReader
	ready chan struct{}
}

func (r *notifyingReader) Ready() <-chan struct{} { return r.ready }

type sourceTest struct {
	head     *sourceHead[int]
	out      recorder[int]
	requests int
}

func newSourceTest(t *testing.T, s *script) *sourceTest {
	t.Helper()
	st := &sourceTest{}
	st.head = must[head](t)(SourceCode[int]{Source: s}.head(testContext(t), to(Receiver[int](&st.out)), func() { st.requests++ })).(*sourceHead[int])
	return st
}

// step checks what a step returns.
func (st *sourceTest) step(t *testing.T, limit, wantN int, want status) {
	t.Helper()
	n, s, err := st.head.step(limit)
	if err != nil {
		t.Fatal(err)
	}
	if n != wantN || s != want {
		t.Errorf("a step of %d records: %d, status %d; want %d, status %d", limit, n, s, wantN, want)
	}
}

// TestSourceReadsSplits is a source's whole life: it asks for splits one at a
// time, reads no more than it may, and ends with the last.
func TestSourceReadsSplits(t *testing.T) {
	s := &script{reads: map[string][]read{
		"a": {{values: []int{1, 2, 3, 4}}, {values: []int{5}, err: io.EOF}},
		"b": {{err: io.EOF}},
	}}
	st := newSourceTest(t, s)
	st.step(t, 3, 0, waiting)
	st.step(t, 3, 0, waiting)
	if st.requests != 1 {
		t.Errorf("it asked %d times for its first split", st.requests)
	}
	assign := func(noMore bool, ids ...string) {
		t.Helper()
		splits := make([]Split, len(ids))
		for i, id := range ids {
			splits[i].ID = id
		}
		if err := st.head.assign(splits, noMore); err != nil {
			t.Fatal(err)
		}
	}
	assign(false, "a")
	st.step(t, 3, 3, working)
	st.step(t, 3, 1, working)
	st.step(t, 3, 1, working) // with the end
	if s.closed["a"] != 1 {
		t.Errorf("the reader of a was closed %d times", s.closed["a"])
	}
	st.step(t, 3, 0, waiting)
	if st.requests != 2 {
		t.Errorf("it asked %d times for two splits", st.requests)
	}
	assign(false, "b")
	st.step(t, 3, 0, working)
	st.step(t, 3, 0, waiting)
	assign(true)
	st.step(t, 3, 0, working)
	if !slices.Equal(st.out.watermarks, []int64{MaxTime}) || st.out.ended {
		t.Errorf("at the end: watermarks %v, ended %v", st.out.watermarks, st.out.ended)
	}
	st.step(t, 3, 0, ended)
	if !st.out.ended || st.requests != 3 {
		t.Errorf("ended %v after %d requests", st.out.ended, st.requests)
	}
	if !slices.Equal(st.out.values(), []int{1, 2, 3, 4, 5}) {
		t.Errorf("records %v", st.out.values())
	}
	if i := slices.IndexFunc(st.out.records, func(r record[int]) bool { return r.Time != NoTime }); i >= 0 {
		t.Errorf("a record of a source has the event time %d", st.out.records[i].Time)
	}
	f := st.head.ctx.figures
	if f.RecordsIn.Load() != 5 || f.ProgressDone.Load() != 20 || f.ProgressTotal.Load() != 20 {
		t.Errorf("%d records, progress %d of %d", f.RecordsIn.Load(), f.ProgressDone.Load(), f.ProgressTotal.Load())
	}
}

// TestSourceTurns: with several splits each has its turn, one that has nothing
// holds up none, and the source waits only when none has anything.
func TestSourceTurns(t *testing.T) {
	ready := map[string]chan struct{}{"a": make(chan struct{}), "b": make(chan struct{}), "c": make(chan struct{})}
	st := newSourceTest(t, &script{ready: ready, reads: map[string][]read{
		"a": {{values: []int{1}}, {values: []int{2}}, {}, {}},
		"b": {{}, {}, {}, {values: []int{9}, err: io.EOF}},
		"c": {{values: []int{5}}, {}, {}, {}},
	}})
	if err := st.head.assign([]Split{{ID: "a"}, {ID: "b"}, {ID: "c"}}, true); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		st.step(t, 10, 1, working)
	}
	if got := st.out.values(); !slices.Equal(got, []int{5, 1, 2}) { // c after b, which had nothing
		t.Errorf("records %v", got)
	}
	st.step(t, 10, 0, waiting)
	if got := len(st.head.ready()); got != 3 {
		t.Errorf("it waits for %d splits", got)
	}
	st.step(t, 10, 1, working) // b has its last
	if got := len(st.head.ready()); got != 2 {
		t.Errorf("it waits for %d splits after one has ended", got)
	}
}

func TestSourceFailures(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name  string
		reads []read
		want  string
		first []int
	}{
		{"an error", []read{{err: broken}}, `read split "a": broken`, nil},
		{"an error after records", []read{{values: []int{1, 2}, err: broken}}, `read split "a": broken`, []int{1, 2}},
		{"nothing, and no way to wait", []read{{}}, "returned neither a record nor an error", nil},
	} {
		s := &script{reads: map[string][]read{"a": c.reads}}
		st := newSourceTest(t, s)
		if err := st.head.assign([]Split{{ID: "a"}}, true); err != nil {
			t.Fatal(err)
		}
		_, _, err := st.head.step(10)
		if err == nil || !strings.Contains(err.Error(), c.want) || !slices.Equal(st.out.values(), c.first) {
			t.Errorf("%s: %v after %v", c.name, err, st.out.values())
		}
		if err := st.head.close(); err != nil || s.closed["a"] != 1 {
			t.Errorf("%s: the reader was closed %d times, %v", c.name, s.closed["a"], err)
		}
	}
	st := newSourceTest(t, &script{})
	if err := st.head.assign([]Split{{ID: "x"}}, false); err == nil || !strings.Contains(err.Error(), `open split "x": no such split`) {
		t.Errorf("a split that cannot be opened: %v", err)
	}
}

// TestSourceClosesWhatIsOpen: readers that have not ended are closed once when
// the task ends, those that have are not closed again.
func TestSourceClosesWhatIsOpen(t *testing.T) {
	s := &script{reads: map[string][]read{}}
	var splits []Split
	for i := range 4 {
		id := fmt.Sprint(i)
		s.reads[id] = []read{{values: []int{i}, err: []error{nil, io.EOF}[i%2]}, {}}
		splits = append(splits, Split{ID: id})
	}
	st := newSourceTest(t, s)
	if err := st.head.assign(splits, true); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		st.step(t, 1, 1, working)
	}
	if err := st.head.close(); err != nil {
		t.Fatal(err)
	}
	for _, split := range splits {
		if s.closed[split.ID] != 1 {
			t.Errorf("the reader of %s was closed %d times", split.ID, s.closed[split.ID])
		}
	}
}
