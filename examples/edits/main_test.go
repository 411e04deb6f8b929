package main

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/internal/leaktest"
	"github.com/weirstream/weir/weirtest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

type place struct{ until, channel string }

// read reads the edits without the engine.
func read(t *testing.T) (edits []Edit) {
	t.Helper()
	f, err := os.Open("edits.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var e Edit
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		edits = append(edits, e)
	}
	return edits
}

// loop adds each edit to each of its windows.
func loop(edits []Edit) map[place]Activity {
	all := map[place]Activity{}
	for _, e := range edits {
		until := e.Time.Truncate(10 * time.Minute)
		for range 6 {
			until = until.Add(10 * time.Minute)
			p := place{until.Format("2006-01-02 15:04:05"), e.Channel}
			a := all[p]
			a.Until, a.Channel = p.until, p.channel
			a.Edits++
			a.Growth += e.Added - e.Deleted
			if e.IsRobot {
				a.Robots++
			}
			all[p] = a
		}
	}
	return all
}

func TestAnswers(t *testing.T) {
	edits := read(t)
	want := loop(edits)
	if len(want) < 100 {
		t.Fatalf("the loop found %d results only", len(want))
	}
	run := weirtest.Start(t, build, "unread.jsonl")
	input, output := weirtest.InputOf[Edit](run, "edits"), weirtest.OutputOf[Activity](run, "stdout")
	input.Push(edits...)
	input.End()
	got := map[place]Activity{}
	for _, a := range output.Take() {
		p := place{a.Until, a.Channel}
		if _, twice := got[p]; twice {
			t.Errorf("%v came twice", p)
		}
		got[p] = a
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d results differ from the %d of the loop: %v, %v", len(got), len(want), got, want)
	}
}

// TestJob runs the whole job on the file, at several parallelisms.
func TestJob(t *testing.T) {
	want := 0
	for _, a := range loop(read(t)) {
		if a.Edits >= 90 {
			want++
		}
	}
	for _, parallelism := range []int{1, 4} {
		if got := lines(t, weirtest.Parallelism(parallelism), weir.Args("-min-edits", "90", "edits.jsonl")); got != want {
			t.Errorf("parallelism %d: %d lines, want %d", parallelism, got, want)
		}
	}
}

// lines counts what the job prints.
func lines(t *testing.T, options ...weir.RunOption) (n int) {
	t.Helper()
	out, err := os.CreateTemp(t.TempDir(), "stdout")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	saved := os.Stdout
	os.Stdout = out
	err = weirtest.TryJob(t, build, options...)
	os.Stdout = saved
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	for text := bufio.NewScanner(out); text.Scan(); n++ {
		var a Activity
		if err := json.Unmarshal(text.Bytes(), &a); err != nil || a.Edits < 90 {
			t.Errorf("line %q: %v", text.Text(), err)
		}
	}
	return n
}
