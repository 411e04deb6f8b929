package file_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/file"
)

// failures make a job fail so many times, each after files of the attempt are there.
type failures struct {
	dir string

	mu         sync.Mutex
	left, seen int
	calls      int
}

// meet passes a record on, or fails.
func (f *failures) meet(n int64) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls++; f.left > 0 && f.calls%50 == 0 {
		parts, err := filepath.Glob(filepath.Join(f.dir, "part-*"))
		if err != nil {
			panic(err)
		}
		if len(parts) > f.seen+5 {
			f.left--
			f.seen = len(parts)
			panic("a failure")
		}
	}
	return fmt.Sprintf("record %08d", n)
}

func (f *failures) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.left == 0
}

// numbers is a source of two splits that count, the even and the odd ones, until all
// failures have come, and a while longer.
type numbers struct {
	failures *failures

	mu   sync.Mutex
	last map[string]int64 // that each split has had
}

func (*numbers) Bounded() bool { return false }

func (*numbers) Splits(context.Context, int) ([]weir.Split, error) {
	return []weir.Split{{ID: "0"}, {ID: "1"}}, nil
}

func (s *numbers) Open(_ context.Context, split weir.Split, position []byte) (weir.Reader[int64], error) {
	r := &numbersReader{source: s, split: split.ID, left: 1000}
	if split.ID == "1" {
		r.next = 1
	}
	if position != nil {
		r.next, _ = binary.Varint(position)
	}
	return r, nil
}

type numbersReader struct {
	source *numbers
	split  string
	next   int64
	left   int // records behind the last failure
}

func (r *numbersReader) Read(values []int64) (n int, err error) {
	over := r.source.failures.over()
	for n < min(len(values), 8) && r.left > 0 {
		values[n] = r.next
		r.next += 2
		n++
		if over {
			r.left--
		}
	}
	if r.left > 0 {
		return n, nil
	}
	r.source.mu.Lock()
	defer r.source.mu.Unlock()
	r.source.last[r.split] = r.next - 2
	return n, io.EOF
}

func (r *numbersReader) Position() ([]byte, error) { return binary.AppendVarint(nil, r.next), nil }
func (*numbersReader) Close() error                { return nil }

// TestJobWritesEachLineOnce fails a job that takes checkpoints a few times. It goes on
// from the last one, and its files have each record once.
func TestJobWritesEachLineOnce(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	failures := &failures{dir: out, left: 3}
	source := &numbers{failures: failures, last: map[string]int64{}}
	err := weir.Run(t.Context(), t.Name(), func(env *weir.Env) {
		weir.From(env, "numbers", source).ID("numbers").
			Map(failures.meet).ID("meet").
			To("files", file.LinesSink(out).RollSize(200_000))
	}, weir.WithoutWarnings(),
		weir.Setting("parallelism.default", "2"),
		weir.Setting("execution.checkpointing.interval", "20 ms"),
		weir.Setting("execution.checkpointing.dir", t.TempDir()),
		weir.Setting("restart-strategy.type", "fixed-delay"),
		weir.Setting("restart-strategy.fixed-delay.attempts", "3"),
		weir.Setting("restart-strategy.fixed-delay.delay", "10 ms"))
	if err != nil {
		t.Fatal(err)
	}
	if !failures.over() {
		t.Error("not all failures came")
	}
	got := collect(t, out)
	slices.Sort(got)
	var want []string
	for split := range int64(2) {
		for n := split; n <= source.last[fmt.Sprint(split)]; n += 2 {
			want = append(want, fmt.Sprintf("record %08d", n))
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d lines, want %d", len(got), len(want))
	}
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	parts := 0
	for _, e := range entries {
		switch {
		case strings.HasPrefix(e.Name(), "part-"):
			parts++
		case strings.HasSuffix(e.Name(), ".inprogress"):
			t.Errorf("left is %s", e.Name())
		}
	}
	if parts < 15 {
		t.Errorf("only %d parts", parts)
	}
}
