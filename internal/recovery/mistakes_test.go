package recovery

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir"
)

// unencodable is an accumulator that no snapshot can have.
type unencodable struct{ Call func() }

type calls struct{}

func (calls) Add(*unencodable, int64)                            {}
func (calls) Result(int64, weir.Window, *unencodable) (none int) { return 0 }

// TestUnencodableState: state that a checkpoint could not have is a mistake of the job,
// with file and line and the field, before anything runs; without checkpoints it is none.
func TestUnencodableState(t *testing.T) {
	build := func(env *weir.Env) {
		weir.From(env, "none", &failing{out: newStore()}).KeyBy(func(n int64) int64 { return n }).
			Aggregate(calls{}).ID("calls").Map(func(int) string { return "" }).To("out", newStore())
	}
	settings := []weir.RunOption{weir.WithoutWarnings(), weir.Setting("execution.checkpointing.dir", t.TempDir())}
	if err := weir.Run(t.Context(), "test", build, settings...); err != nil {
		t.Errorf("without checkpoints: %v", err)
	}
	err := weir.Run(t.Context(), "test", build, append(settings, weir.Setting("execution.checkpointing.interval", "1 s"))...)
	for _, want := range []string{"mistakes_test.go:", "the job takes checkpoints, which cannot have its state", "Call"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q", err, want)
		}
	}
}

// TestCheckpointsNeedADirectory: a job that takes checkpoints and has nowhere to store
// them is refused, and not restarted for ever.
func TestCheckpointsNeedADirectory(t *testing.T) {
	build := func(env *weir.Env) {
		weir.From(env, "none", &failing{out: newStore()}).Map(func(int64) string { return "" }).To("out", newStore())
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for location, want := range map[string]string{
		"":            "execution.checkpointing.dir is not",
		"relative":    `execution.checkpointing.dir: "relative" is relative`,
		file:          "execution.checkpointing.dir: checkpoints cannot be stored",
		"/proc/nope":  "execution.checkpointing.dir: checkpoints cannot be stored",
		"s3://bucket": "execution.checkpointing.dir",
	} {
		options := []weir.RunOption{weir.WithoutWarnings(), weir.Setting("execution.checkpointing.interval", "1 s")}
		if location != "" {
			options = append(options, weir.Setting("execution.checkpointing.dir", location))
		}
		err := weir.Run(t.Context(), "test", build, options...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", location, err, want)
		}
	}
}
