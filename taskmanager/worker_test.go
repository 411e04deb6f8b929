package taskmanager_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	weirconfig "github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/launch"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
)

func TestWorkerLife(t *testing.T) {
	g, digest, base := cluster(t)
	job := ids.NewJobID()
	g.startWorker(job, 1, digest, 2, "work")
	hello, address := g.expectReady()
	if hello.GetProtocolVersion() != launch.Protocol || hello.GetEngineVersion() != "1.2.3" || hello.GetPid() == int64(os.Getpid()) {
		t.Errorf("hello: got %v", hello)
	}
	if want := g.register.GetId() + " slots 2"; address != want {
		t.Errorf("the welcome had %q: want %q", address, want)
	}
	directory := filepath.Join(base, "work", "jobs", job.String()+"-1")
	if _, err := os.Stat(directory); err != nil {
		t.Errorf("the working directory while the worker runs: %v", err)
	}
	g.command(job, 1, &workerv1.SessionResponse{Message: &workerv1.SessionResponse_CancelTasks{CancelTasks: &workerv1.CancelTasks{}}})
	if m := expect(g, (*tmv1.ConnectRequest).GetWorkerMessage); m.GetMessage().GetTaskState().GetState() != workerv1.TaskState_TASK_STATE_CANCELED {
		t.Errorf("after CancelTasks: got %v", m)
	}
	g.shutdown(job, 1)
	if m := expect(g, (*tmv1.ConnectRequest).GetWorkerMessage); m.GetMessage().GetTaskState().GetState() != workerv1.TaskState_TASK_STATE_FINISHED {
		t.Errorf("after Shutdown: got %v", m)
	}
	if m := expect(g, (*tmv1.ConnectRequest).GetWorkerMessage); m.GetMessage().GetStopped() == nil {
		t.Errorf("after the last state: got %v", m)
	}
	exit := g.expectExit()
	if exit.GetExitCode() != 0 || exit.GetSignal() != "" || exit.GetError() != "" {
		t.Errorf("exit: got %v", exit)
	}
	if _, err := os.Stat(directory); !os.IsNotExist(err) {
		t.Errorf("the working directory of a worker that is gone: %v", err)
	}
}

// The worker package's side and this one understand each other, over a socket
// and with inherited memory.
func TestServedWorker(t *testing.T) {
	g, digest, _ := cluster(t)
	job := ids.NewJobID()
	g.startWorker(job, 1, digest, 2, "serve")
	if hello, address := g.expectReady(); hello.GetEngineVersion() != "1.2.3" || address != "" {
		t.Errorf("hello %v, address %q", hello, address)
	}
	g.shutdown(job, 1)
	if m := expect(g, (*tmv1.ConnectRequest).GetWorkerMessage); m.GetMessage().GetStopped() == nil {
		t.Errorf("after Shutdown: got %v", m)
	}
	if exit := g.expectExit(); exit.GetExitCode() != 0 || exit.GetError() != "" {
		t.Errorf("exit: got %v", exit)
	}
}

// What a worker cannot do its part for reaches the JobManager in its own words,
// and is what the TaskManager knows of its end.
func TestServedWorkerFails(t *testing.T) {
	jm := newJobManager(t)
	base := t.TempDir()
	cacheTestBinary(t, base)
	config := configure(jm.address, base)
	config.DataBindHost = "192.0.2.1" // It is no address of this host.
	run(t, config)
	g := jm.accept(t)
	m := startWorker(ids.NewJobID(), 1, jm.offerTestBinary(), 1, "serve")
	m.DataListener = true
	g.start(m)
	expect(g, (*tmv1.ConnectRequest).GetWorkerHello)
	said := expect(g, (*tmv1.ConnectRequest).GetWorkerMessage).GetMessage().GetFailed().GetFailure()
	if !strings.Contains(said.GetMessage(), "192.0.2.1:0") || !strings.Contains(said.GetMessage(), g.register.GetId()) || said.GetTimeMs() == 0 {
		t.Errorf("the worker said %v", said)
	}
	if exit := g.expectExit(); exit.GetExitCode() != 1 || exit.GetError() != said.GetMessage() {
		t.Errorf("exit: got %v", exit)
	}
}

func TestWorkerEnds(t *testing.T) {
	g, digest, _ := cluster(t)
	for i, test := range []struct {
		role   []string
		hello  bool // whether it is welcomed
		code   int32
		signal string
		// in the error, and in the end of standard error
		err, stderr string
	}{
		{role: []string{"return"}, err: "main returned without calling weir.Main; it printed nothing"},
		{
			role: []string{"usage"}, code: 2, stderr: "Usage of ./job:\n",
			err: "main exited with code 2 before it opened its session; it printed: Usage of ./job:\n  -topic string",
		},
		{
			role: []string{"panic"}, code: 2, stderr: "panic: the job's own fault",
			err: "main exited with code 2 before it opened its session; it printed: panic: the job's own fault",
		},
		{role: []string{"crash"}, hello: true, code: 2, stderr: "panic: in user code\n\ngoroutine"},
		{role: []string{"exit", "3"}, hello: true, code: 3},
		{role: []string{"exit", "0"}, hello: true},
		{
			role: []string{"kill -9 me"}, hello: true, code: -1, signal: "killed",
			err: "the worker was killed, and not by its TaskManager",
		},
		{
			role: []string{"protocol", "0"}, code: 70,
			err: "the job was built with Weir 1.2.3, whose workers speak protocol version 0; this TaskManager (Weir 9.9.9) serves versions 1 to 1: rebuild the job with",
		},
		{role: []string{"protocol", "2"}, code: 70, err: "serves versions 1 to 1: upgrade the cluster, or rebuild the job with"},
		{
			role: []string{"other"}, code: 70,
			err: `the graph that main built in the worker is not the one that was submitted: map "m" (id `,
		},
	} {
		t.Run(strings.Join(test.role, " "), func(t *testing.T) {
			g.t = t
			job := ids.NewJobID()
			g.startWorker(job, uint32(i+1), digest, 1, test.role...)
			if test.hello {
				expect(g, (*tmv1.ConnectRequest).GetWorkerHello)
			}
			exit := g.expectExit()
			if exit.GetExitCode() != test.code || exit.GetSignal() != test.signal {
				t.Errorf("got exit code %d, signal %q: want %d, %q", exit.GetExitCode(), exit.GetSignal(), test.code, test.signal)
			}
			if !strings.Contains(exit.GetError(), test.err) || (test.err == "") != (exit.GetError() == "") {
				t.Errorf("got the error %q: want %q", exit.GetError(), test.err)
			}
			if !strings.Contains(string(exit.GetStderrTail()), test.stderr) {
				t.Errorf("got the standard error %q: want %q in it", exit.GetStderrTail(), test.stderr)
			}
			if string(exit.GetJobId()) != string(job[:]) || exit.GetAttempt() != uint32(i+1) {
				t.Errorf("the exit is of job %x, attempt %d: want %s, %d", exit.GetJobId(), exit.GetAttempt(), job, i+1)
			}
		})
	}
}

// The refusal names the operator that differs, with both sides and their place.
func TestRefusalNamesTheOperator(t *testing.T) {
	g, digest, _ := cluster(t)
	g.startWorker(ids.NewJobID(), 1, digest, 1, "other")
	exit := g.expectExit()
	for _, want := range []string{`map "m"`, `map "other"`, "job/main.go:8"} {
		if !strings.Contains(exit.GetError(), want) {
			t.Errorf("the error does not name %s: %s", want, exit.GetError())
		}
	}
}

func TestKillWorker(t *testing.T) {
	g, digest, _ := cluster(t)
	job := ids.NewJobID()
	g.startWorker(job, 1, digest, 1, "spin")
	g.expectReady()
	g.killWorker(job, 1, "its tasks did not stop within 3 min")
	exit := g.expectExit()
	if want := "the worker was killed by the JobManager: its tasks did not stop within 3 min"; exit.GetError() != want {
		t.Errorf("got the error %q: want %q", exit.GetError(), want)
	}
	if exit.GetSignal() != "killed" || exit.GetExitCode() != -1 {
		t.Errorf("got exit code %d, signal %q: want -1, killed", exit.GetExitCode(), exit.GetSignal())
	}
	// A worker that main keeps from its session is killed, too.
	g.startWorker(job, 2, digest, 2, "hang")
	g.awaitOutput(func(s string) bool { return strings.HasSuffix(s, "\n") })
	g.killWorker(job, 2, "the job was cancelled")
	if exit := g.expectExit(); exit.GetSignal() != "killed" {
		t.Errorf("a hanging worker: got %v", exit)
	}
}

func TestWorkerThatDoesNotOpenItsSession(t *testing.T) {
	jm := newJobManager(t)
	config := configure(jm.address, t.TempDir())
	config.WorkerStartTimeout = 100e6
	run(t, config)
	g := jm.accept(t)
	digest := jm.offerTestBinary()
	for _, role := range []string{"hang", "silent"} {
		g.startWorker(ids.NewJobID(), 1, digest, 2, role)
		exit := g.expectExit()
		if want := "the worker did not open its session within 100ms"; !strings.Contains(exit.GetError(), want) || exit.GetSignal() != "killed" {
			t.Errorf("%s: got %v: want %q", role, exit, want)
		}
	}
}

func TestWorkerThatDoesNotExit(t *testing.T) {
	g, digest, _ := cluster(t)
	g.startWorker(ids.NewJobID(), 1, digest, 1, "linger")
	expect(g, (*tmv1.ConnectRequest).GetWorkerHello)
	if exit := g.expectExit(); !strings.Contains(exit.GetError(), "did not exit") || exit.GetSignal() != "killed" {
		t.Errorf("got %v", exit)
	}
}

// T5: all that a worker prints comes in order and before its end, and the log
// file has it, too.
func TestOutput(t *testing.T) {
	const lines = 3000
	g, digest, base := cluster(t)
	job := ids.NewJobID()
	g.startWorker(job, 1, digest, 1, "print", strconv.Itoa(lines))
	expect(g, (*tmv1.ConnectRequest).GetWorkerHello)
	exit := g.expectExit()
	var want bytes.Buffer
	for i := range lines {
		want.WriteString(numberedLine(i))
	}
	if !bytes.Equal(g.stdout, want.Bytes()) {
		t.Errorf("standard output: got %d bytes, want %d equal ones", len(g.stdout), want.Len())
	}
	upper := bytes.ToUpper(want.Bytes())
	if !bytes.Equal(g.stderr, upper) {
		t.Errorf("standard error: got %d bytes, want %d equal ones", len(g.stderr), want.Len())
	}
	if tail := upper[len(upper)-64<<10:]; !bytes.Equal(exit.GetStderrTail(), tail) {
		t.Errorf("the end of standard error has %d bytes, or others than the last 64 KiB", len(exit.GetStderrTail()))
	}
	if want := filepath.Join(base, "log", job.String()+".log"); exit.GetLogFile() != want {
		t.Errorf("log file: got %q, want %q", exit.GetLogFile(), want)
	}
	log, err := os.ReadFile(exit.GetLogFile())
	if err != nil {
		t.Fatal(err)
	}
	if head, _, _ := bytes.Cut(log, []byte("\n")); !bytes.Contains(head, []byte("attempt 1 of the job starts as process ")) {
		t.Errorf("the log begins with %q", head)
	}
	if got := bytes.Count(log, []byte(" xxx")); got != lines {
		t.Errorf("the log has %d lines of standard output: want %d", got, lines)
	}
	if got := bytes.Count(log, []byte(strings.ToUpper(" xxx"))); got != lines {
		t.Errorf("the log has %d lines of standard error: want %d", got, lines)
	}
}

// A TaskManager that starts does not keep what an earlier one should have
// removed by now.
func TestOldLogsAreRemovedAtStart(t *testing.T) {
	jm := newJobManager(t)
	base := t.TempDir()
	directory := filepath.Join(base, "log")
	if err := os.MkdirAll(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	old, recent := filepath.Join(directory, ids.NewJobID().String()+".log"), filepath.Join(directory, ids.NewJobID().String()+".log")
	for path, age := range map[string]time.Duration{old: 8 * 24 * time.Hour, recent: 6 * 24 * time.Hour} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		written := time.Now().Add(-age)
		if err := os.Chtimes(path, written, written); err != nil {
			t.Fatal(err)
		}
	}
	run(t, configure(jm.address, base))
	jm.accept(t)
	if left, err := filepath.Glob(filepath.Join(directory, "*")); err != nil || !slices.Equal(left, []string{recent}) {
		t.Errorf("%v is left, %v: want %s", left, err, recent)
	}
}

func TestOutputThatIsNoText(t *testing.T) {
	g, digest, _ := cluster(t)
	g.startWorker(ids.NewJobID(), 1, digest, 1, "babble")
	expect(g, (*tmv1.ConnectRequest).GetWorkerHello)
	g.expectExit()
	var want []byte
	for i := range 1 << 16 {
		want = append(want, byte(i), byte(i>>8), 0xff, 0)
	}
	if !bytes.Equal(g.stdout, want) {
		t.Errorf("got %d bytes, want %d equal ones", len(g.stdout), len(want))
	}
}

// T4: slots are free before the exit is reported, and nothing of a worker
// reaches the next one.
func TestSlotMemoryIsRenewed(t *testing.T) {
	g, digest, _ := cluster(t)
	want := fmt.Sprintf("slot 10: %d of %d bytes are zero\nslot 11: %d of %d bytes are zero\n", testMemory, testMemory, testMemory, testMemory)
	for i := range 3 {
		g.stdout = nil
		g.startWorker(ids.NewJobID(), 1, digest, 2, "remember")
		expect(g, (*tmv1.ConnectRequest).GetWorkerHello)
		if exit := g.expectExit(); exit.GetExitCode() != 0 {
			t.Fatalf("worker %d: got %v", i, exit)
		}
		if string(g.stdout) != want {
			t.Errorf("worker %d found %q: want %q", i, g.stdout, want)
		}
	}
}

func TestSlotsAreCounted(t *testing.T) {
	g, digest, _ := cluster(t)
	first, second := ids.NewJobID(), ids.NewJobID()
	g.startWorker(first, 1, digest, 1, "work")
	g.expectReady()
	g.startWorker(second, 1, digest, 2, "work")
	exit := g.expectExit()
	if want := "the worker needs 2 slots, but only 1 of the TaskManager's 2 are free"; exit.GetError() != want {
		t.Errorf("got %q: want %q", exit.GetError(), want)
	}
	if string(exit.GetJobId()) != string(second[:]) {
		t.Errorf("the exit is of job %x: want %s", exit.GetJobId(), second)
	}
	g.killWorker(first, 1, "to make room")
	g.expectExit()
	g.startWorker(second, 2, digest, 2, "work")
	g.expectReady()
}

// Each worker listens on a port of its own out of those that are configured and
// that no other program uses, and the next one gets it when it is gone.
func TestDataPorts(t *testing.T) {
	jm := newJobManager(t)
	base := t.TempDir()
	cacheTestBinary(t, base)
	config, ports := configure(jm.address, base), make([]string, 3)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // The first is the other program's.
		port := l.Addr().(*net.TCPAddr).AddrPort().Port()
		config.DataPorts = append(config.DataPorts, weirconfig.PortRange{First: port, Last: port})
		ports[i] = l.Addr().String()
		if i > 0 {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	config.Slots = 3
	run(t, config)
	g, digest := jm.accept(t), jm.offerTestBinary()
	start := func(job ids.JobID, attempt uint32) {
		m := startWorker(job, attempt, digest, 1, "listen")
		m.DataListener = true
		g.start(m)
	}
	first, second, third := ids.NewJobID(), ids.NewJobID(), ids.NewJobID()
	for job, want := range []string{ports[1], ports[2]} {
		start([]ids.JobID{first, second}[job], 1)
		if _, address := g.expectReady(); address != want {
			t.Errorf("worker %d listens on %s: want %s of %v", job, address, want, ports)
		}
	}
	start(third, 1)
	exit := g.expectExit()
	for _, want := range []string{"of the 3 that taskmanager.data.port has (" + config.DataPorts.String() + ")", "2 are held by workers of this TaskManager and 1 by other programs"} {
		if !strings.Contains(exit.GetError(), want) {
			t.Errorf("without a free port: %q: want %q", exit.GetError(), want)
		}
	}
	g.killWorker(first, 1, "to make room")
	g.expectExit()
	start(third, 2)
	if _, address := g.expectReady(); address != ports[1] {
		t.Errorf("the third worker listens on %s: want %s", address, ports[1])
	}
}

func TestWorkerSurroundings(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "not for jobs")
	g, digest, base := cluster(t)
	job := ids.NewJobID()
	g.startWorker(job, 3, digest, 2, "environ")
	expect(g, (*tmv1.ConnectRequest).GetWorkerHello)
	g.expectExit()
	var got surroundings
	if err := json.Unmarshal(g.stdout, &got); err != nil {
		t.Fatalf("%v in %q", err, g.stdout)
	}
	directory := filepath.Join(base, "work", "jobs", job.String()+"-3")
	want := []string{
		"GOGC=400", "GOMAXPROCS=2", "GOMEMLIMIT=134217728", "LANG=C.UTF-8", "TMPDIR=" + directory + "/tmp", "TZ=UTC",
		"WEIR_INPUT_FD=4", "WEIR_MODE=worker", "WEIR_SESSION_FD=3",
	}
	if slices.Sort(got.Environment); !slices.Equal(got.Environment, want) {
		t.Errorf("environment: got %q, want %q", got.Environment, want)
	}
	if got.Directory != directory {
		t.Errorf("directory: got %s, want %s", got.Directory, directory)
	}
	if want := []string{"./job", "environ"}; !slices.Equal(got.Arguments, want) {
		t.Errorf("arguments: got %q, want %q", got.Arguments, want)
	}
	if got.Configuration["key"] != "value" || got.Stdin != "" {
		t.Errorf("configuration %v, standard input %q", got.Configuration, got.Stdin)
	}
}

// A process that left the worker's group keeps its output open. The worker's end
// is reported all the same, with what was printed.
func TestOrphanHoldsOutput(t *testing.T) {
	g, digest, _ := cluster(t)
	g.startWorker(ids.NewJobID(), 1, digest, 1, "leave")
	expect(g, (*tmv1.ConnectRequest).GetWorkerHello)
	exit := g.expectExit()
	pid, found := strings.CutPrefix(string(g.stdout), "pid ")
	if !found {
		t.Fatalf("printed %q, ended with %v", g.stdout, exit)
	}
	orphan, err := os.FindProcess(mustAtoi(strings.TrimSpace(pid)))
	if err != nil {
		t.Fatal(err)
	}
	if err := orphan.Kill(); err != nil {
		t.Errorf("the orphan is gone: %v", err)
	}
	if exit.GetExitCode() != 0 {
		t.Errorf("got %v", exit)
	}
}
