package main

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/dataflow"
)

const (
	planOpening = "----------------------- Execution Plan -----------------------\n"
	planClosing = "--------------------------------------------------------------\n\n"
	planNodes   = `{
  "nodes": [
    {
      "id": 1,
      "type": "Source: flights",
      "pact": "Data Source",
      "contents": "Source: flights",
      "parallelism": 3,
      "uid": "flights"
    },
    {
      "id": 2,
      "type": "departed",
      "pact": "Operator",
      "contents": "departed",
      "parallelism": 3,
      "uid": "departed",
      "predecessors": [
        {
          "id": 1,
          "ship_strategy": "FORWARD"
        }
      ]
    },
    {
      "id": 3,
      "type": "delays",
      "pact": "Operator",
      "contents": "delays",
      "parallelism": 4,
      "uid": "delays",
      "predecessors": [
        {
          "id": 2,
          "ship_strategy": "HASH"
        }
      ]
    },
    {
      "id": 4,
      "type": "Sink: out",
      "pact": "Data Sink",
      "contents": "Sink: out",
      "parallelism": 4,
      "uid": "out",
      "predecessors": [
        {
          "id": 3,
          "ship_strategy": "FORWARD"
        }
      ]
    }
  ]
}
`
	planWarning = "Warning: main.go:5: operator \"flights\" has no id\n"
)

func TestInfoPrintsThePlan(t *testing.T) {
	c := newCommand(t)
	description, err := planText(testPlan(), 3)
	if err != nil || !strings.HasPrefix(description, "Job \"late departures\": 2 tasks in 7 subtasks") {
		t.Fatalf("%v\n%s", err, description)
	}
	c.expect(t, 0, planOpening+planNodes+planClosing+description, planWarning, "info", "-p", "3", self(t), "plan")
	c.expect(t, 0, planNodes, `{"warning":"main.go:5: operator \"flights\" has no id"}`+"\n", "info", "-o", "json", "-p", "3", self(t), "plan")
	// What follows the job is the job's.
	c.expect(t, 0, planOpening+planNodes+planClosing+description, planWarning, "info", "-p", "3", self(t), "plan", "-o", "json")
	c.expect(t, 0, planOpening+planNodes+planClosing+description, planWarning, "info", "-D", "parallelism.default=3", self(t), "plan", "-p", "7")
	// What main prints does not mix with the plan; it is called by the name that the user gave.
	c.expect(t, 0, planOpening+planNodes+planClosing+description,
		"printed on standard output\nprinted on standard error as "+self(t)+"\n"+planWarning, "info", "-p", "3", self(t), "loud")
}

func TestInfoOfPlansThatAreNone(t *testing.T) {
	c := newCommand(t)
	name := self(t)
	c.expect(t, 1, "", exception(name+" has 2 mistakes:\n  main.go:7: the filter has no function\n  main.go:9: the stream\n    ends nowhere"), "info", name, "mistakes")
	c.expect(t, 1, "", "usage: clicks --topic TOPIC\n"+exception("main of "+name+" failed while it was planned: exit status 3; what it printed is above"), "info", name, "fail")
	c.expect(t, 1, "", exception("main of "+name+" ended without a plan: does it call weir.Main?"), "info", name, "silent")
	if code := c.run([]string{"info", name, "garbage"}); code != 1 || !strings.Contains(c.stderr.String(), "what "+name+" wrote is no plan: ") {
		t.Errorf("garbage: exit code %d\n%s", code, c.stderr)
	}
	text := filepath.Join(t.TempDir(), "text")
	writeFile(t, text, "hello")
	if code := c.run([]string{"info", text}); code != 1 || !strings.Contains(c.stderr.String(), "chmod +x "+text) {
		t.Errorf("a file that is not executable: exit code %d\n%s", code, c.stderr)
	}
	if err := os.Chmod(text, 0o700); err != nil {
		t.Fatal(err)
	}
	c.stderr.Reset()
	if code := c.run([]string{"info", text}); code != 1 || !strings.Contains(c.stderr.String(), text+" is not an executable for this machine") {
		t.Errorf("text: exit code %d\n%s", code, c.stderr)
	}
}

func TestInfoRunsMainAsATaskManagerDoes(t *testing.T) {
	c := newCommand(t)
	t.Setenv("SECRET_OF_THE_USER", "x")
	t.Setenv("TZ", "UTC")
	_ = c.run([]string{"info", self(t), "environment"})
	names := strings.Fields(strings.SplitN(c.stderr.String(), "\n---", 2)[0])
	if slices.Contains(names, "SECRET_OF_THE_USER") || slices.Contains(names, "PATH") {
		t.Errorf("main sees %v", names)
	}
	for _, want := range []string{"WEIR_MODE", "WEIR_PLAN_FD", "WEIR_INPUT_FD", "TZ"} {
		if !slices.Contains(names, want) {
			t.Errorf("main does not see %s: %v", want, names)
		}
	}
}

func TestInfoOfAPackage(t *testing.T) {
	c := newCommand(t)
	module(t, map[string]string{"main.go": "package main\n\nfunc main() { println(\"hello from\", \"" + runtime.GOARCH + "\") }\n"})
	c.expect(t, 1, "", "hello from "+runtime.GOARCH+"\n"+exception("main of . ended without a plan: does it call weir.Main?"), "info", ".")
}

func TestParallelismInCodeWinsOverOptions(t *testing.T) {
	c := newCommand(t)
	o := &jobOptions{parallelism: "3"}
	o.target = "remote"
	configured, err := o.load(c.app)
	if err != nil {
		t.Fatal(err)
	}
	for want, settings := range map[int]map[string]string{3: nil, 5: {"parallelism.default": "5"}} {
		if got, err := planParallelism(&dataflow.Plan{Settings: settings}, configured); got != want || err != nil {
			t.Errorf("settings %v: got %d, %v, want %d", settings, got, err, want)
		}
	}
}
