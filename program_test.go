package weir_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/connector/generator"
	"github.com/weirstream/weir/connector/stdout"
	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/launch"
	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
)

// asProgram makes the test's binary the program of a job, whose name it has.
const asProgram = "WEIRTEST_PROGRAM"

// programs are what the test's binary can be.
var programs = map[string]func(*weir.Env){
	"once":     onceJob,
	"mistaken": func(env *weir.Env) { env.Parallelism(-1) },
	"empty":    nil,
	"prints": func(env *weir.Env) {
		_, _ = fmt.Fprintln(os.Stdout, "main prints this")
		_, _ = fmt.Fprintln(os.Stderr, "and this")
		onceJob(env)
	},
	"sum": func(env *weir.Env) {
		n, err := strconv.Atoi(env.Args()[0])
		if err != nil {
			panic(err)
		}
		weir.From(env, "numbers", generator.Of(int64(n), func(i int64) int { return int(i) })).Parallelism(1).
			KeyBy(func(int) string { return "" }).Reduce(sumOf).ID("sum").
			To("stdout", stdout.JSON[int]())
	},
	"fails": func(env *weir.Env) {
		weir.From(env, "numbers", generator.Of(10, func(i int64) int { return int(i) })).
			TryMap(func(int) (int, error) { return 0, errors.New("too hot") }).
			To("stdout", stdout.JSON[int]())
	},
	"endless": func(env *weir.Env) {
		weir.From(env, "numbers", generator.Of(-1, func(i int64) int { return int(i) })).Parallelism(1).
			Filter(func(n int) bool { return n == 0 }).Parallelism(1).
			To("stdout", stdout.JSON[int]()).Parallelism(1)
	},
}

// seed is what differs between two runs of main.
type seed struct {
	Process int
	At      time.Time
	hidden  int
}

func onceJob(env *weir.Env) {
	s := weir.Once(env, "seed", func() (seed, error) { return seed{os.Getpid(), time.Now(), 7}, nil })
	name := weir.Once(env, "name", func() (string, error) { return "numbers", nil })
	weir.From(env, name, generator.Of(3, func(int64) string { return fmt.Sprint(s.Process, s.hidden) })).
		Map(func(s string) string { return s + " " + strings.Join(env.Args(), ",") }).
		To("stdout", stdout.JSON[string]())
}

// beProgram is what the test's binary does instead of testing.
func beProgram(name string) { weir.Main("a program", programs[name]) }

// program starts the test's binary as a program of its own.
func program(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, args...)
	c.Env = append(os.Environ(), asProgram+"="+name, "GORACE=atexit_sleep_ms=0") // it would wait a second
	return c
}

// outcome is how a program ended.
type outcome struct {
	code           int
	stdout, stderr string
}

func execute(t *testing.T, c *exec.Cmd) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{c.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// plan runs a program in plan mode, as a TaskManager does.
func plan(t *testing.T, input *planv1.BuildInput, name string, args ...string) (*dataflow.Plan, outcome) {
	t.Helper()
	encoded, err := proto.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	out, got := planWith(t, encoded, name, args...)
	m := &planv1.Plan{}
	if err := proto.Unmarshal(out, m); err != nil {
		t.Fatalf("the plan has %d bytes: %v; %+v", len(out), err, got)
	}
	p, err := dataflow.FromProto(m)
	if err != nil {
		t.Fatalf("%v; %+v", err, got)
	}
	return p, got
}

func planWith(t *testing.T, input []byte, name string, args ...string) ([]byte, outcome) {
	t.Helper()
	dir := t.TempDir()
	in, planFile := filepath.Join(dir, "input"), filepath.Join(dir, "plan")
	if err := os.WriteFile(in, input, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(planFile)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	read, err := os.Open(in)
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	c := program(t, name, args...)
	c.ExtraFiles = []*os.File{out, read}
	c.Env = append(c.Env, launch.Mode+"="+launch.PlanMode, launch.PlanFile+"=3", launch.InputFile+"=4", launch.PlanRun+"=1")
	got := execute(t, c)
	written, err := os.ReadFile(planFile)
	if err != nil {
		t.Fatal(err)
	}
	return written, got
}

// TestPlanMode: the plan goes to its own file, whatever main prints.
func TestPlanMode(t *testing.T) {
	p, got := plan(t, &planv1.BuildInput{}, "prints", "x", "-y")
	if got != (outcome{0, "main prints this\n", "and this\n"}) {
		t.Errorf("the program ended with %+v", got)
	}
	_, path, _, _ := runtime.Caller(0)
	if p.JobName != "a program" || len(p.Vertices) != 1 || p.Vertices[0].Name != "Source: numbers -> map -> Sink: stdout" ||
		!strings.HasPrefix(p.Vertices[0].Operators[1].Position, filepath.Base(filepath.Dir(path))+"/program_test.go:") {
		t.Errorf("the plan is %+v", p)
	}

	p, got = plan(t, &planv1.BuildInput{}, "mistaken")
	if got.code != 0 || len(p.Mistakes) != 2 || !strings.Contains(p.Mistakes[0], "program_test.go:") || !strings.Contains(p.Mistakes[0], "parallelism -1") {
		t.Errorf("mistakes %q, %+v", p.Mistakes, got)
	}
	if p, got = plan(t, &planv1.BuildInput{}, "empty"); got.code != 0 || len(p.Mistakes) != 2 || !strings.Contains(p.Mistakes[0], "there is no function that builds the job") {
		t.Errorf("mistakes %q, %+v", p.Mistakes, got)
	}
}

// TestOnce: a value is decided in the first planning and is the same in all that
// follow it, in another process as in a worker; the fingerprint is, too.
func TestOnce(t *testing.T) {
	first, _ := plan(t, &planv1.BuildInput{}, "once")
	var recorded seed
	if err := json.Unmarshal(first.Recorded["seed"], &recorded); err != nil {
		t.Fatal(err)
	}
	if recorded.Process == os.Getpid() || recorded.At.IsZero() || string(first.Recorded["name"]) != `"numbers"` {
		t.Errorf("recorded %q", first.Recorded)
	}
	other, _ := plan(t, &planv1.BuildInput{}, "once")
	if string(other.Recorded["seed"]) == string(first.Recorded["seed"]) || other.Fingerprint != first.Fingerprint {
		t.Errorf("another planning recorded %q, after %q, and its fingerprint is the same: %v", other.Recorded, first.Recorded, other.Fingerprint == first.Fingerprint)
	}
	again, _ := plan(t, &planv1.BuildInput{Recorded: first.Recorded}, "once")
	for name, value := range first.Recorded {
		if string(again.Recorded[name]) != string(value) {
			t.Errorf("%s was %s and is %s", name, value, again.Recorded[name])
		}
	}
	if again.Fingerprint != first.Fingerprint {
		t.Error("the fingerprint differs")
	}

	// A worker builds with what was recorded, and never asks the function.
	worker := weir.BuildGraphWith(dataflow.BuildInput{Recorded: map[string][]byte{"n": []byte("5")}}, func(env *weir.Env) {
		n := weir.Once(env, "n", func() (int, error) { t.Error("the function was called"); return 0, nil })
		if n != 5 {
			t.Errorf("the value is %d", n)
		}
	})
	if m := worker.Layout().Plan.Mistakes; len(m) != 1 { // that there are no operators
		t.Errorf("mistakes %q", m)
	}
	worker = weir.BuildGraphWith(dataflow.BuildInput{Recorded: map[string][]byte{"n": []byte(`"text"`)}}, func(env *weir.Env) {
		_ = weir.Once(env, "n", func() (int, error) { return 0, nil })
	})
	if m := worker.Layout().Plan.Mistakes; len(m) != 2 || !strings.Contains(m[0], `weir.Once "n": json: cannot unmarshal string`) {
		t.Errorf("mistakes %q", m)
	}
}

// TestOnceLosesWhatIsNotExported, where the value is made as where it is
// replayed, so that a job that needs it fails in its first test.
func TestOnceLosesWhatIsNotExported(t *testing.T) {
	weir.BuildGraph(func(env *weir.Env) {
		s := weir.Once(env, "seed", func() (seed, error) { return seed{Process: 1, hidden: 7}, nil })
		if s.Process != 1 || s.hidden != 0 {
			t.Errorf("the value is %+v", s)
		}
	})
}

// TestChainingSwitch: the key works from the configuration and from code, which
// is above it, and the same in a planning that does not know the code's yet and
// in a worker that is told of both.
func TestChainingSwitch(t *testing.T) {
	const key = "pipeline.operator-chaining.enabled"
	for _, c := range []struct {
		configured, code string
		disable          bool
		want             int
	}{
		{"", "", false, 1},
		{"true", "", false, 1},
		{"false", "", false, 2},
		{"FALSE", "", false, 2},
		{"", "false", false, 2},
		{"true", "False", false, 2},
		{"false", "true", false, 1},
		{"true", "", true, 2},
		{"true", "true", true, 2},
	} {
		input := dataflow.BuildInput{Configuration: map[string]string{"parallelism.default": "3"}}
		if c.configured != "" {
			input.Configuration[key] = c.configured
		}
		g := weir.BuildGraphWith(input, func(env *weir.Env) {
			if c.code != "" {
				env.Set(key, c.code)
			}
			if c.disable {
				env.DisableChaining()
			}
			weir.From(env, "numbers", numbersTo(1)).To("sink", &collect[int]{})
		})
		if got := len(g.Layout().Chains); got != c.want {
			t.Errorf("%+v: %d tasks", c, got)
		}
	}
}

func TestBufferTimeoutInCode(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 100 * time.Millisecond: "100 ms", time.Nanosecond: "1 ms", 1500 * time.Microsecond: "2 ms", time.Minute: "60000 ms",
	} {
		p := weir.BuildGraph(func(env *weir.Env) { env.BufferTimeout(d) }).Layout().Plan
		if got := p.Settings["execution.buffer-timeout.interval"]; got != want || p.Settings["execution.buffer-timeout.enabled"] != "true" {
			t.Errorf("%v: %q", d, p.Settings)
		}
	}
	p := weir.BuildGraph(func(env *weir.Env) { env.BufferTimeout(weir.FullBuffersOnly) }).Layout().Plan
	if len(p.Settings) != 1 || p.Settings["execution.buffer-timeout.enabled"] != "false" {
		t.Errorf("full buffers only: %q", p.Settings)
	}
}

// TestBadLaunches: a program that is started in a way that no TaskManager starts
// it says what is wrong, and exits with 1.
func TestBadLaunches(t *testing.T) {
	for _, c := range []struct {
		environment []string
		want        string
	}{
		{[]string{"WEIR_MODE=dance"}, `WEIR_MODE is "dance": want "plan", "worker" or nothing`},
		{[]string{"WEIR_MODE=plan"}, `WEIR_PLAN_FD is "": want the number of an inherited file descriptor`},
		{[]string{"WEIR_MODE=plan", "WEIR_PLAN_FD=1"}, `WEIR_PLAN_FD is "1"`},
		{[]string{"WEIR_MODE=plan", "WEIR_PLAN_FD=x"}, `WEIR_PLAN_FD is "x"`},
		{[]string{"WEIR_MODE=plan", "WEIR_PLAN_FD=200"}, "write the plan"},
		{[]string{"WEIR_MODE=plan", "WEIR_PLAN_FD=3", "WEIR_INPUT_FD=-1"}, `WEIR_INPUT_FD is "-1"`},
		{[]string{"WEIR_MODE=worker"}, `WEIR_SESSION_FD is "": want the number of an inherited file descriptor`},
		{[]string{"WEIR_MODE=worker", "WEIR_SESSION_FD=200"}, "the session's socket"},
	} {
		p := program(t, "once")
		p.Env = append(p.Env, c.environment...)
		if got := execute(t, p); got.code != 1 || !strings.Contains(got.stderr, c.want) {
			t.Errorf("%q: %+v, want %q", c.environment, got, c.want)
		}
	}
	if out, got := planWith(t, []byte("garbage"), "once"); got.code != 1 || len(out) > 0 || !strings.Contains(got.stderr, "decode the input of the build") {
		t.Errorf("garbage as input: %+v", got)
	}
}

// TestProgramStartedByHand: it runs its job, prints what the job prints and
// nothing else, and exits with 0 or 1.
func TestProgramStartedByHand(t *testing.T) {
	got := execute(t, program(t, "sum", "100"))
	lines := strings.Fields(got.stdout)
	if got.code != 0 || got.stderr != "" || len(lines) != 100 || lines[99] != "4950" {
		t.Errorf("it ended with %d, %q, %d lines", got.code, got.stderr, len(lines))
	}
	got = execute(t, program(t, "fails"))
	if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, `job "a program" failed in task Source: numbers -> map -> Sink: stdout (`) || !strings.Contains(got.stderr, "too hot") {
		t.Errorf("a job that fails: %+v", got)
	}
	got = execute(t, program(t, "mistaken"))
	if got.code != 1 || !strings.Contains(got.stderr, "is built wrongly") || !strings.Contains(got.stderr, "parallelism -1") {
		t.Errorf("a job with mistakes: %+v", got)
	}
}

// TestProgramIsInterrupted: a signal cancels the job, and the program exits.
func TestProgramIsInterrupted(t *testing.T) {
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		p := program(t, "endless")
		var stderr bytes.Buffer
		p.Stderr = &stderr
		out, err := p.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 2)
		if _, err := io.ReadFull(out, first); err != nil { // it runs
			t.Error(err)
		}
		if err := p.Process.Signal(s); err != nil {
			t.Error(err)
		}
		_ = p.Wait() // its exit code is looked at
		if code := p.ProcessState.ExitCode(); code != 1 || !strings.Contains(stderr.String(), `job "a program" was canceled`) {
			t.Errorf("%v: exit code %d, %q", s, code, stderr.String())
		}
	}
}

func TestEngineVersion(t *testing.T) {
	if v := weir.EngineVersion(); v == "" {
		t.Error("the version of this program is empty")
	}
	const path = "github.com/weirstream/weir"
	user := debug.Module{Path: "example.com/jobs", Version: "v0.1.0"}
	for _, c := range []struct {
		info *debug.BuildInfo
		want string
	}{
		{nil, "unknown"},
		{&debug.BuildInfo{Main: user}, "unknown"},
		{&debug.BuildInfo{Main: user, Deps: []*debug.Module{{Path: "example.com/other", Version: "v9.0.0"}, {Path: path, Version: "v1.2.3"}}}, "v1.2.3"},
		{&debug.BuildInfo{Main: debug.Module{Path: path, Version: "(devel)"}}, "(devel)"},
		{&debug.BuildInfo{Main: debug.Module{Path: path}}, "unknown"},
	} {
		if got := weir.VersionIn(c.info); got != c.want {
			t.Errorf("%+v: %q, want %q", c.info, got, c.want)
		}
	}
}
