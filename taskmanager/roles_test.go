package taskmanager_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/launch"
	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
	"github.com/weirstream/weir/worker"
)

// dataflowGraph is the graph of a job with one map of the given name. It has no
// code that could run.
func dataflowGraph(name string) *dataflow.Graph {
	g := dataflow.NewGraph("a test's job")
	source := g.Add(&dataflow.Node{Kind: "source", Name: "numbers", OutputType: "int", Position: "job/main.go:7", Source: true, Bounded: true})
	mapped := g.Add(&dataflow.Node{
		Kind: "map", Name: name, OutputType: "int", Position: "job/main.go:8",
		Inputs: []*dataflow.Input{{From: source, Partitioning: dataflow.Forward, RecordType: "int"}},
	})
	g.Add(&dataflow.Node{
		Kind: "sink", Name: "nowhere", Position: "job/main.go:9",
		Inputs: []*dataflow.Input{{From: mapped, Partitioning: dataflow.Rebalance, RecordType: "int"}},
	})
	return g
}

// graph returns its plan.
func graph(name string) *planv1.Plan { return dataflow.ToProto(dataflowGraph(name).Layout().Plan) }

// jobRoles are the ways in which the test binary behaves when it is started as
// a job: the first argument names one. They return the exit code.
var jobRoles = map[string]func(arguments []string) int{
	// In plan mode.
	"plan":       func(a []string) int { return writePlan(graph(a[0])) },
	"plan, exit": func(a []string) int { return writePlan(graph("m")) + mustAtoi(a[0]) },
	"mistakes":   func([]string) int { return writePlan(mistaken()) + 1 },
	"garbage":    func([]string) int { return writeAsPlan([]byte("this is not a plan")) },
	"no vertices": func([]string) int {
		return writePlan(&planv1.Plan{FormatVersion: dataflow.PlanFormat, JobName: "empty"})
	},
	"huge":   func([]string) int { return writeHugePlan() },
	"report": func([]string) int { return writePlan(reportSurroundings()) },
	// In both modes.
	"return": func([]string) int { return 0 },
	"usage": func([]string) int {
		fmt.Fprintln(os.Stdout, "job, version 1")
		fmt.Fprintf(os.Stderr, "Usage of %s:\n  -topic string\n", os.Args[0])
		return 2
	},
	"panic": func([]string) int { panic("the job's own fault") },
	"hang":  func([]string) int { fmt.Fprintln(os.Stdout, "pid", os.Getpid()); select {} },
	// In worker mode.
	"work":     func([]string) int { return work(graph("m"), launch.Protocol, obey) },
	"protocol": func(a []string) int { return work(graph("m"), uint32(mustAtoi(a[0])), obey) },
	"other":    func([]string) int { return work(graph("other"), launch.Protocol, obey) },
	"silent":   func([]string) int { return work(nil, launch.Protocol, obey) },
	"listen":   func([]string) int { return work(graph("m"), launch.Protocol, listen) },
	"spin":     func([]string) int { return work(graph("m"), launch.Protocol, spin) },
	"exit": func(a []string) int {
		return work(graph("m"), launch.Protocol, func(playedWorker) int { return mustAtoi(a[0]) })
	},
	"crash": func([]string) int {
		return work(graph("m"), launch.Protocol, func(playedWorker) int { panic("in user code") })
	},
	"linger":     func([]string) int { return work(graph("m"), launch.Protocol, linger) },
	"print":      func(a []string) int { return work(graph("m"), launch.Protocol, printing(mustAtoi(a[0]))) },
	"remember":   func(a []string) int { return work(graph("m"), launch.Protocol, remember) },
	"babble":     func([]string) int { return work(graph("m"), launch.Protocol, babble) },
	"leave":      func([]string) int { return work(graph("m"), launch.Protocol, leaveOrphan) },
	"family":     func([]string) int { return work(graph("m"), launch.Protocol, startFamily) },
	"orphan":     func([]string) int { select {} },
	"environ":    func([]string) int { return work(graph("m"), launch.Protocol, printSurroundings) },
	"serve":      func([]string) int { return serveSession() },
	"kill -9 me": func([]string) int { return work(graph("m"), launch.Protocol, killMyself) },
}

func playJob(arguments []string) int {
	if len(arguments) == 0 {
		fmt.Fprintln(os.Stderr, "a job without a role")
		return 99
	}
	role, ok := jobRoles[arguments[0]]
	if !ok {
		fmt.Fprintf(os.Stderr, "no such role: %q\n", arguments[0])
		return 99
	}
	return role(arguments[1:])
}

func mustAtoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

func inherited(variable string) *os.File {
	return os.NewFile(uintptr(mustAtoi(os.Getenv(variable))), variable)
}

func writeAsPlan(data []byte) int {
	if _, err := inherited(launch.PlanFile).Write(data); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 98
	}
	return 0
}

func writeHugePlan() int {
	writeAsPlan(make([]byte, launch.MaxPlanSize+1))
	select {}
}

func writePlan(p *planv1.Plan) int {
	encoded, err := proto.Marshal(p)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stdout, "planned")
	return writeAsPlan(encoded)
}

func mistaken() *planv1.Plan {
	p := graph("m")
	p.Mistakes = []string{"job/main.go:8: nothing is right"}
	return p
}

// surroundings are what a job's process finds.
type surroundings struct {
	Environment   []string
	Directory     string
	Arguments     []string
	Recorded      map[string][]byte
	Configuration map[string]string
	Stdin         string
}

func findSurroundings() surroundings {
	directory, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	encoded, err := io.ReadAll(inherited(launch.InputFile))
	if err != nil {
		panic(err)
	}
	input := &planv1.BuildInput{}
	if err := proto.Unmarshal(encoded, input); err != nil {
		panic(err)
	}
	stdin, err := io.ReadAll(os.Stdin)
	if err != nil {
		panic(err)
	}
	return surroundings{os.Environ(), directory, os.Args, input.GetRecorded(), input.GetConfiguration(), string(stdin)}
}

// reportSurroundings returns a plan whose job name tells what is around.
func reportSurroundings() *planv1.Plan {
	text, err := json.Marshal(findSurroundings())
	if err != nil {
		panic(err)
	}
	p := graph("m")
	p.JobName = string(text)
	return p
}

// playedWorker is a worker whose session is open.
type playedWorker struct {
	stream  grpc.BidiStreamingClient[workerv1.SessionRequest, workerv1.SessionResponse]
	welcome *workerv1.Welcome
}

// work opens the session with the plan, or none at all, and does what it is
// given to do. It returns 70 if it was refused.
func work(plan *planv1.Plan, protocol uint32, do func(playedWorker) int) int {
	conn, err := net.FileConn(inherited(launch.SessionFile))
	if err != nil {
		panic(err)
	}
	if plan == nil {
		select {} // The socket is open, but nothing is said.
	}
	client, err := grpc.NewClient("passthrough:///session", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return conn, nil }))
	if err != nil {
		panic(err)
	}
	stream, err := workerv1.NewWorkerSupervisorClient(client).Session(context.Background())
	if err != nil {
		panic(err)
	}
	w := playedWorker{stream: stream}
	w.say(&workerv1.SessionRequest{Message: &workerv1.SessionRequest_Hello{Hello: &workerv1.Hello{
		ProtocolVersion: protocol, EngineVersion: "1.2.3", Plan: plan, Pid: int64(os.Getpid()),
	}}})
	answer, err := stream.Recv()
	if err != nil {
		panic(err)
	}
	if answer.GetRefused() != nil {
		return 70
	}
	w.welcome = answer.GetWelcome()
	return do(w)
}

// serveSession is what a job built with Weir does.
func serveSession() int {
	conn, err := net.FileConn(inherited(launch.SessionFile))
	if err != nil {
		panic(err)
	}
	if err := worker.Serve(context.Background(), conn, worker.Config{Graph: dataflowGraph("m"), EngineVersion: "1.2.3"}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (w playedWorker) say(m *workerv1.SessionRequest) {
	if err := w.stream.Send(m); err != nil {
		panic(err)
	}
}

// end ends the session, after everything that was said has arrived.
func (w playedWorker) end() int {
	if err := w.stream.CloseSend(); err != nil {
		panic(err)
	}
	for {
		_, err := w.stream.Recv()
		if errors.Is(err, io.EOF) {
			return 0
		}
		if err != nil {
			panic(err)
		}
	}
}

// obey answers commands until it is told to shut down.
func obey(w playedWorker) int {
	w.say(ready(fmt.Sprintf("%s slots %d", w.welcome.GetTaskManager(), len(w.welcome.GetSlots()))))
	for {
		m, err := w.stream.Recv()
		if err != nil {
			fmt.Fprintln(os.Stderr, "the session broke:", err)
			return 71
		}
		switch {
		case m.GetCancelTasks() != nil:
			w.say(state(workerv1.TaskState_TASK_STATE_CANCELED))
		case m.GetShutdown() != nil:
			w.say(state(workerv1.TaskState_TASK_STATE_FINISHED))
			w.say(&workerv1.SessionRequest{Message: &workerv1.SessionRequest_Stopped{Stopped: &workerv1.Stopped{}}})
			return w.end()
		}
	}
}

func ready(address string) *workerv1.SessionRequest {
	return &workerv1.SessionRequest{Message: &workerv1.SessionRequest_Ready{Ready: &workerv1.Ready{DataAddress: address}}}
}

func state(s workerv1.TaskState) *workerv1.SessionRequest {
	return &workerv1.SessionRequest{Message: &workerv1.SessionRequest_TaskState{TaskState: &workerv1.TaskStateChanged{State: s}}}
}

// listen listens where it is told to, and says where that is.
func listen(w playedWorker) int {
	l, err := net.Listen("tcp", w.welcome.GetDataBindAddress())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 73
	}
	defer l.Close()
	w.say(ready(l.Addr().String()))
	select {}
}

// spin never comes back from user code, and does not look at its session.
func spin(w playedWorker) int {
	w.say(ready(""))
	for {
		runtime.Gosched()
	}
}

// linger ends its session, but does not exit.
func linger(w playedWorker) int {
	w.end()
	select {}
}

// printing prints n numbered lines of a kilobyte on both streams, then exits.
func printing(n int) func(playedWorker) int {
	return func(playedWorker) int {
		for i := range n {
			line := []byte(numberedLine(i))
			if _, err := os.Stdout.Write(line); err != nil {
				return 72
			}
			if _, err := os.Stderr.Write(bytes.ToUpper(line)); err != nil {
				return 72
			}
		}
		return 0
	}
}

func numberedLine(i int) string {
	return fmt.Sprintf("%07d %s\n", i, strings.Repeat("x", 1015))
}

// remember writes into its slots' memory and says what it found there.
func remember(w playedWorker) int {
	found := ""
	for _, slot := range w.welcome.GetSlots() {
		memory, err := syscall.Mmap(int(slot.GetMemoryFd()), 0, int(slot.GetMemorySize()), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
		if err != nil {
			panic(err)
		}
		found += fmt.Sprintf("slot %d: %d of %d bytes are zero\n", slot.GetIndex(), bytes.Count(memory, []byte{0}), len(memory))
		copy(memory, bytes.Repeat([]byte("secret"), len(memory)/6))
		if err := syscall.Ftruncate(int(slot.GetMemoryFd()), int64(len(memory))*2); err == nil {
			found += "the share can be enlarged\n"
		}
	}
	fmt.Fprint(os.Stdout, found)
	return w.end()
}

// babble prints bytes that are no text, and no line.
func babble(playedWorker) int {
	for i := range 1 << 16 {
		if _, err := os.Stdout.Write([]byte{byte(i), byte(i >> 8), 0xff, 0}); err != nil {
			return 72
		}
	}
	return 0
}

// leaveOrphan leaves a process behind that is out of reach, and has the job's
// standard output.
func leaveOrphan(playedWorker) int {
	startProcess(&syscall.SysProcAttr{Setsid: true})
	return 0
}

// startFamily goes on, and so does the process that it has started.
func startFamily(playedWorker) int {
	startProcess(nil)
	select {}
}

// startProcess starts a process that does not end, and prints its id.
func startProcess(attributes *syscall.SysProcAttr) {
	executable, err := os.Executable()
	if err != nil {
		panic(err)
	}
	child := exec.Command(executable, "orphan")
	if runtime.GOOS == "linux" {
		child.Path = "/proc/self/exe" // The other path leads nowhere: see T3.
	}
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.SysProcAttr = attributes
	if err := child.Start(); err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stdout, "pid", child.Process.Pid)
}

func printSurroundings(w playedWorker) int {
	text, err := json.Marshal(findSurroundings())
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stdout, string(text))
	return w.end()
}

func killMyself(playedWorker) int {
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		panic(err)
	}
	select {}
}
