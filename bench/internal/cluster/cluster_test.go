package cluster

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestChildrenIn(t *testing.T) {
	proc := t.TempDir()
	for pid, stat := range map[string]string{
		"1":      "1 (init) S 0 1 1 0 -1",
		"20":     "20 (a (strange) S 7 name) R 1 20 20 0 -1",
		"21":     "21 (b) S 1 21 21 0 -1",
		"300":    "300 (c) Z 20 20 20 0 -1",
		"meminf": "4 (no process) S 1 1",
	} {
		if err := os.Mkdir(filepath.Join(proc, pid), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "stat"), []byte(stat), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(proc, "22"), 0o700); err != nil { // It went between the two readings.
		t.Fatal(err)
	}
	children, err := childrenIn(proc)
	if err != nil {
		t.Fatal(err)
	}
	for parent, want := range map[int][]int{1: {20, 21}, 20: {300}, 7: nil} {
		got := children[parent]
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("children of %d: %v, want %v", parent, got, want)
		}
	}
	if err := os.WriteFile(filepath.Join(proc, "22", "stat"), []byte("22 (short) S"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := childrenIn(proc); err == nil || !strings.Contains(err.Error(), "process 22") {
		t.Errorf("a line that is cut: %v", err)
	}
}

func TestResidentOf(t *testing.T) {
	got, err := residentOf("Name:\tx\nVmHWM:\t    7 kB\nVmRSS:\t   28024 kB\nRssAnon:\t 1 kB\n", 7)
	if got != 28024<<10 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
	if _, err := residentOf("Name:\tx\nState:\tZ (zombie)\n", 7); !errors.Is(err, ErrProcessGone) {
		t.Errorf("a process without memory: %v", err)
	}
	if _, err := residentOf("VmRSS:\tmuch\n", 7); err == nil {
		t.Error("a size that is no number is accepted")
	}
}

func TestModuleRoot(t *testing.T) {
	root, err := ModuleRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "bench", "internal", "cluster", "doc.go")); err != nil {
		t.Error(err)
	}
	t.Chdir(t.TempDir())
	if root, err := ModuleRoot(t.Context()); err == nil {
		t.Errorf("outside of a module: %s", root)
	}
}

func TestBuildTellsWhatTheCompilerSays(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"go.mod": "module x\n", "x.go": "package main\nfunc main() { y() }\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Build(t.Context(), dir, t.TempDir(), "."); err == nil || !strings.Contains(err.Error(), "undefined: y") {
		t.Errorf("%v", err)
	}
}

// TestADaemonThatDoesNotStart has a program for a JobManager that fails.
func TestADaemonThatDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	program := "#!/bin/sh\necho the port is taken >&2\nexit 3\n"
	if err := os.WriteFile(filepath.Join(dir, "jobmanager"), []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Config{Binaries: dir, Directory: t.TempDir(), TaskManagers: 1, Slots: 1})
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || strings.Count(err.Error(), "the port is taken") != 1 {
		t.Errorf("%v: want how it ended, and its log once", err)
	}
	if _, err := Start(t.Context(), Config{Binaries: t.TempDir(), Directory: t.TempDir()}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a program: %v", err)
	}
}

func TestOutcome(t *testing.T) {
	subtask := func(remote uint64) client.Subtask {
		return client.Subtask{Metrics: client.Metrics{RecordsIn: 100, RecordsInRemote: remote}}
	}
	finished := &client.Job{
		JobSummary: client.JobSummary{State: client.Finished},
		Vertices:   []client.Vertex{{Subtasks: []client.Subtask{subtask(0)}}, {Subtasks: []client.Subtask{subtask(7), subtask(5)}}},
	}
	w := watched{last: finished, stdout: map[string]*bytes.Buffer{}}
	// Two workers print at the same time, a line in several pieces.
	for _, o := range []client.Output{
		{TaskManager: "a", Data: []byte("one\ntw")},
		{TaskManager: "b", Data: []byte("thr")},
		{TaskManager: "a", StandardError: true, Data: []byte("x\n")},
		{TaskManager: "a", Data: []byte("o\n")},
		{TaskManager: "b", Data: []byte("ee\n")},
	} {
		if err := w.print(&o); err != nil {
			t.Fatal(err)
		}
	}
	o, err := w.outcome()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, line := range o.Stdout {
		lines = append(lines, string(line))
	}
	if want := []string{"one", "two", "three"}; !slices.Equal(lines, want) || o.RemoteRecords() != 12 {
		t.Errorf("%q and %d records over TCP, want %q and 12", lines, o.RemoteRecords(), want)
	}
	if err := w.print(&client.Output{TaskManager: "a", Dropped: 3}); err == nil || !strings.Contains(err.Error(), "3 bytes") {
		t.Errorf("output that is lost: %v", err)
	}
	w.enough = true
	if _, err := w.outcome(); err == nil {
		t.Error("a job that was to be cancelled has finished, and that is no error")
	}
}

func TestFailureOfAJob(t *testing.T) {
	for _, test := range []struct {
		last *client.Job
		want []string
	}{
		{nil, []string{"nothing"}},
		{&client.Job{JobSummary: client.JobSummary{Name: "x", State: client.Failed, StatusMessage: "no slots"}}, []string{`"x"`, "FAILED", "no slots"}},
		{
			&client.Job{JobSummary: client.JobSummary{State: client.Failed}, Failure: &client.Failure{Message: "seven", Task: "map (1/2)", TaskManager: "tm-1", Stack: "goroutine 1"}},
			[]string{"seven", "map (1/2)", "tm-1", "goroutine 1"},
		},
	} {
		_, err := (&watched{last: test.last}).outcome()
		if err == nil {
			t.Fatalf("%+v is no error", test.last)
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is missing in: %v", want, err)
			}
		}
	}
}
