package file_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/file"
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
