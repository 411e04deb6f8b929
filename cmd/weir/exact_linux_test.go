package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/answers"
)

// leastBuffers is the smallest number of network buffers per slot with which
// the departures job runs at parallelism 4, counted by hand from
// docs/architecture.md: its second vertex has a partition of 4 channels (4 + 1)
// and a gate of 4 (4 × 2 + 1), the first one a partition and the third one a
// gate of the same sizes.
const leastBuffers = 2*(4+1) + 2*(4*2+1)

// TestExactAnswersOnACluster compares what a cluster of processes makes of real,
// out-of-order data with answers that were computed without any engine.
func TestExactAnswersOnACluster(t *testing.T) {
	input, want := realData(t, "nyc-departures-2013.csv.gz"), answerRows(t, realData(t, "expected/nyc_tumbling_1h_origin.csv.gz"))
	bin := build(t)
	job := filepath.Join(bin, "departures")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", job, "./testdata/departures").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	t.Run("least network memory", func(t *testing.T) {
		c := startCluster(t, bin, networkOf(leastBuffers)...)
		for _, timeout := range []string{"0 ms", "100 ms", "-1"} {
			for _, pre := range []string{"true", "false"} {
				t.Run(fmt.Sprintf("timeout=%s/preaggregation=%s", timeout, pre), func(t *testing.T) {
					r := c.weir(t, "run", "-p", "4", "-D", "execution.buffer-timeout.interval="+timeout,
						"-D", "pipeline.pre-aggregation.enabled="+pre, job, input)
					if r.code != 0 {
						t.Fatalf("exit code %d\n%s", r.code, r.stderr)
					}
					compare(t, rowsOf(t, r.stdout), want)
				})
			}
		}
		checkRemote(t, c)
	})
	t.Run("one buffer less", func(t *testing.T) {
		c := startCluster(t, bin, networkOf(leastBuffers-1)...)
		r := c.weir(t, "run", "-p", "4", job, input)
		if r.code != 1 {
			t.Errorf("exit code %d, want 1", r.code)
		}
		for _, part := range []string{"Insufficient number of network buffers", fmt.Sprint(leastBuffers), fmt.Sprint(leastBuffers - 1)} {
			if !strings.Contains(r.stderr, part) {
				t.Errorf("the refusal does not say %q:\n%s", part, r.stderr)
			}
		}
	})
}

// TestAllAnswersOnACluster runs the jobs of internal/answers on a cluster of
// processes, at each kind of buffer timeout.
func TestAllAnswersOnACluster(t *testing.T) {
	data := filepath.Dir(realData(t, "expected"))
	bin := build(t)
	program := filepath.Join(bin, "answers")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./testdata/answers").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	c := startCluster(t, bin)
	for _, job := range answers.Jobs() {
		for _, timeout := range []string{"0 ms", "100 ms", "-1"} {
			t.Run(fmt.Sprintf("%s/timeout=%s", job.Name, timeout), func(t *testing.T) {
				output := t.TempDir()
				r := c.weir(t, "run", "-p", "4", "-D", "execution.buffer-timeout.interval="+timeout, program, job.Name, data, output)
				if r.code != 0 {
					t.Fatalf("exit code %d\n%s", r.code, r.stderr)
				}
				if err := job.Compare(data, linesBelow(t, output)); err != nil {
					t.Error(err)
				}
			})
		}
	}
	checkRemote(t, c)
}

// linesBelow reads the lines of all files below a folder.
func linesBelow(t *testing.T, dir string) (lines []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if strings.HasPrefix(entry.Name(), ".") {
			t.Errorf("%s is left over", path)
		}
		content, err := os.ReadFile(path)
		lines = append(lines, strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// networkOf are the settings that give each of two slots so many buffers.
func networkOf(buffers int) []string {
	size := fmt.Sprintf("%d kb", 2*buffers*32)
	return []string{"taskmanager.memory.network.min: " + size, "taskmanager.memory.network.max: " + size}
}

// checkRemote looks whether the jobs' records did cross the network.
func checkRemote(t *testing.T, c *cluster) {
	t.Helper()
	jobs, err := c.client.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, summary := range jobs {
		job, err := c.client.Describe(t.Context(), summary.ID)
		if err != nil {
			t.Fatal(err)
		}
		remote := uint64(0)
		for _, v := range job.Vertices {
			for _, s := range v.Subtasks {
				remote += s.Metrics.RecordsInRemote
			}
		}
		if remote == 0 {
			t.Errorf("job %s: no record came over TCP", summary.ID)
		}
	}
}

func realData(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("WEIR_TEST_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("this test needs real data: %v\nPut the folder with the data set at ../shared/data from the project's root, or name it with WEIR_TEST_DATA; CONTRIBUTING.md says where it comes from.", err)
	}
	return path
}

// answerRows returns the rows of an answer file, which are sorted.
func answerRows(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	text := bufio.NewScanner(z)
	for text.Scan() {
		rows = append(rows, text.Text())
	}
	if err := text.Err(); err != nil {
		t.Fatal(err)
	}
	return rows[1:]
}

// rowsOf reads the rows that a job has printed as JSON among what weir prints.
func rowsOf(t *testing.T, stdout string) (rows []string) {
	t.Helper()
	for line := range strings.Lines(stdout) {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var r struct {
			Start           int64
			Origin          string
			Count, Sum, Max int64
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		rows = append(rows, fmt.Sprintf("%d,%s,%d,%d,%d", r.Start, r.Origin, r.Count, r.Sum, r.Max))
	}
	slices.Sort(rows) // All times have the same number of digits.
	return rows
}

func compare(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("got %d rows, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("row %d is %q, want %q", i, got[i], want[i])
		}
	}
}
