package jobmanager

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/ids"
	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
)

// planTimeouts bound the planning of a job.
type planTimeouts struct {
	// register is how long it waits for a TaskManager.
	register time.Duration
	// main is how long main may take to build the graph, once.
	main time.Duration
	// answer is how long a TaskManager may take beyond that: to fetch the
	// executable, and until its turn comes.
	answer time.Duration
}

// maxLost is how many TaskManagers may be lost over the planning of one job:
// it may be the job that does it.
const maxLost = 2

// planning is one run of a job's main in plan mode.
type planning struct {
	id      string
	session *session
	// One of the two gets one value.
	done chan *tmv1.PlanDone
	lost chan string
}

// planned is the result of planning: the message, and what it says.
type planned struct {
	message *planv1.Plan
	plan    *dataflow.Plan
}

// planner has a job planned.
type planner struct {
	core     *core
	stream   submitStream
	job      *job
	platform string
	settings *config.Config
	timeouts planTimeouts
	warned   bool
}

// run has main build the graph twice, the second time on another TaskManager if
// there is one, and with the values that weir.Once recorded the first time. A
// graph that is not the same depends on something that it must not depend on.
// The error is a status for the user.
func (p *planner) run(ctx context.Context) (*planned, error) {
	first, where, err := p.once(ctx, 1, nil, "")
	if err != nil {
		return nil, err
	}
	plan, err := p.result(first, where, "")
	if err != nil {
		return nil, err
	}
	if len(plan.Mistakes) > 0 {
		return nil, invalid(mistakesError(p.job.fileName, plan.Mistakes))
	}
	second, again, err := p.once(ctx, 2, first.GetPlan().GetRecorded(), where)
	if err != nil {
		return nil, err
	}
	other, err := p.result(second, again, " when main was run a second time")
	if err != nil {
		return nil, err
	}
	if err := compare(plan, other); err != nil {
		return nil, invalid(err)
	}
	return &planned{message: first.GetPlan(), plan: plan}, nil
}

func mistakesError(fileName string, mistakes []string) error {
	const most = 200
	shown := mistakes[:min(most, len(mistakes))]
	text := fmt.Sprintf("%s cannot be run: its job has %s:", fileName, plural(len(mistakes), "mistake")) + dataflow.MistakeLines(shown)
	if more := len(mistakes) - len(shown); more > 0 {
		text += fmt.Sprintf("\n  and %d more", more)
	}
	return errors.New(text)
}

// compare returns an error if two runs of main have built different graphs.
func compare(first, second *dataflow.Plan) error {
	if len(second.Mistakes) > 0 {
		return fmt.Errorf("the job depends on where and when its main runs: the first run built a graph without mistakes, the second one not: %s",
			strings.Join(second.Mistakes, "; "))
	}
	if first.Fingerprint == second.Fingerprint {
		return nil
	}
	difference := first.Difference(second)
	if difference == "" {
		difference = "the fingerprints are not equal"
	}
	return fmt.Errorf("the job depends on where and when its main runs: two runs built different graphs: %s. "+
		"A graph must not depend on time, randomness, environment or working directory; weir.Once evaluates such a value once and for all", difference)
}

// result returns the plan of a run. What main printed goes to the client.
func (p *planner) result(m *tmv1.PlanDone, where ids.TaskManagerID, when string) (*dataflow.Plan, error) {
	failed := m.GetError() != "" || m.GetPlan() == nil
	// The second run repeats what the first one printed.
	if when == "" || failed {
		if err := p.print(m); err != nil {
			return nil, err
		}
	}
	if failed {
		why := text(m.GetError())
		if why == "" {
			why = "main wrote no plan"
		}
		if code := fmt.Sprintf("code %d", m.GetExitCode()); m.GetExitCode() > 0 && !strings.Contains(why, code) {
			why += fmt.Sprintf(" (main exited with %s)", code)
		}
		return nil, status.Errorf(codes.InvalidArgument, "%s could not be planned on TaskManager %s%s: %s", p.job.fileName, where, when, why)
	}
	plan, err := dataflow.FromProto(m.GetPlan())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "%s could not be planned on TaskManager %s%s: what main wrote cannot be used: %v", p.job.fileName, where, when, err)
	}
	return plan, nil
}

func (p *planner) print(m *tmv1.PlanDone) error {
	for _, output := range []struct {
		standardError bool
		data          []byte
	}{{false, m.GetStdout()}, {true, m.GetStderr()}} {
		if len(output.data) == 0 {
			continue
		}
		err := p.stream.Send(&clientv1.SubmitJobResponse{Message: &clientv1.SubmitJobResponse_PlanOutput_{
			PlanOutput: &clientv1.SubmitJobResponse_PlanOutput{StandardError: output.standardError, Data: output.data},
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// once has main run once, on another TaskManager than avoid if possible, and
// says where. It begins anew when a TaskManager is lost meanwhile.
func (p *planner) once(ctx context.Context, run uint32, recorded map[string][]byte, avoid ids.TaskManagerID) (*tmv1.PlanDone, ids.TaskManagerID, error) {
	settings, _ := p.settings.JobSettings()
	m := &tmv1.RunPlan{
		JobId: p.job.id[:], Sha256: p.job.digest[:], Arguments: p.job.arguments, Run: run, FileName: p.job.fileName,
		TimeoutMs: uint64(p.timeouts.main.Milliseconds()), Recorded: recorded, Configuration: settings,
	}
	for lost := 0; ; lost++ {
		planning, err := p.start(ctx, m, avoid)
		if err != nil {
			return nil, "", err
		}
		where := planning.session.info.ID
		timer := time.NewTimer(p.timeouts.main + p.timeouts.answer)
		select {
		case result := <-planning.done:
			timer.Stop()
			return result, where, nil
		case why := <-planning.lost:
			timer.Stop()
			if lost == maxLost {
				return nil, "", status.Error(codes.InvalidArgument, why)
			}
		case <-timer.C:
			p.core.stopPlan(planning)
			return nil, "", status.Errorf(codes.DeadlineExceeded, "TaskManager %s did not say within %s what came of planning the job",
				where, p.timeouts.main+p.timeouts.answer)
		case <-ctx.Done():
			timer.Stop()
			p.core.stopPlan(planning)
			return nil, "", context.Cause(ctx)
		}
	}
}

// start waits for a TaskManager that can run the executable, and starts a
// planning there.
func (p *planner) start(ctx context.Context, m *tmv1.RunPlan, avoid ids.TaskManagerID) (*planning, error) {
	timer := time.NewTimer(p.timeouts.register)
	defer timer.Stop()
	for {
		planning, registered, err := p.core.startPlan(m, p.platform, p.job.fileName, avoid)
		if planning != nil || err != nil {
			return planning, err
		}
		if !p.warned {
			p.warned = true
			if err := warn(p.stream, []string{fmt.Sprintf("no TaskManager is registered: the job waits up to %s (slot.request.timeout) for one to plan it", p.timeouts.register)}); err != nil {
				return nil, err
			}
		}
		select {
		case <-registered:
		case <-timer.C:
			return nil, status.Errorf(codes.FailedPrecondition, "no TaskManager has registered within slot.request.timeout (%s) that could plan the job", p.timeouts.register)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// startPlan starts a planning on the TaskManager that has fewest of them, on
// another one than avoid if possible. Without any TaskManager there is no
// planning, and registered is closed when one comes.
func (c *core) startPlan(m *tmv1.RunPlan, platform, fileName string, avoid ids.TaskManagerID) (p *planning, registered <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := (executable{platform: platform}).checkPlatform(fileName, c.platformsLocked()); err != nil {
		return nil, nil, invalid(err)
	}
	busy := map[*session]int{}
	for _, p := range c.mu.plannings {
		busy[p.session]++
	}
	var best *session
	for _, s := range sortedBy(c.mu.sessions, func(s *session) ids.TaskManagerID { return s.info.ID }) {
		if platform != "" && s.info.Platform != platform {
			continue
		}
		if best == nil || best.info.ID == avoid || s.info.ID != avoid && busy[s] < busy[best] {
			best = s
		}
	}
	if best == nil {
		return nil, c.mu.registered, nil
	}
	p = &planning{id: ids.NewSessionID().String(), session: best, done: make(chan *tmv1.PlanDone, 1), lost: make(chan string, 1)}
	c.mu.plannings[p.id] = p
	command := &tmv1.RunPlan{
		PlanId: p.id, JobId: m.GetJobId(), Sha256: m.GetSha256(), Arguments: m.GetArguments(), Run: m.GetRun(),
		TimeoutMs: m.GetTimeoutMs(), Recorded: m.GetRecorded(), Configuration: m.GetConfiguration(), FileName: m.GetFileName(),
	}
	c.send(best.id, &tmv1.ConnectResponse{Message: &tmv1.ConnectResponse_RunPlan{RunPlan: command}})
	return p, nil, nil
}

// stopPlan ends a planning that nobody waits for any more.
func (c *core) stopPlan(p *planning) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.plannings[p.id] != nil {
		delete(c.mu.plannings, p.id)
		c.send(p.session.id, &tmv1.ConnectResponse{Message: &tmv1.ConnectResponse_StopPlan{StopPlan: &tmv1.StopPlan{PlanId: p.id}}})
	}
}

// planDone takes in the result of a planning. The caller holds the lock.
func (c *core) planDone(s *session, m *tmv1.PlanDone) {
	p := c.mu.plannings[m.GetPlanId()]
	if p == nil || p.session != s {
		c.log.Info("message dropped", "message", "PlanDone", "task_manager", s.info.ID, "reason", "nobody waits for this planning")
		return
	}
	delete(c.mu.plannings, p.id)
	p.done <- m
}
