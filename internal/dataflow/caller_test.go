package dataflow_test

import (
	"fmt"
	"regexp"
	"runtime"
	"testing"

	"github.com/weirstream/weir/internal/dataflow"
)

// here returns the position of its caller, found without Caller.
func here() string {
	_, _, line, _ := runtime.Caller(1)
	return fmt.Sprintf("dataflow/caller_test.go:%d", line)
}

// TestCallerIsWhereTheCallIs, in a test, a closure and a generic function.
func TestCallerIsWhereTheCallIs(t *testing.T) {
	if got, want := dataflow.Caller(), here(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	func() {
		if got, want := dataflow.Caller(), here(); got != want {
			t.Errorf("in a closure: %s, want %s", got, want)
		}
	}()
	if got, want := generic[int](), "dataflow/caller_test.go:"; !regexp.MustCompile("^" + want + `\d+$`).MatchString(got) {
		t.Errorf("in a generic function: %s", got)
	}
}

func generic[T any]() string { return dataflow.Caller() }

// TestEngineFrames lists whose calls are the engine's own, by the names that the
// run-time gives to functions.
func TestEngineFrames(t *testing.T) {
	for function, want := range map[string]bool{
		"github.com/weirstream/weir.From[...]":                                    true,
		"github.com/weirstream/weir.Stream[...].Map[...]":                         true,
		"github.com/weirstream/weir.(*Env).Parallelism":                           true,
		"github.com/weirstream/weir.buildGraph.func1":                             true,
		"github.com/weirstream/weir/internal/dataflow.(*Graph).Mistake":           true,
		"github.com/weirstream/weir_test.TestX":                                   false,
		"github.com/weirstream/weir/examples/latedepartures.build":                false,
		"github.com/weirstream/weir/connector/file.CSV[...]":                      false,
		"github.com/weirstream/weirdo.build":                                      false,
		"github.com/weirstream/weir/v2.build":                                     false,
		"main.build":                                                              false,
		"main.main":                                                               false,
		"example.com/jobs/clicks.(*job).build-fm":                                 false,
		"example.com/github.com/weirstream/weir.From":                             false,
		"github.com/weirstream/weir/internal/dataflow_test.TestCallerIsWhereItIs": false,
	} {
		if got := dataflow.EngineFrame(function); got != want {
			t.Errorf("%s: the engine's %v, want %v", function, got, want)
		}
	}
}
