package scheduler_test

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/memory"
	"github.com/weirstream/weir/scheduler"
)

var rewrite = flag.Bool("rewrite", false, "write the outputs of testdata/*.txt anew")

// TestScripts runs the interaction scripts. A script is a list of blocks: lines
// with one command each, a line "----", and what the scheduler answered. It is
// the answers that are compared; a line that begins with # is a comment.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(want))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			compareLines(t, file, got, string(want))
		})
	}
}

func compareLines(t *testing.T, file, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		a, b := "(end)", "(end)"
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Fatalf("%s:%d:\ngot  %s\nwant %s", file, i+1, a, b)
		}
	}
}

// runScript runs the commands of a script and returns it with the answers.
func runScript(t *testing.T, script string) string {
	t.Helper()
	e := newScriptEnv()
	var out bytes.Buffer
	answering := false
	var answer []string
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "----":
			out.WriteString("----\n")
			for _, a := range answer {
				out.WriteString(a + "\n")
			}
			answering, answer = true, nil
		case line == "":
			answering = false
			out.WriteString("\n")
		case answering:
		case strings.HasPrefix(line, "#"):
			out.WriteString(line + "\n")
		default:
			out.WriteString(line + "\n")
			lines, err := e.run(line)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			answer = append(answer, lines...)
		}
	}
	return out.String()
}

// scriptEnv is a scheduler whose jobs and sessions have short names.
type scriptEnv struct {
	s        *scheduler.Scheduler
	now      time.Time
	sessions map[string]ids.SessionID // "tm-1#2", and "tm-1" for the latest
	starts   map[string]int           // sessions of a TaskManager so far
	names    map[any]string           // job and session ids to names
	// asked says that the script answers NextAttempt; otherwise every attempt
	// begins anew.
	asked bool
}

func newScriptEnv() *scriptEnv {
	return &scriptEnv{
		s: scheduler.New(scheduler.DefaultConfig()), now: time.Unix(1000, 0),
		sessions: map[string]ids.SessionID{}, starts: map[string]int{}, names: map[any]string{},
	}
}

// command is a line of a script: a verb, words, and key=value pairs. The value
// of the last pair may have spaces.
type command struct {
	verb  string
	words []string
	pairs map[string]string
}

func parseCommand(line string) command {
	c := command{pairs: map[string]string{}}
	last := ""
	for i, field := range strings.Fields(line) {
		key, value, ok := strings.Cut(field, "=")
		switch {
		case i == 0:
			c.verb = field
		case ok:
			c.pairs[key] = value
			last = key
		case last != "":
			c.pairs[last] += " " + field
		default:
			c.words = append(c.words, field)
		}
	}
	return c
}

func (c command) number(key string, fallback int) int {
	if n, err := strconv.Atoi(c.pairs[key]); err == nil {
		return n
	}
	return fallback
}

func (c command) duration(key string, fallback time.Duration) time.Duration {
	if d, err := time.ParseDuration(c.pairs[key]); err == nil {
		return d
	}
	return fallback
}

func (c command) size(key string, fallback memory.Size) memory.Size {
	if s, err := memory.ParseSize(c.pairs[key]); err == nil {
		return s
	}
	return fallback
}

func (e *scriptEnv) run(line string) ([]string, error) {
	c := parseCommand(line)
	switch c.verb {
	case "config":
		config := scheduler.DefaultConfig()
		for _, mode := range []scheduler.LoadBalance{scheduler.TakeSlots, scheduler.SpreadSlots, scheduler.PackSlots} {
			if c.pairs["mode"] == mode.String() {
				config.LoadBalance = mode
			}
		}
		config.MaxFinishedJobs = c.number("max-finished", 0)
		e.s, e.asked = scheduler.New(config), c.pairs["attempts"] == "asked"
		return nil, nil
	case "advance":
		d, err := time.ParseDuration(c.words[0])
		return e.advance(d), err
	case "status":
		return e.status(), nil
	case "all":
		return e.all(c)
	}
	event, err := e.event(c)
	if err != nil {
		return nil, err
	}
	return e.step(event), nil
}

// advance lets time pass, with a Tick whenever one is due.
func (e *scriptEnv) advance(d time.Duration) (lines []string) {
	end := e.now.Add(d)
	for range 1000 {
		due, ok := e.s.Deadline()
		if !ok || due.After(end) {
			e.now = end
			return lines
		}
		e.now = due
		for _, line := range e.step(scheduler.Tick{}) {
			lines = append(lines, fmt.Sprintf("at %ds: %s", int(e.now.Unix()-1000), line))
		}
	}
	return append(lines, "time stands still: the deadline does not move")
}

// all reports a state for every task of a job that its worker can report.
func (e *scriptEnv) all(c command) (lines []string, err error) {
	job, _ := e.s.Job(e.job(c.words[0]))
	for v, tasks := range job.Subtasks {
		for i, task := range tasks {
			state, err := taskState(c.words[1])
			if err != nil {
				return nil, err
			}
			lines = append(lines, e.step(scheduler.TaskStateChanged{
				Origin: scheduler.Origin{Session: e.sessions[string(task.TaskManager)], Job: job.ID, Attempt: job.Attempt},
				Task:   ids.Subtask{Vertex: v, Index: i}, State: state,
			})...)
		}
	}
	return lines, nil
}

func (e *scriptEnv) event(c command) (scheduler.Event, error) {
	name := c.words[0]
	switch c.verb {
	case "tm":
		return e.register(c), nil
	case "lose":
		return scheduler.TaskManagerLost{Session: e.sessions[name], Reason: c.pairs["reason"]}, nil
	case "submit":
		return scheduler.JobSubmitted{Job: e.job(name), Name: "job " + name}, nil
	case "refuse":
		return scheduler.JobRefused{Job: e.job(name), Reason: c.pairs["reason"]}, nil
	case "plan":
		return e.plan(c)
	case "cancel":
		return scheduler.CancelRequested{Job: e.job(name)}, nil
	}
	if strings.HasPrefix(c.verb, "attempt-") {
		return e.attempt(c)
	}
	origin := scheduler.Origin{Session: e.sessions[c.words[1]], Job: e.job(name), Attempt: e.current(c)}
	switch c.verb {
	case "ready":
		return scheduler.WorkerReady{Origin: origin, DataAddress: c.words[1] + ":1"}, nil
	case "exited":
		return scheduler.WorkerExited{
			Origin: origin, ExitCode: c.number("code", 0), Signal: c.pairs["signal"], Error: c.pairs["error"],
			Stderr: strings.ReplaceAll(c.pairs["stderr"], "|", "\n"), LogFile: c.pairs["log"],
		}, nil
	case "refused":
		return scheduler.WorkerRefused{Origin: origin, Reason: c.pairs["reason"]}, nil
	case "failed":
		return scheduler.WorkerFailed{Origin: origin, Failure: failure(c)}, nil
	case "ended":
		return scheduler.TaskEnded{Origin: origin, Task: subtask(c.words[2])}, nil
	case "task":
		state, err := taskState(c.words[3])
		return scheduler.TaskStateChanged{
			Origin: origin, Task: subtask(c.words[2]), State: state,
			Failure:     failure(c),
			Consequence: len(c.words) > 4 && c.words[4] == "consequence",
		}, err
	case "splits":
		return e.splits(c, origin)
	case "request":
		return scheduler.SplitRequested{Origin: origin, Task: subtask(c.words[2])}, nil
	case "watermark":
		r := scheduler.WatermarkReported{Origin: origin, Task: subtask(c.words[2]), Group: c.words[3]}
		r.Watermark, r.MaxDrift = watermark(c.words[4]), watermark(c.pairs["drift"])
		return r, nil
	}
	return nil, fmt.Errorf("unknown verb %q", c.verb)
}

func (e *scriptEnv) register(c command) scheduler.Event {
	name := c.words[0]
	e.starts[name]++
	session := ids.NewSessionID()
	e.names[session] = fmt.Sprintf("%s#%d", name, e.starts[name])
	e.sessions[name], e.sessions[e.names[session]] = session, session
	platform := c.pairs["platform"]
	if platform == "" {
		platform = "linux/amd64"
	}
	return scheduler.TaskManagerRegistered{Session: session, TaskManager: scheduler.TaskManager{
		ID: ids.TaskManagerID(name), Host: "host-of-" + name, Slots: c.number("slots", 1), Platform: platform,
		NetworkMemoryPerSlot: c.size("network", 64*memory.MiB), SegmentSize: c.size("segment", 32*memory.KiB),
	}}
}

// attempt reads what the caller says of an attempt: "attempt-ready A restore=7
// sources=0:a+b,2:" is checkpoint 7 with the un-dealt splits of the vertices 0 and 2.
func (e *scriptEnv) attempt(c command) (scheduler.Event, error) {
	job := e.job(c.words[0])
	switch c.verb {
	case "attempt-failed":
		return scheduler.AttemptFailed{Job: job, Attempt: e.current(c), Failure: failure(c)}, nil
	case "attempt-ready":
		event := scheduler.AttemptReady{Job: job}
		if c.pairs["message"] != "" {
			f := failure(c)
			event.Failure = &f
		}
		if n := c.number("restore", 0); n > 0 {
			event.Restore = &scheduler.Restore{Checkpoint: uint64(n), Sources: map[int][]scheduler.Split{}}
			for entry := range strings.FieldsFuncSeq(c.pairs["sources"], func(r rune) bool { return r == ',' }) {
				vertex, list, _ := strings.Cut(entry, ":")
				v, err := strconv.Atoi(vertex)
				if err != nil {
					return nil, err
				}
				event.Restore.Sources[v] = nil
				for id := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == '+' }) {
					event.Restore.Sources[v] = append(event.Restore.Sources[v], scheduler.Split{ID: id})
				}
			}
		}
		return event, nil
	}
	return nil, fmt.Errorf("unknown verb %q", c.verb)
}

// current is the attempt that a command names, or else that of its job.
func (e *scriptEnv) current(c command) ids.Attempt {
	job, _ := e.s.Job(e.job(c.words[0]))
	return ids.Attempt(c.number("attempt", int(max(1, job.Attempt))))
}

func failure(c command) scheduler.Failure {
	return scheduler.Failure{Message: c.pairs["message"], Stack: c.pairs["stack"], Unrecoverable: c.pairs["unrecoverable"] != ""}
}

// strategy reads "fixed-delay/3/10s" (attempts, delay), "failure-rate/2/1m/10s"
// (failures, interval, delay) and "exponential-delay/1s/10s/2/1h/3" (initial
// and most backoff, multiplier, reset, attempts), which has no jitter.
func strategy(text string) (r scheduler.RestartStrategy) {
	words := append(strings.Split(text, "/"), "", "", "", "", "")
	number := func(i int) int { n, _ := strconv.Atoi(words[i]); return n }
	duration := func(i int) time.Duration { d, _ := time.ParseDuration(words[i]); return d }
	for r.Kind = scheduler.ExponentialDelay; r.Kind > scheduler.NoRestart && r.Kind.String() != words[0]; {
		r.Kind--
	}
	switch r.Kind {
	case scheduler.NoRestart:
	case scheduler.FixedDelay:
		r.Attempts, r.Delay = number(1), duration(2)
	case scheduler.FailureRate:
		r.MaxFailures, r.Interval, r.Delay = number(1), duration(2), duration(3)
	case scheduler.ExponentialDelay:
		r.InitialBackoff, r.MaxBackoff, r.Multiplier = duration(1), duration(2), float64(number(3))
		r.ResetThreshold, r.Attempts = duration(4), number(5)
	}
	return r
}

// plan reads a graph: "plan A source:2* map:4 sink:1@group edges=0-1h,1-2f". A
// star marks a source, two an unbounded one, a letter the partitioning.
func (e *scriptEnv) plan(c command) (scheduler.Event, error) {
	plan := &dataflow.Plan{JobName: "job " + c.words[0]}
	g := &dataflow.JobGraph{Plan: plan}
	for _, word := range c.words[1:] {
		word, group, _ := strings.Cut(word, "@")
		word, unbounded := strings.CutSuffix(word, "**")
		word, isSource := strings.CutSuffix(word, "*")
		name, parallelism, _ := strings.Cut(word, ":")
		n, err := strconv.Atoi(parallelism)
		if err != nil {
			return nil, err
		}
		plan.Vertices = append(plan.Vertices, dataflow.Vertex{ID: name, Name: name, Source: isSource || unbounded, Bounded: isSource, SlotSharingGroup: group})
		g.Parallelism = append(g.Parallelism, n)
	}
	partitionings := map[string]dataflow.Partitioning{"h": dataflow.Hash, "f": dataflow.Forward, "r": dataflow.Rebalance}
	for _, edge := range strings.FieldsFunc(c.pairs["edges"], func(r rune) bool { return r == ',' }) {
		var from, to int
		var letter string
		if _, err := fmt.Sscanf(edge, "%d-%d%1s", &from, &to, &letter); err != nil {
			return nil, err
		}
		plan.Exchanges = append(plan.Exchanges, dataflow.Exchange{From: from, To: to, Partitioning: partitionings[letter]})
	}
	return scheduler.JobPlanned{Job: e.job(c.words[0]), Name: "job " + c.words[0], Graph: g, Options: scheduler.JobOptions{
		SlotRequestTimeout:  c.duration("slot-timeout", 5*time.Minute),
		CancellationTimeout: c.duration("cancel-timeout", 3*time.Minute),
		Buffers:             memory.Settings{SegmentSize: 32 * memory.KiB, BuffersPerChannel: 2, FloatingPerGate: 8},
		Platform:            c.pairs["platform"],
		Restarts:            strategy(c.pairs["restarts"]),
	}}, nil
}

func (e *scriptEnv) splits(c command, origin scheduler.Origin) (scheduler.Event, error) {
	vertex, err := strconv.Atoi(c.words[2])
	event := scheduler.SplitsEnumerated{Origin: origin, Vertex: vertex, Bounded: len(c.words) < 4 || c.words[3] != "unbounded"}
	if message := c.pairs["failure"]; message != "" {
		event.Failure = &scheduler.Failure{Message: message}
	}
	for i := range c.number("n", 0) {
		event.Splits = append(event.Splits, scheduler.Split{ID: fmt.Sprintf("s%d", i)})
	}
	return event, err
}

func (e *scriptEnv) job(name string) ids.JobID {
	var id ids.JobID
	copy(id[:], name)
	e.names[id] = name
	return id
}

func subtask(word string) (t ids.Subtask) {
	_, _ = fmt.Sscanf(word, "%d/%d", &t.Vertex, &t.Index)
	return t
}

func taskState(name string) (scheduler.TaskState, error) {
	for s := scheduler.TaskCreated; s <= scheduler.TaskFailed; s++ {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("unknown task state %q", name)
}

func (e *scriptEnv) step(event scheduler.Event) (lines []string) {
	for _, a := range e.s.Step(e.now, event) {
		if next, ok := a.(scheduler.NextAttempt); ok && !e.asked {
			defer func() { lines = append(lines, e.step(scheduler.AttemptReady{Job: next.Job})...) }()
			continue
		}
		if line := e.describe(a); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func (e *scriptEnv) describe(a scheduler.Action) string {
	worker := func(verb string, t scheduler.Target) string {
		return fmt.Sprintf("%s %s attempt %d on %s", verb, e.names[t.Job], t.Attempt, e.names[t.Session])
	}
	switch a := a.(type) {
	case scheduler.NextAttempt:
		return "next-attempt " + e.names[a.Job]
	case scheduler.StartWorker:
		return fmt.Sprintf("%s: worker %d of %d, slots %v of %s buffers, hosts %v", worker("start-worker", a.Target), a.Worker, a.Workers, a.Slots, a.SegmentSize, a.Hosts)
	case scheduler.StartTasks:
		var peers []string
		for _, p := range a.Peers {
			peers = append(peers, fmt.Sprintf("%d at %s runs%s", p.Worker, p.DataAddress, taskList(p.Tasks)))
		}
		text := fmt.Sprintf("%s:%s; peers: %s", worker("start-tasks", a.Target), taskList(a.Tasks), strings.Join(peers, ", "))
		if a.Restore != 0 {
			text += fmt.Sprintf("; restore %d", a.Restore)
		}
		return text
	case scheduler.CancelTasks:
		return worker("cancel-tasks", a.Target)
	case scheduler.Shutdown:
		return worker("shutdown", a.Target)
	case scheduler.KillWorker:
		return worker("kill-worker", a.Target) + ": " + a.Reason
	case scheduler.EnumerateSplits:
		return fmt.Sprintf("%s: vertex %d", worker("enumerate-splits", a.Target), a.Vertex)
	case scheduler.AssignSplits:
		text := fmt.Sprintf("%s: %d/%d gets", worker("assign-splits", a.Target), a.Task.Vertex, a.Task.Index)
		for _, s := range a.Splits {
			text += " " + s.ID
		}
		if a.NoMore {
			text += " and no more"
		}
		return text
	case scheduler.AlignSource:
		limit := fmt.Sprint(a.Limit)
		if a.Limit == math.MaxInt64 {
			limit = "the end of time"
		}
		return fmt.Sprintf("%s: %d/%d of group %s reads up to %s", worker("align-source", a.Target), a.Task.Vertex, a.Task.Index, a.Group, limit)
	case scheduler.JobTransition:
		text := fmt.Sprintf("%s: %s -> %s", e.names[a.Job], a.From, a.To)
		if a.Reason != "" {
			text += ": " + a.Reason
		}
		return text
	case scheduler.ForgetJob:
		return "forget " + e.names[a.Job]
	case scheduler.MessageDropped:
		return fmt.Sprintf("dropped %s of %s: %s", a.Message, e.names[a.Session], a.Reason)
	case scheduler.JobChanged:
		return ""
	}
	return fmt.Sprintf("%#v", a)
}

// watermark reads a number, "never" for the lowest and "always" for the highest.
func watermark(s string) int64 {
	switch s {
	case "never":
		return math.MinInt64
	case "always":
		return math.MaxInt64
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func taskList(tasks []scheduler.Task) (text string) {
	for _, t := range tasks {
		text += fmt.Sprintf(" %d/%d@%d", t.Vertex, t.Index, t.Slot)
	}
	return text
}

// status prints what users would see.
func (e *scriptEnv) status() (lines []string) {
	for _, tm := range e.s.TaskManagers() {
		lines = append(lines, fmt.Sprintf("%s: %d of %d slots free", e.names[tm.Session], tm.Free, tm.Slots))
	}
	for _, summary := range e.s.Jobs() {
		job, _ := e.s.Job(summary.ID)
		line := fmt.Sprintf("%s: %s", e.names[job.ID], job.State)
		for s := scheduler.TaskCreated; s <= scheduler.TaskFailed; s++ {
			if n := job.Tasks[s]; n > 0 {
				line += fmt.Sprintf(", %d %s", n, s)
			}
		}
		if job.Status != "" {
			line += ": " + job.Status
		}
		lines = append(lines, line)
		lines = append(lines, e.restarts(job)...)
		if f := job.Failure; f != nil {
			if f.Recovery != "" {
				lines = append(lines, "  "+f.Recovery)
			}
			lines = append(lines, fmt.Sprintf("  failure: task %q, TaskManager %q, stack %q, log %q", f.Task, f.TaskManager, f.Stack, f.LogFile))
		}
	}
	return lines
}

// restarts prints what users see of a job that was, or is to be, restarted.
func (e *scriptEnv) restarts(job scheduler.JobView) (lines []string) {
	if !job.NextRestart.IsZero() {
		lines = append(lines, fmt.Sprintf("  next restart at %s", job.NextRestart.Sub(time.Unix(1000, 0))))
	}
	if job.Restarts == 0 && len(lines) == 0 {
		return nil
	}
	var failures []string
	for _, f := range job.Failures {
		failures = append(failures, f.Message)
	}
	lines = append(lines, fmt.Sprintf("  attempt %d, %d restarts; failures: %s", job.Attempt, job.Restarts, strings.Join(failures, " | ")))
	for v, tasks := range job.Subtasks {
		for i, task := range tasks {
			if task.Ended {
				lines = append(lines, fmt.Sprintf("  %d/%d has read its input", v, i))
			}
		}
	}
	return lines
}

// TestFailuresAreBounded: of a job that is restarted for ever the last failures are
// kept, the newest first.
func TestFailuresAreBounded(t *testing.T) {
	e := newScriptEnv()
	lines := []string{"tm tm-1 slots=1", "submit A", "plan A source:1* restarts=fixed-delay/1000/1s"}
	for i := range 50 {
		lines = append(lines, fmt.Sprintf("exited A tm-1 code=%d", i+1), "advance 1s")
	}
	for _, line := range lines {
		if _, err := e.run(line); err != nil {
			t.Fatal(err)
		}
	}
	view, _ := e.s.Job(e.job("A"))
	if len(view.Failures) != scheduler.MaxFailures || view.Restarts != 50 ||
		view.Failures[0].Message != "the worker exited with code 50" || view.Failures[15].Message != "the worker exited with code 35" {
		t.Errorf("%d restarts, failures %+v", view.Restarts, view.Failures)
	}
}
