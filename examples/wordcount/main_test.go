package main

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/internal/leaktest"
	"github.com/weirstream/weir/weirtest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// counts runs the job on a text, as a stream of its lines that ends.
func counts(t *testing.T, lines []string) map[string]int64 {
	t.Helper()
	run := weirtest.Start(t, build, "unread.txt")
	input, output := weirtest.InputOf[string](run, "lines"), weirtest.OutputOf[Count](run, "stdout")
	input.PushBatch(lines...)
	if early := output.Take(); len(early) > 0 {
		t.Errorf("%v came before the end", early)
	}
	input.End()
	got := map[string]int64{}
	for _, c := range output.Take() {
		got[c.Word] += c.Count
	}
	return got
}

func TestText(t *testing.T) {
	text, err := os.ReadFile("alice.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{}
	separators := strings.NewReplacer(",", " ", ".", " ", ":", " ", "?", " ", `"`, " ", "(", " ", ")", " ", "-", " ")
	for _, word := range strings.Fields(separators.Replace(strings.ToLower(string(text)))) {
		want[word]++
	}
	if want["of"] != 5 || want["alice"] != 2 {
		t.Fatalf("the loop found %d times of and %d times alice", want["of"], want["alice"])
	}
	if got := counts(t, strings.Split(string(text), "\n")); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestFiles runs the whole job on files.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.txt": "one two\ntwo", "b.txt": "Two, three! don't\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "stdout")
	stdout, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	saved := os.Stdout
	os.Stdout = stdout
	weirtest.RunJob(t, build, weir.Args(filepath.Join(dir, "*.txt")))
	os.Stdout = saved
	if err := stdout.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(string(content))
	slices.Sort(got)
	want := []string{`{"word":"don't","count":1}`, `{"word":"one","count":1}`, `{"word":"three","count":1}`, `{"word":"two","count":3}`}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSocket(t *testing.T) {
	run := weirtest.Start(t, build, "-socket", "localhost:9999")
	input, output := weirtest.InputOf[string](run, "lines"), weirtest.OutputOf[Count](run, "stdout")
	took := func(want ...Count) {
		t.Helper()
		got := output.Take()
		slices.SortFunc(got, func(a, b Count) int { return cmp.Compare(a.Word, b.Word) })
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	input.Push("to be or not", "To be")
	took()
	run.Advance(5 * time.Second)
	took(Count{"be", 2}, Count{"not", 1}, Count{"or", 1}, Count{"to", 2})
	run.Advance(time.Second)
	input.Push("to")
	run.Advance(4 * time.Second)
	took(Count{"to", 1})
	run.Advance(time.Minute)
	took()
}
