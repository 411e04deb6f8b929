package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/launch"
	"github.com/weirstream/weir/internal/leaktest"
)

// playWeir is the environment variable by which a test has this binary be weir.
const playWeir = "PLAY_WEIR"

// TestMain runs the tests or, where weir has started this binary as a job's
// executable, plays one.
func TestMain(m *testing.M) {
	if os.Getenv(launch.Mode) != "" {
		// Not os.Exit, with which the race detector waits a second.
		syscall.Exit(jobMain(os.Args[1:]))
	}
	if os.Getenv(playWeir) != "" {
		syscall.Exit((&app{stdout: os.Stdout, stderr: os.Stderr}).run(os.Args[1:]))
	}
	// Times are printed in the local zone, which is this one for the tests.
	time.Local = time.FixedZone("test", 3600)
	leaktest.Main(m)
}

// jobMain is the main of a job that does what its first argument says.
func jobMain(args []string) int {
	out := os.NewFile(planDescriptor, "plan")
	switch args[0] {
	case "plan", "loud", "mistakes":
		p := testPlan()
		if args[0] == "mistakes" {
			p.Mistakes = []string{"main.go:7: the filter has no function", "main.go:9: the stream\nends nowhere"}
		}
		if args[0] == "loud" {
			fmt.Println("printed on standard output")
			fmt.Fprintln(os.Stderr, "printed on standard error as", os.Args[0])
		}
		encoded, err := proto.Marshal(dataflow.ToProto(p))
		if err != nil {
			return 9
		}
		if _, err := out.Write(encoded); err != nil {
			return 9
		}
	case "garbage":
		_, _ = out.WriteString(strings.Repeat("\xff", 100))
	case "environment":
		for _, variable := range os.Environ() {
			name, _, _ := strings.Cut(variable, "=")
			fmt.Fprintln(os.Stderr, name)
		}
	case "fail":
		fmt.Fprintln(os.Stderr, "usage: clicks --topic TOPIC")
		return 3
	}
	return 0
}

func testPlan() *dataflow.Plan {
	return &dataflow.Plan{
		JobName: "late departures",
		Vertices: []dataflow.Vertex{
			{
				ID: "flights", Name: "Source: flights -> departed", Source: true, Bounded: true,
				Operators: []dataflow.Operator{{ID: "flights", Name: "flights", Kind: "source"}, {ID: "departed", Name: "departed", Kind: "filter"}},
			},
			{
				ID: "delays", Name: "delays -> Sink: out", Parallelism: 4,
				Operators: []dataflow.Operator{{ID: "delays", Name: "delays", Kind: "window aggregate", Stateful: true}, {ID: "out", Name: "out", Kind: "sink"}},
			},
		},
		Exchanges: []dataflow.Exchange{{From: 0, FromOperator: 1, To: 1, Partitioning: dataflow.Hash}},
		Warnings:  []string{"main.go:5: operator \"flights\" has no id"},
	}
}

// command is one run of weir with its surroundings.
type command struct {
	*app
	stdout, stderr *bytes.Buffer
	signals        chan os.Signal
}

const secret = "0123456789abcdef0123456789abcdef"

// newCommand returns a command that finds the cluster's credential, and no
// configuration.
func newCommand(t *testing.T) *command {
	t.Helper()
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "WEIR_") {
			t.Setenv(name, "") // Those of whoever runs the tests.
		}
	}
	t.Setenv("WEIR_CONF_DIR", "")
	t.Chdir(t.TempDir())
	if err := os.Mkdir(filepath.Join(state, "weir"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(state, "weir", "credential"), secret)
	c := &command{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}, signals: make(chan os.Signal, 2)}
	c.app = &app{stdout: c.stdout, stderr: c.stderr, signals: c.signals}
	return c
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// expect runs the command and compares everything that can be seen of it.
func (c *command) expect(t *testing.T, code int, stdout, stderr string, args ...string) {
	t.Helper()
	c.stdout.Reset()
	c.stderr.Reset()
	if got := c.run(args); got != code {
		t.Errorf("weir %s: exit code %d, want %d", strings.Join(args, " "), got, code)
	}
	if got := c.stdout.String(); got != stdout {
		t.Errorf("weir %s printed\n%s\nwant\n%s", strings.Join(args, " "), got, stdout)
	}
	if got := c.stderr.String(); got != stderr {
		t.Errorf("weir %s printed on standard error\n%s\nwant\n%s", strings.Join(args, " "), got, stderr)
	}
}

// exception is what standard error has after an error.
func exception(text string) string {
	return "\n------------------------------------------------------------\n The program finished with the following exception:\n\n" + text + "\n"
}

const pointer = "\n\nUse the help option (-h or --help) to get help on the command.\n"
