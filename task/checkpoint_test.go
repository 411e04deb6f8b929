package task

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/weirstream/weir/state/snapshot"
)

// adding adds numbers up.
type adding struct{}

func (adding) Add(acc *int64, v int64) { *acc += v }

// TestResultChangesAccumulator: a Result that changes its accumulator does not change
// what a snapshot of a moment before is still to write.
func TestResultChangesAccumulator(t *testing.T) {
	ctx := testContext(t)
	ctx.checkpoints = &checkpoints{Checkpointing: Checkpointing{Enabled: true, ExactlyOnce: true}, operator: "sums"}
	keys := must[KeySelector[int64, int64]](t)(NewKeySelector(func(v int64) int64 { return v % 3 }))
	window := TumblingAggregate[int64, int64, int64, int64]{Keys: keys, Size: 10, Aggregation: Aggregation[int64, int64, int64, int64]{
		Adder: adding{}, Result: func(_ int64, _, _ int64, acc *int64) int64 {
			sum := *acc
			*acc = 0
			return sum
		},
	}}
	in := must[Inputs](t)(window.Build(ctx, to(sink[int64]{})))[0].(Receiver[int64])
	if err := in.Push([]int64{1, 2, 3, 4, 5, 6}, make([]int64, 6)); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	w := snapshot.NewWriter(&file)
	var captures []capture
	for _, p := range ctx.checkpoints.parts {
		captures = append(captures, p.capture())
	}
	if err := in.Watermark(9); err != nil {
		t.Fatal(err)
	}
	finish(t, ctx, 100)
	for i, p := range ctx.checkpoints.parts {
		if err := errors.Join(w.Begin(p.section), captures[i].write(w)); err != nil {
			t.Fatal(err)
		}
		captures[i].close()
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := must[*snapshot.Reader](t)(snapshot.Open(bytes.NewReader(file.Bytes()), int64(file.Len())))
	sum, n := int64(0), 0
	for i, s := range r.Sections() {
		if s.Name != paneSection {
			continue
		}
		for entry, err := range r.Keyed(i, 0, 65535) {
			if err != nil {
				t.Fatal(err)
			}
			sum += int64(binary.LittleEndian.Uint64(entry[len(entry)-8:]))
			n++
		}
	}
	if sum != 21 || n != 3 {
		t.Errorf("the snapshot has %d keys with the sum %d, want 3 with 21", n, sum)
	}
}

// TestEncodingPanics: what the encoding of a user's value panics with is the error of its
// snapshot, not the end of the process.
func TestEncodingPanics(t *testing.T) {
	s := &taken{parts: []statePart{{section: snapshot.Section{Operator: "o", Name: "n", Kind: snapshot.List}}}, captures: []capture{{
		write: func(*snapshot.Writer) error { panic("no codec") }, close: func() {},
	}}}
	_, err := writeFile(t.TempDir()+"/file", s, 0, 65535)
	if err == nil || !strings.Contains(err.Error(), "panic: no codec") {
		t.Errorf("%v", err)
	}
}
