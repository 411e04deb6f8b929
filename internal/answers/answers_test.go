package answers_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/internal/answers"
	"github.com/weirstream/weir/internal/leaktest"
	"github.com/weirstream/weir/weirtest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// data is the folder with the real data, whose licence keeps it out of the project.
func data(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("WEIR_TEST_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	if _, err := os.Stat(filepath.Join(dir, "expected")); err != nil {
		t.Fatalf("this test needs real data: %v\nPut the folder with the data set at ../shared/data from the project's root, or name it with WEIR_TEST_DATA; CONTRIBUTING.md says where it comes from.", err)
	}
	return dir
}

// TestExactAnswers compares what the engine makes of real, out-of-order data with
// answers that were computed without any engine.
func TestExactAnswers(t *testing.T) {
	dir := data(t)
	for _, job := range answers.Jobs() {
		for _, parallelism := range []int{1, 2, 4} {
			for _, timeout := range []string{"0 ms", "100 ms", "-1"} {
				t.Run(fmt.Sprintf("%s/parallelism=%d/timeout=%s", job.Name, parallelism, timeout), func(t *testing.T) {
					var sink weirtest.Collector[string]
					weirtest.RunJob(t, job.Build(dir, &sink), weirtest.Parallelism(parallelism),
						weir.Setting("execution.buffer-timeout.interval", timeout))
					if err := job.Compare(dir, sink.Values()); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

// TestCompare sees each kind of difference.
func TestCompare(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "expected"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "expected", "a.csv"), []byte("time,key\n1,x\n2,y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	job := answers.Job{Name: "job", Answers: []string{"a"}}
	if err := job.Compare(dir, []string{"a 2,y", "a 1,x"}); err != nil {
		t.Error(err)
	}
	for want, rows := range map[string][]string{
		`a: 2 rows, want 2; in order, row 1 is "2,z", want "2,y"`: {"a 1,x", "a 2,z"},
		"a: 1 rows, want 2": {"a 1,x"},
		"a: 3 rows, want 2": {"a 1,x", "a 2,y", "a 3,z"},
		"b: 1 rows of an answer that the job does not have": {"a 1,x", "a 2,y", "b 1,x"},
	} {
		if err := job.Compare(dir, rows); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("rows %q: error %v, want one that says %q", rows, err, want)
		}
	}
	job.Answers = []string{"c"}
	if err := job.Compare(dir, nil); err == nil {
		t.Error("an answer that is not there is no error")
	}
}
