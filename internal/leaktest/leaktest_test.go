package leaktest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// child tells this test binary, started by its own test, what to do there.
const child = "WEIR_LEAKTEST_CHILD"

// leavesBehind is a name to find in the report of a leak.
func leavesBehind(context.Context) error { select {} }

func TestMainFindsLeaks(t *testing.T) {
	switch os.Getenv(child) {
	case "leaks":
		goroutine.New(context.WithoutCancel(t.Context())).Go(leavesBehind)
		return
	case "fails":
		t.Fatal("it fails by itself")
	case "passes":
		return
	}
	for _, test := range []struct {
		does string
		code int
		says string
	}{
		{"passes", 0, "PASS"},
		{"fails", 1, "it fails by itself"},
		{"leaks", 1, "leaktest_test.leavesBehind"},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMainFindsLeaks$")
		cmd.Env = append(os.Environ(), child+"="+test.does)
		out, err := cmd.CombinedOutput()
		code := 0
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != test.code || !strings.Contains(string(out), test.says) {
			t.Errorf("a test that %s exits with %d, want %d, and says, want %q:\n%s", test.does, code, test.code, test.says, out)
		}
	}
}
