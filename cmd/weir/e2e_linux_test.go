package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/internal/process"
)

// build builds the three commands and the job of these tests as make does.
func build(t *testing.T) (bin string) {
	t.Helper()
	bin = t.TempDir()
	for _, pkg := range []string{"../jobmanager", "../taskmanager", ".", "./testdata/job"} {
		command := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", bin+"/", pkg)
		command.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", pkg, err, out)
		}
	}
	return bin
}

// cluster is a JobManager and two TaskManagers with two slots each, as
// processes on loopback.
type cluster struct {
	bin string
	// environment has what makes the commands find the cluster.
	environment []string
	address     string
	jobManager  *exec.Cmd
	// taskManagers by number, from 1.
	taskManagers map[int]*exec.Cmd
	client       *client.Client
}

func startCluster(t *testing.T, bin string, settings ...string) *cluster {
	t.Helper()
	dir := t.TempDir()
	c := &cluster{bin: bin, taskManagers: map[int]*exec.Cmd{}}
	writeFile(t, filepath.Join(dir, "weir.yaml"), strings.Join(append([]string{
		"jobmanager.rpc.port: 0", "taskmanager.numberOfTaskSlots: 2", "process.working-dir: " + dir,
		"taskmanager.memory.process.size: 512m",
	}, settings...), "\n"))
	c.environment = append(os.Environ(), "XDG_STATE_HOME="+filepath.Join(dir, "state"), "WEIR_CONF_DIR="+dir)
	var ready <-chan string
	c.jobManager, ready = c.daemon(t, "jobmanager")
	c.address = <-ready
	for i := range 2 {
		c.startTaskManager(t, i+1)
	}
	t.Setenv("XDG_STATE_HOME", filepath.Join(dir, "state"))
	credential, err := client.LocalCredential()
	if err != nil {
		t.Fatal(err)
	}
	c.client, err = client.Dial(client.Config{Address: c.address, Credential: credential})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.client.Close() })
	return c
}

func (c *cluster) startTaskManager(t *testing.T, number int) {
	t.Helper()
	_, port, _ := strings.Cut(c.address, ":")
	c.taskManagers[number], _ = c.daemon(t, "taskmanager", "-D", "jobmanager.rpc.port="+port, "-D", "taskmanager.resource-id=tm-"+strconv.Itoa(number))
}

// daemon starts a daemon, whose log is the test's when it fails. The test stops
// it at its end, and it must end well. ready has its address.
func (c *cluster) daemon(t *testing.T, name string, args ...string) (_ *exec.Cmd, ready <-chan string) {
	t.Helper()
	command := exec.Command(filepath.Join(c.bin, name), args...)
	command.Env = c.environment
	log := &daemonLog{ready: make(chan string, 1)}
	command.Stderr = log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		err := command.Wait()
		killed := command.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
		if err != nil && !killed {
			t.Errorf("%s: %v", name, err)
		}
		if t.Failed() {
			t.Logf("log of %s %v:\n%s", name, args, log.all.String())
		}
	})
	return command, log.ready
}

// daemonLog is written by the one goroutine that reads a daemon's output.
type daemonLog struct {
	all   bytes.Buffer
	ready chan string
}

func (l *daemonLog) Write(p []byte) (int, error) {
	l.all.Write(p)
	for line := range strings.Lines(string(p)) {
		if address, ok := process.ReadyAddress(line); ok {
			l.ready <- address
		}
	}
	return len(p), nil
}

// result is how a run of weir ended.
type result struct {
	code           int
	stdout, stderr string
}

// weir runs weir with the cluster's address.
func (c *cluster) weir(t *testing.T, verb string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command := c.command(verb, args...)
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func (c *cluster) command(verb string, args ...string) *exec.Cmd {
	command := exec.Command(filepath.Join(c.bin, "weir"), append([]string{verb, "-m", c.address}, args...)...)
	command.Env = c.environment
	return command
}

func (c *cluster) job() string { return filepath.Join(c.bin, "job") }

// submit runs a job detached and returns its id.
func (c *cluster) submit(t *testing.T, args ...string) (id string) {
	t.Helper()
	r := c.weir(t, "run", append([]string{"-d"}, args...)...)
	id, ok := strings.CutPrefix(r.stdout, "Job has been submitted with JobID ")
	if r.code != 0 || !ok {
		t.Fatalf("run -d: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	return strings.TrimSpace(id)
}

// await watches a job until it has the state, and returns it.
func (c *cluster) await(t *testing.T, id string, reached func(*client.Job) bool) *client.Job {
	t.Helper()
	for event, err := range c.client.Watch(t.Context(), id, false) {
		if err != nil {
			t.Fatal(err)
		}
		if event.Job != nil && reached(event.Job) {
			return event.Job
		}
	}
	t.Fatalf("job %s ended before it was as awaited", id)
	return nil
}

func in(state client.JobState) func(*client.Job) bool {
	return func(job *client.Job) bool { return job.State == state }
}

// allRunning reports whether every subtask of a job runs and has reported figures.
func allRunning(job *client.Job) bool {
	for _, v := range job.Vertices {
		for _, s := range v.Subtasks {
			m := s.Metrics
			if s.State != "RUNNING" || m.BusyMillis+m.IdleMillis+m.BackpressuredMillis == 0 {
				return false
			}
		}
	}
	return job.State == client.Running
}

// attached is a weir run that is under way.
type attached struct {
	*exec.Cmd
	lines  *bufio.Scanner
	stderr bytes.Buffer
	id     string
}

// attach starts weir run and returns once the job was submitted.
func (c *cluster) attach(t *testing.T, args ...string) *attached {
	t.Helper()
	a := &attached{Cmd: c.command("run", args...)}
	a.Stderr = &a.stderr
	stdout, err := a.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	a.lines = bufio.NewScanner(stdout)
	for a.lines.Scan() {
		if id, ok := strings.CutPrefix(a.lines.Text(), "Job has been submitted with JobID "); ok {
			a.id = id
			return a
		}
	}
	_ = a.Wait()
	t.Fatalf("weir run %v: the job was not submitted\n%s", args, &a.stderr)
	return nil
}

// end waits for weir run and returns its exit code.
func (a *attached) end() int {
	for a.lines.Scan() { // Its output is of no interest any more.
	}
	_ = a.Wait()
	return a.ProcessState.ExitCode()
}

// interrupt is what Ctrl-C does.
func (a *attached) interrupt(t *testing.T) {
	t.Helper()
	if err := a.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
}

// endToEnd is a part of TestEndToEnd, with the cluster that it is about.
type endToEnd struct {
	*testing.T
	*cluster
}

func TestEndToEnd(t *testing.T) {
	bin := build(t)
	c := startCluster(t, bin)
	t.Run("jobs", func(t *testing.T) { endToEnd{t, c}.jobs() })
	t.Run("interrupts", func(t *testing.T) { endToEnd{t, c}.interrupts() })
	t.Run("bad input", func(t *testing.T) { endToEnd{t, c}.badInput() })
	t.Run("a job that lacks slots", func(t *testing.T) { endToEnd{t, c}.lackOfSlots() })
	t.Run("info", func(t *testing.T) { endToEnd{t, c}.info() })
	t.Run("a job that fails once", func(t *testing.T) { endToEnd{t, c}.failsOnce() })
	t.Run("a worker that is killed", func(t *testing.T) { endToEnd{t, c}.killedWorker() })
	t.Run("a worker with checkpoints that is killed", func(t *testing.T) { endToEnd{t, c}.killedWithCheckpoints() })
	t.Run("no daemon has fallen over", func(t *testing.T) { endToEnd{t, c}.nothingIsLeft() })
	t.Run("a TaskManager that is killed", func(t *testing.T) { endToEnd{t, c}.killedTaskManager() })
	t.Run("a TaskManager that comes back", func(t *testing.T) { endToEnd{t, c}.returnedTaskManager() })
	t.Run("local", func(t *testing.T) { endToEnd{t, &cluster{bin: bin}}.local(false) })
	t.Run("local that is killed", func(t *testing.T) { endToEnd{t, &cluster{bin: bin}}.local(true) })
	t.Run("demo", func(t *testing.T) { endToEnd{t, &cluster{bin: bin}}.demo() })
}

// theSums are what the job "sums" must print last for each key.
func theSums() (lines []string) {
	for key := range 10 {
		sum := 0
		for i := key; i < 1000; i += 10 {
			sum += i
		}
		lines = append(lines, fmt.Sprintf(`{"key":%d,"value":%d}`, key, sum))
	}
	return lines
}

func (e endToEnd) jobs() {
	r := e.weir(e.T, "run", "-p", "4", e.job(), "sums")
	lines := strings.Split(strings.TrimSuffix(r.stdout, "\n"), "\n")
	if r.code != 0 || len(lines) != 1004 {
		e.Fatalf("exit code %d, %d lines\n%s%s", r.code, len(lines), r.stdout, r.stderr)
	}
	for _, want := range theSums() {
		if !slices.Contains(lines, want) {
			e.Errorf("%s is missing", want)
		}
	}
	id, ok := strings.CutPrefix(lines[0], "Job has been submitted with JobID ")
	if !ok || lines[1001] != "Program execution finished" || lines[1002] != "Job with JobID "+id+" has finished." ||
		!strings.HasPrefix(lines[1003], "Job Runtime: ") || !strings.HasSuffix(lines[1003], " ms") {
		e.Errorf("the lines around the output are %q, %q", lines[0], lines[1001:])
	}

	e.jobAsJSON()

	r = e.weir(e.T, "run", e.job(), "talk")
	if r.code != 0 || !strings.Contains(r.stdout, "\n{\"key\":0,\"value\":0}\n") || !strings.Contains(r.stderr, "on standard error\n") ||
		strings.Contains(r.stdout, "on standard error") {
		e.Errorf("talk: exit code %d\n%s---\n%s", r.code, r.stdout, r.stderr)
	}

	endless := e.submit(e.T, "-p", "4", e.job(), "endless")
	e.await(e.T, endless, allRunning)
	if r := e.weir(e.T, "list"); r.code != 0 || !strings.Contains(r.stdout, " : "+endless+" : job endless (RUNNING)\n") || !strings.HasSuffix(r.stdout, "No scheduled jobs.\n") {
		e.Errorf("list: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	verbose := e.weir(e.T, "list", "-v").stdout
	for _, want := range []string{"    4/4", "tm-1", "tm-2", "RUNNING", " ok "} {
		if !strings.Contains(verbose, want) {
			e.Errorf("list -v: %q is missing in\n%s", want, verbose)
		}
	}
	if r := e.weir(e.T, "cancel", endless); r != (result{0, "Cancelling job " + endless + ".\nCancelled job " + endless + ".\n", ""}) {
		e.Errorf("cancel: %+v", r)
	}
	e.await(e.T, endless, in(client.Canceled))
	if r := e.weir(e.T, "cancel", endless); r.code != 1 || !strings.Contains(r.stderr, "Could not cancel job "+endless+".\nCaused by: ") {
		e.Errorf("cancel twice: %+v", r)
	}
	if r := e.weir(e.T, "list", "-a"); !strings.Contains(r.stdout, " : job endless (CANCELED)\n") || !strings.Contains(r.stdout, " : job sums (FINISHED)\n") {
		e.Errorf("list -a: %+v", r)
	}
}

// jobAsJSON runs the job of the sums once more, with events for output.
func (e endToEnd) jobAsJSON() {
	r := e.weir(e.T, "run", "-o", "json", "-p", "4", e.job(), "sums")
	seen := map[string]int{}
	var last struct{ Event, State, Line string }
	var printed []string
	for line := range strings.Lines(r.stdout) {
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			e.Fatalf("%q: %v", line, err)
		}
		if seen[last.Event]++; last.Event == "output" {
			printed = append(printed, last.Line)
		}
	}
	if r.code != 0 || r.stderr != "" || last.Event != "ended" || last.State != "FINISHED" || seen["submitted"] != 1 || seen["progress"] == 0 || len(printed) != 1000 {
		e.Errorf("exit code %d, events %v, the last %+v\n%s", r.code, seen, last, r.stderr)
	}
	for _, want := range theSums() {
		if !slices.Contains(printed, want) {
			e.Errorf("%s is missing", want)
		}
	}
}

func (e endToEnd) interrupts() {
	a := e.attach(e.T, e.job(), "endless")
	a.interrupt(e.T)
	if code := a.end(); code != 130 || !strings.Contains(a.stderr.String(), "Cancel it with: weir cancel "+a.id) {
		e.Errorf("exit code %d\n%s", code, &a.stderr)
	}
	e.await(e.T, a.id, in(client.Running))
	if r := e.weir(e.T, "cancel", a.id); r.code != 0 {
		e.Errorf("cancel: %+v", r)
	}

	a = e.attach(e.T, "-sae", e.job(), "endless")
	e.await(e.T, a.id, in(client.Running))
	a.interrupt(e.T)
	if code := a.end(); code != 1 || !strings.Contains(a.stderr.String(), "Job was cancelled (JobID: "+a.id+")") {
		e.Errorf("-sae: exit code %d\n%s", code, &a.stderr)
	}
	job, err := e.client.Describe(e.Context(), a.id)
	if err != nil || job.State != client.Canceled {
		e.Errorf("-sae: the job is %v, %v", job, err)
	}
}

func (e endToEnd) badInput() {
	dir := e.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		writeFile(e.T, path, content)
		return path
	}
	var compressed bytes.Buffer
	z := gzip.NewWriter(&compressed)
	_, _ = io.WriteString(z, "key,value\n"+strings.Repeat("1,2\n", 100_000))
	_ = z.Close()
	truncated := file("truncated.csv.gz", compressed.String()[:compressed.Len()/2])
	few := file("few.csv", "key,value\n1,2\n3\n")
	missing := filepath.Join(dir, "missing.csv")
	text := file("text", "hello")
	unknown := strings.Repeat("ab", 16)
	job := e.job()
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"run", text}, []string{text + " is not an executable"}},
		{[]string{"run", job, "exit"}, []string{"3", "no database"}},
		{[]string{"run", job, "usage", "--bogus"}, []string{"2", "flag provided but not defined: -bogus", "-topic topic"}},
		{[]string{"run", job, "nothing"}, []string{"weir.Main"}},
		{[]string{"run", job, "garbage"}, []string{"plan"}},
		{[]string{"run", job, "differs"}, []string{"numbers since "}},
		{[]string{"run", job, "worker-differs"}, []string{"in mode "}},
		{[]string{"run", job, "mistakes"}, []string{"main.go:", "parallelism", "same"}},
		{[]string{"run", job, "panic"}, []string{"Job failed (JobID: ", "seven is not allowed", "Task: Source: numbers -> no seven -> Sink: out (1/1)\n", "TaskManager: tm-", "main.build.func", "Log file: "}},
		{[]string{"run", job, "csv", missing}, []string{"Job failed", missing}},
		{[]string{"run", job, "csv", truncated}, []string{"Job failed", truncated, "unexpected EOF"}},
		{[]string{"run", job, "csv", few}, []string{"Job failed", few + ":3"}},
		{[]string{"run", "-D", "parallelism.default=0", job, "sums"}, []string{"parallelism.default", "0"}},
		{[]string{"run", "-D", "pipeline.naem=x", job, "sums"}, []string{"pipeline.naem", "pipeline.name"}},
		{[]string{"list", "-D", "security.credential.file=" + file("wrong", strings.Repeat("x", 32))}, []string{"Failed to retrieve job list.", "wrong credential"}},
		{[]string{"checkpoints", unknown}, []string{"Could not retrieve the checkpoints of job " + unknown + ".\nCaused by: no job " + unknown}},
		{[]string{"cancel", unknown}, []string{"Could not cancel job " + unknown + ".\nCaused by: ", unknown}},
	} {
		name := test.args[0]
		for _, arg := range test.args[1:] {
			name += " " + filepath.Base(arg)
		}
		e.Run(name, func(t *testing.T) {
			r := e.weir(t, test.args[0], test.args[1:]...)
			if r.code != 1 || !strings.Contains(r.stderr, " The program finished with the following exception:\n") {
				t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
			}
			for _, want := range test.want {
				if !strings.Contains(r.stderr, want) {
					t.Errorf("%q is missing in\n%s", want, r.stderr)
				}
			}
		})
	}
	// What a main prints while it is planned is the user's to read, wherever it was printed.
	if r := e.weir(e.T, "run", "-p", "0", job, "sums"); r != (result{1, "The parallelism must be a positive number: 0" + pointer, ""}) {
		e.Errorf("-p 0: %+v", r)
	}
}

func (e endToEnd) lackOfSlots() {
	a := e.attach(e.T, "-p", "7", e.job(), "endless")
	job := e.await(e.T, a.id, func(job *client.Job) bool { return job.StatusMessage != "" })
	if job.State != client.Created || !strings.Contains(job.StatusMessage, "7") || !strings.Contains(job.StatusMessage, "4") {
		e.Errorf("the job is %s: %s", job.State, job.StatusMessage)
	}
	if r := e.weir(e.T, "list", "-s", "-v"); !strings.Contains(r.stdout, "(CREATED)\n  "+strings.Split(job.StatusMessage, "\n")[0]) {
		e.Errorf("list -s -v: %+v", r)
	}
	if r := e.weir(e.T, "cancel", a.id); r.code != 0 {
		e.Errorf("cancel: %+v", r)
	}
	if code := a.end(); code != 1 || !strings.Contains(a.stderr.String(), strings.ReplaceAll(job.StatusMessage, "\n", " ")) {
		e.Errorf("exit code %d\n%s", code, &a.stderr)
	}
}

func (e endToEnd) info() {
	const want = planOpening + `{
  "nodes": [
    {
      "id": 1,
      "type": "Source: numbers",
      "pact": "Data Source",
      "contents": "Source: numbers",
      "parallelism": 2,
      "uid": "numbers"
    },
    {
      "id": 2,
      "type": "reduce",
      "pact": "Operator",
      "contents": "reduce",
      "parallelism": 2,
      "uid": "sums",
      "predecessors": [
        {
          "id": 1,
          "ship_strategy": "HASH"
        }
      ]
    },
    {
      "id": 3,
      "type": "Sink: out",
      "pact": "Data Sink",
      "contents": "Sink: out",
      "parallelism": 2,
      "uid": "out",
      "predecessors": [
        {
          "id": 2,
          "ship_strategy": "FORWARD"
        }
      ]
    }
  ]
}
` + planClosing
	nobody := &cluster{bin: e.bin, environment: e.environment, address: "localhost:1"} // It is not asked.
	if r := nobody.weir(e.T, "info", "-p", "2", e.job(), "sums"); r.code != 0 || !strings.HasPrefix(r.stdout, want+"Job \"job sums\": ") {
		e.Errorf("exit code %d\n%s%s\nwant\n%s", r.code, r.stdout, r.stderr, want)
	}
	if r := nobody.weir(e.T, "info", e.job(), "mistakes"); r.code != 1 || !strings.Contains(r.stderr, "main.go:") {
		e.Errorf("mistakes: %+v", r)
	}
}

func (e endToEnd) nothingIsLeft() {
	got, err := e.client.Cluster(e.Context())
	if err != nil || len(got.TaskManagers) != 2 || got.TaskManagers[0].FreeSlots+got.TaskManagers[1].FreeSlots != 4 {
		e.Errorf("the cluster is %+v, %v, want two TaskManagers with free slots", got, err)
	}
	for number, tm := range e.taskManagers {
		awaitGone(e.T, descendants(e.T, tm.Process.Pid))
		if tm.ProcessState != nil {
			e.Errorf("tm-%d has ended", number)
		}
	}
}

func (e endToEnd) killedTaskManager() {
	a := e.attach(e.T, "-p", "4", e.job(), "endless")
	e.await(e.T, a.id, allRunning)
	workers := descendants(e.T, e.taskManagers[1].Process.Pid)
	if len(workers) != 1 {
		e.Fatalf("the TaskManager has the workers %v, want one", workers)
	}
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", workers[0].pid)); err != nil || string(name) != "job\n" {
		e.Errorf("ps calls the worker %q, %v, want its executable's name", name, err)
	}
	if err := e.taskManagers[1].Process.Kill(); err != nil {
		e.Fatal(err)
	}
	if code := a.end(); code != 1 || !strings.Contains(a.stderr.String(), "Job failed (JobID: "+a.id+")") || !strings.Contains(a.stderr.String(), "tm-1") {
		e.Errorf("exit code %d\n%s", code, &a.stderr)
	}
	awaitGone(e.T, workers)
	awaitGone(e.T, descendants(e.T, e.taskManagers[2].Process.Pid))
}

func (e endToEnd) local(kill bool) {
	dir := e.TempDir()
	command := exec.Command(filepath.Join(e.bin, "weir"), "local", "--taskmanagers", "2", "--slots", "2",
		"-D", "process.working-dir="+dir, "-D", "taskmanager.memory.process.size=512m")
	command.Env = append(os.Environ(), "XDG_STATE_HOME="+filepath.Join(dir, "state"), "WEIR_CONF_DIR=")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	stdout, err := command.StdoutPipe()
	if err != nil {
		e.Fatal(err)
	}
	if err := command.Start(); err != nil {
		e.Fatal(err)
	}
	var greeting strings.Builder
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		greeting.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "Ctrl-C") {
			break
		}
	}
	_, address, found := strings.Cut(greeting.String(), "a JobManager at ")
	address, _, _ = strings.Cut(address, ", and 2 TaskManagers with 4 slots in all.")
	if !found {
		e.Fatalf("the greeting is\n%s%s", &greeting, &stderr)
	}
	daemons := descendants(e.T, command.Process.Pid)
	if len(daemons) != 3 {
		e.Errorf("there are %d daemons", len(daemons))
	}
	c := &cluster{bin: e.bin, address: address, environment: command.Env}
	if r := c.weir(e.T, "run", "-p", "4", c.job(), "sums"); r.code != 0 {
		e.Errorf("run: %+v", r)
	}
	if kill {
		_ = command.Process.Kill()
	} else {
		// Of two signals at once the second does not mean impatience: timeout(1)
		// sends its own to the process and then to the process's group.
		_ = command.Process.Signal(syscall.SIGINT)
		_ = command.Process.Signal(syscall.SIGTERM)
	}
	err = command.Wait()
	if !kill && err != nil {
		e.Errorf("after Ctrl-C: %v\n%s", err, &stderr)
	}
	awaitGone(e.T, daemons)
}

func (e endToEnd) demo() {
	command := exec.Command("../../examples/demo.sh")
	dir := e.TempDir()
	command.Env = append(os.Environ(), "BIN="+e.bin, "TMPDIR="+dir)
	out, err := command.CombinedOutput()
	if err != nil {
		e.Fatalf("%v\n%s", err, out)
	}
	// The worst hour, computed by other means from the same file.
	for _, want := range []string{"DFW      2001-01-01 22:00           53              74.49", "Program execution finished", "late departures (FINISHED)", " 508239 records read in ", " FINISHED  taskmanager-2 "} {
		if !strings.Contains(string(out), want) {
			e.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		e.Errorf("%v is left, %v", left, err)
	}
}

// child is a process that can be waited for although it is not ours.
type child struct{ pid, fd int }

// descendants returns the children of a process.
func descendants(t *testing.T, pid int) (all []child) {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		content, err := os.ReadFile(list)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for _, field := range strings.Fields(string(content)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			fd, err := unix.PidfdOpen(pid, 0)
			if errors.Is(err, unix.ESRCH) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Close(fd) })
			all = append(all, child{pid, fd})
		}
	}
	return all
}

// awaitGone waits until processes have ended.
func awaitGone(t *testing.T, processes []child) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	deadline, _ := ctx.Deadline()
	for _, p := range processes {
		for {
			fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
			n, err := unix.Poll(fds, int(max(0, time.Until(deadline).Milliseconds())))
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil || n == 0 {
				t.Errorf("process %d still runs (%v)", p.pid, err)
			}
			break
		}
	}
}
