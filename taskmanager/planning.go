package taskmanager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/launch"
	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
)

func (l *Processes) plan(ctx context.Context, r planRequest) planResult {
	result := planResult{exitCode: -1}
	select {
	case l.plans <- struct{}{}:
		defer func() { <-l.plans }()
	case <-ctx.Done():
		result.err = context.Cause(ctx).Error()
		return result
	}
	program, err := l.cache.acquire(ctx, r.digest, r.fetch)
	if err != nil {
		result.err = orCause(ctx, err).Error()
		return result
	}
	defer l.cache.release(r.digest)
	p := &planning{request: r, program: program, stdout: newTail(), stderr: newTail()}
	p.directory, err = os.MkdirTemp(filepath.Join(l.WorkingDirectory, "plans"), "plan-*")
	if err != nil {
		result.err = fmt.Errorf("working directory of a planning: %w", err).Error()
		return result
	}
	defer func() {
		if err := os.RemoveAll(p.directory); err != nil {
			l.options.logger.Warn("could not remove the working directory of a planning", "directory", p.directory, "error", err)
		}
	}()
	result.plan, err = p.run(ctx, l.spawn)
	if err != nil {
		result.err = err.Error()
	}
	result.stdout, result.stderr, result.exitCode = p.stdout.content(), p.stderr.content(), p.exitCode
	return result
}

// orCause returns why ctx is done, if it is, since err only follows from that.
func orCause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return err
}

// planning is one run of an executable in plan mode.
type planning struct {
	request        planRequest
	program        *executable
	directory      string
	stdout, stderr *tail
	// encoded is what was written as the plan, cut above the limit.
	encoded  []byte
	exitCode int
}

var (
	errPlanTooLarge = fmt.Errorf("the plan is larger than %d bytes", launch.MaxPlanSize)
	errPlanTimeout  = errors.New("planning timed out")
)

// run starts the executable, waits for it and reads its plan. The errors are
// written for the user.
func (p *planning) run(ctx context.Context, spawn *spawner) (*planv1.Plan, error) {
	p.exitCode = -1
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c, err := p.start(spawn, cancel)
	if err != nil {
		return nil, err
	}
	if p.request.timeout > 0 {
		timer := time.AfterFunc(p.request.timeout, func() { cancel(errPlanTimeout) })
		defer timer.Stop()
	}
	stop := context.AfterFunc(ctx, c.kill)
	state := c.wait()
	stop()
	p.exitCode = state.ExitCode()
	switch why := context.Cause(ctx); {
	case errors.Is(why, errPlanTimeout):
		return nil, fmt.Errorf("main did not build the graph within %v; it %s. In plan mode main must only build the graph",
			p.request.timeout, p.printed())
	case why != nil:
		return nil, why
	}
	return p.result(signalOf(state))
}

func (p *planning) start(spawn *spawner, cancel context.CancelCauseFunc) (*child, error) {
	if err := os.Mkdir(filepath.Join(p.directory, "tmp"), 0o700); err != nil {
		return nil, fmt.Errorf("working directory of a planning: %w", err)
	}
	planRead, planWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("create a pipe for the plan: %w", err)
	}
	defer planWrite.Close()
	input, err := buildInput(p.request.recorded, p.request.configuration)
	if err != nil {
		planRead.Close()
		return nil, err
	}
	defer input.Close()
	run := strconv.Itoa(max(p.request.run, 1))
	c, err := startChild(spawn, childSpec{
		program: p.program, arguments: p.request.argv(), directory: p.directory,
		files: []*os.File{planWrite, input},
		env: append(environment(p.directory),
			launch.Mode+"="+launch.PlanMode,
			launch.PlanFile+"="+strconv.Itoa(firstFD),
			launch.PlanRun+"="+run,
			// It differs between two runs, because it does between workers.
			"GOMAXPROCS="+run,
		),
		output: func(standardError bool, data []byte) {
			if standardError {
				p.stderr.write(data)
			} else {
				p.stdout.write(data)
			}
		},
	})
	if err != nil {
		planRead.Close()
		return nil, err
	}
	c.read(planRead, 256<<10, func(data []byte) {
		if len(p.encoded)+len(data) > launch.MaxPlanSize {
			cancel(errPlanTooLarge)
			return
		}
		p.encoded = append(p.encoded, data...)
	})
	return c, nil
}

// result says what has come of a process that ended by itself.
func (p *planning) result(signal string) (*planv1.Plan, error) {
	how := fmt.Sprintf("exited with code %d", p.exitCode)
	if signal != "" {
		how = "was ended by signal: " + signal
	}
	ended := p.exitCode != 0
	switch {
	case len(p.encoded) == 0 && ended:
		return nil, fmt.Errorf("main %s before it built a graph; it %s", how, p.printed())
	case len(p.encoded) == 0:
		return nil, fmt.Errorf("main returned without calling weir.Main; it %s", p.printed())
	}
	plan, err := decodePlan(p.encoded)
	if err != nil {
		return nil, fmt.Errorf("the plan is not readable: %w", err)
	}
	if ended && len(plan.GetMistakes()) == 0 {
		return nil, fmt.Errorf("main %s after it built the graph; it %s", how, p.printed())
	}
	return plan, nil
}

// decodePlan reads a plan and checks everything about it that does not need the
// cluster's knowledge.
func decodePlan(encoded []byte) (*planv1.Plan, error) {
	plan := &planv1.Plan{}
	if err := proto.Unmarshal(encoded, plan); err != nil {
		return nil, fmt.Errorf("%d bytes that are no plan: %w", len(encoded), err)
	}
	if _, err := dataflow.FromProto(plan); err != nil {
		return nil, err
	}
	return plan, nil
}

// printed quotes the last lines that main printed, of standard error if there
// are any.
func (p *planning) printed() string { return printed(p.stderr.content(), p.stdout.content()) }

// printed quotes what matters of the first stream that has any text.
func printed(streams ...[]byte) string {
	for _, s := range streams {
		if text := excerpt(string(s)); text != "" {
			return "printed: " + text
		}
	}
	return "printed nothing"
}

// excerpt returns at most 20 lines and 2000 bytes of a text, as valid UTF-8: of
// a Go program that crashed the beginning of what the runtime says, otherwise
// the end.
func excerpt(text string) string {
	const maxLines, maxBytes = 20, 2000
	text = strings.TrimSpace(text)
	if at := crash(text); at >= 0 {
		text = text[at:]
		text = text[:min(len(text), maxBytes)]
		lines := strings.Split(text, "\n")
		text = strings.Join(lines[:min(len(lines), maxLines)], "\n")
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	if len(text) > maxBytes {
		text = text[len(text)-maxBytes:]
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			text = text[i+1:]
		}
	}
	lines := strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-maxLines):]
	return strings.ToValidUTF8(strings.Join(lines, "\n"), "\uFFFD")
}

// crash returns where the last message of a crashing Go runtime begins, or -1.
func crash(text string) int {
	at := -1
	for _, word := range []string{"panic: ", "fatal error: ", "runtime: "} {
		i := strings.LastIndex(text, "\n"+word)
		switch {
		case i >= 0:
			at = max(at, i+1)
		case strings.HasPrefix(text, word):
			at = max(at, 0)
		}
	}
	return at
}
