package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/weirstream/weir/bench/internal/report"
	"github.com/weirstream/weir/bench/internal/workload"
)

// processes is the number of processes, and of splits.
const processes = 2

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "limit: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	var p workload.Params
	flags := flag.NewFlagSet("limit", flag.ExitOnError)
	p.Flags(flags)
	id := flags.Int("id", -1, "which of the two `process`es this is; without it, start both")
	_ = flags.Parse(args) // It exits on an error.
	if err := p.Check(); err != nil {
		return err
	}
	if *id >= 0 {
		return child(*id, p, stdout)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	line, err := parent(ctx, p)
	if err != nil {
		return err
	}
	return report.Print(stdout, line)
}

// childLine is what a process prints.
type childLine struct {
	workload.Result
	Received int64 `json:"received"`
}

// parent runs both processes and puts together what they found.
func parent(ctx context.Context, p workload.Params) (report.LimitLine, error) {
	executable, err := os.Executable()
	if err != nil {
		return report.LimitLine{}, err
	}
	start := time.Now()
	files, err := connections()
	if err != nil {
		return report.LimitLine{}, fmt.Errorf("connect the processes: %w", err)
	}
	var running [processes]*process
	for i := range running {
		if running[i], err = startProcess(ctx, executable, i, p, files[i][:]); err != nil {
			return report.LimitLine{}, err
		}
	}
	var all childLine
	for _, each := range running {
		found, endErr := each.end()
		err = errors.Join(err, endErr)
		all.Add(found.Result)
		all.Received += found.Received
	}
	if err != nil {
		return report.LimitLine{}, err
	}
	seconds := time.Since(start).Seconds()
	events := processes * p.Events
	return report.LimitLine{
		Figure: report.Figure{
			Bench: "keyed-window", System: report.Limit, Keys: p.Keys,
			Events: events, TCPRecords: &all.Received, EventsPerSecond: report.Rate(events, seconds),
		},
		Seconds: seconds, Result: all.Result,
	}, nil
}

// process is one of the two.
type process struct {
	command *exec.Cmd
	stdout  io.Reader
}

func startProcess(ctx context.Context, executable string, id int, p workload.Params, files []*os.File) (*process, error) {
	command := exec.CommandContext(ctx, executable, append([]string{"-id", strconv.Itoa(id)}, p.Arguments()...)...)
	command.Stderr = os.Stderr
	command.ExtraFiles = files
	stdout, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	for _, f := range files {
		_ = f.Close() // The process has its own.
	}
	if err != nil {
		return nil, fmt.Errorf("start process %d: %w", id, err)
	}
	return &process{command: command, stdout: stdout}, nil
}

func (p *process) end() (found childLine, err error) {
	decodeErr := json.NewDecoder(p.stdout).Decode(&found)
	if err := p.command.Wait(); err != nil {
		return found, fmt.Errorf("a process failed: %w", err)
	}
	if decodeErr != nil {
		return found, fmt.Errorf("what a process printed: %w", decodeErr)
	}
	return found, nil
}

// connections makes a TCP connection from each process to the other, and returns
// for each process the files that it inherits: where it sends and where it
// receives.
func connections() (files [processes][2]*os.File, err error) {
	for from := range processes {
		to := 1 - from
		files[from][0], files[to][1], err = connection()
		if err != nil {
			return files, err
		}
	}
	return files, nil
}

// connection makes a TCP connection on loopback.
func connection() (dialed, accepted *os.File, err error) {
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, nil, err
	}
	defer listener.Close()
	one, err := net.DialTCP("tcp", nil, listener.Addr().(*net.TCPAddr))
	if err != nil {
		return nil, nil, err
	}
	defer one.Close()
	other, err := listener.AcceptTCP()
	if err != nil {
		return nil, nil, err
	}
	defer other.Close()
	if dialed, err = one.File(); err != nil {
		return nil, nil, err
	}
	accepted, err = other.File()
	return dialed, accepted, err
}
