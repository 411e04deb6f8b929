package file_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/file"
	"github.com/weirstream/weir/internal/goroutine"
)

// TestJobFromFilesToFiles has a job read a large file in ranges and write parts,
// and compares what comes out with what went in.
func TestJobFromFilesToFiles(t *testing.T) {
	dir := t.TempDir()
	var text strings.Builder
	var want []string
	for i := range 300000 {
		line := fmt.Sprintf("line %06d", i)
		text.WriteString(line + "\n")
		want = append(want, line)
	}
	if err := os.WriteFile(filepath.Join(dir, "lines.txt"), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	build := func(env *weir.Env) {
		weir.From(env, "lines", file.Lines(dir+"/*.txt", file.SplitSize(1<<20))).
			To("parts", file.LinesSink(out).RollSize(500_000).Zstd())
	}
	if err := weir.Run(t.Context(), "copy", build, weir.Setting("parallelism.default", "2"), weir.WithoutWarnings()); err != nil {
		t.Fatal(err)
	}
	got := collect(t, out)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("%d lines, want %d", len(got), len(want))
	}
	err := weir.Run(t.Context(), "copy", build, weir.Setting("parallelism.default", "1"), weir.WithoutWarnings())
	if err == nil || !strings.Contains(err.Error(), "the directory holds parts of an earlier job") {
		t.Errorf("the second time: %v", err)
	}
}

// TestFailedJobShowsNothingUnfinished fails a job behind its records.
func TestFailedJobShowsNothingUnfinished(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "numbers.jsonl"), []byte("1\n2\n3\nbad\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	err := weir.Run(t.Context(), "numbers", func(env *weir.Env) {
		weir.From(env, "numbers", file.JSONLines[int](dir+"/*.jsonl")).To("parts", file.JSONLinesSink[int](out))
	}, weir.Setting("parallelism.default", "1"), weir.WithoutWarnings())
	if err == nil || !strings.Contains(err.Error(), "numbers.jsonl:4: ") {
		t.Errorf("error %v", err)
	}
	if entries, err := os.ReadDir(out); err != nil || len(entries) > 0 {
		t.Errorf("there are %v, %v", entries, err)
	}
}

// breaking is a source of three lines that rests and then breaks.
type breaking struct{}

var errBroken = errors.New("the source is broken")

func (breaking) Bounded() bool { return true }
func (breaking) Splits(context.Context, int) ([]weir.Split, error) {
	return []weir.Split{{ID: "only"}}, nil
}

func (b breaking) Open(context.Context, weir.Split, []byte) (weir.Reader[string], error) {
	return &breakingReader{ready: make(chan struct{}, 1)}, nil
}

type breakingReader struct {
	calls int
	ready chan struct{}
}

func (r *breakingReader) Read(values []string) (int, error) {
	r.calls++
	switch r.calls {
	case 1:
		return copy(values, []string{"a", "b", "c"}), nil
	case 2:
		r.ready <- struct{}{}
		return 0, nil
	default:
		return 0, errBroken
	}
}

func (r *breakingReader) Ready() <-chan struct{}    { return r.ready }
func (r *breakingReader) Position() ([]byte, error) { return nil, nil }
func (r *breakingReader) Close() error              { return nil }

// calls is a sink that notes how its writer is called.
type calls struct{ list []string }

func (c *calls) Open(context.Context, weir.Subtask) (weir.Writer[string], error) { return c, nil }
func (c *calls) Write([]string) error                                            { c.list = append(c.list, "write"); return nil }

func (c *calls) Flush() error { c.list = append(c.list, "flush"); return nil }

func (c *calls) Close() error { c.list = append(c.list, "close"); return nil }

// TestTaskFailsAfterAFlush: a task that fails when nothing was written since a
// Flush leaves nothing, just as one that fails in the middle of its records.
func TestTaskFailsAfterAFlush(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	var neighbour calls // of the same task: its writer is called as that of the parts is
	err := weir.Run(t.Context(), "lines", func(env *weir.Env) {
		lines := weir.From(env, "lines", breaking{})
		lines.To("parts", file.LinesSink(out))
		lines.To("calls", &neighbour)
	}, weir.Setting("parallelism.default", "1"), weir.WithoutWarnings())
	if err == nil || !strings.Contains(err.Error(), errBroken.Error()) {
		t.Errorf("error %v", err)
	}
	if n := len(neighbour.list); n < 3 || !slices.Equal(neighbour.list[n-2:], []string{"flush", "close"}) {
		t.Fatalf("the task did not fail after a Flush: %v", neighbour.list)
	}
	if entries, err := os.ReadDir(out); err != nil || len(entries) > 0 {
		t.Errorf("there are %v, %v", entries, err)
	}
}

// collect returns the lines of all parts of a directory.
func collect(t *testing.T, dir string) (lines []string) {
	t.Helper()
	source := file.Lines(dir)
	splits, err := source.Splits(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, split := range splits {
		r, err := source.Open(t.Context(), split, nil)
		values := make([]string, 100)
		for err == nil {
			var n int
			n, err = r.Read(values)
			lines = append(lines, values[:n]...)
		}
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return lines
}

// received is a sink whose records a test receives.
type received chan string

func (c received) Open(ctx context.Context, _ weir.Subtask) (weir.Writer[string], error) {
	return receiving{ctx, c}, nil
}

type receiving struct {
	ctx context.Context
	to  chan string
}

func (r receiving) Write(values []string) error {
	for _, v := range values {
		select {
		case r.to <- v:
		case <-r.ctx.Done():
		}
	}
	return nil
}

func (r receiving) Flush() error { return nil }
func (r receiving) Close() error { return nil }

// TestJobWatchesADirectory moves files to a directory that a job watches.
func TestJobWatchesADirectory(t *testing.T) {
	dir, aside := t.TempDir(), t.TempDir()
	lines := make(received)
	ctx, cancel := context.WithCancel(t.Context())
	jobs := goroutine.New(ctx)
	t.Cleanup(func() {
		cancel()
		_ = jobs.Wait() // what it ended with is examined below
	})
	jobs.Go(func(ctx context.Context) error {
		return weir.Run(ctx, "watch", func(env *weir.Env) {
			weir.From(env, "lines", file.Lines(dir+"/*.txt").Watch(5*time.Millisecond)).To("lines", lines)
		}, weir.Setting("parallelism.default", "1"), weir.WithoutWarnings())
	})
	for _, name := range []string{"b.txt", "a.txt", "c.txt"} {
		if err := os.WriteFile(filepath.Join(aside, name), []byte(name+" 1\n"+name+" 2\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(aside, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		for i := 1; i <= 2; i++ {
			select {
			case got := <-lines:
				if want := fmt.Sprint(name, " ", i); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			case <-jobs.Context().Done():
				t.Fatal(jobs.Wait())
			}
		}
	}
	cancel()
	if err := jobs.Wait(); err == nil || !strings.Contains(err.Error(), "cancel") {
		t.Errorf("the job ended with %v", err)
	}
}
