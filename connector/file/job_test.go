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
