package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"runtime"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/memory"
	"github.com/weirstream/weir/jobmanager"
	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
	"github.com/weirstream/weir/taskmanager"
	"github.com/weirstream/weir/worker"
)

// Job is what to run.
type Job struct {
	// Graph is what the program built.
	Graph *dataflow.Graph
	// FileName is the program's name, for messages.
	FileName  string
	Arguments []string
	// Settings by configuration key; those of the graph win over them.
	Settings map[string]string
	// EngineVersion is the version of the engine in this program.
	EngineVersion string
	// Log gets what the daemons log.
	Log *slog.Logger
	// Warn is told what the user should know. It may be nil.
	Warn func(string)
}

// JobError says why a job failed.
type JobError struct {
	Job string
	// Task is the task that failed first, if it was one.
	Task    string
	Message string
	// Stack is the stack of a panic in user code.
	Stack string
}

// Error says everything that is known, with the stack on lines of its own.
func (e *JobError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "job %q failed", e.Job)
	if e.Task != "" {
		fmt.Fprintf(&b, " in task %s", e.Task)
	}
	fmt.Fprintf(&b, ": %s", e.Message)
	if e.Stack != "" {
		fmt.Fprintf(&b, "\n%s", e.Stack)
	}
	return b.String()
}

// Run runs a job until it has ended. When ctx is done it cancels the job and
// returns the context's cause.
func Run(ctx context.Context, job Job) error {
	layout := job.Graph.Layout()
	if m := layout.Plan.Mistakes; len(m) > 0 {
		return fmt.Errorf("the job %q is built wrongly:%s", layout.Plan.JobName, dataflow.MistakeLines(m))
	}
	c, err := settings(layout.Plan, job)
	if err != nil {
		return err
	}
	cluster, err := start(job, c)
	if err != nil {
		return err
	}
	err = cluster.run(ctx, layout.Plan, job)
	return errors.Join(err, cluster.close())
}

// sized is the configuration of a cluster that is just large enough for a job.
type sized struct {
	config  *config.Config
	slots   int
	network memory.Size // of each slot
	segment memory.Size
}

// settings decides the default parallelism, which is the number of CPUs unless
// somebody says otherwise, and from that how many slots and buffers there are.
func settings(plan *dataflow.Plan, job Job) (sized, error) {
	values := maps.Clone(job.Settings)
	if values == nil {
		values = map[string]string{}
	}
	if _, ok := values[config.DefaultParallelism.Key()]; !ok {
		values[config.DefaultParallelism.Key()] = strconv.Itoa(runtime.NumCPU())
	}
	c, warnings, err := config.FromMap("the program", values)
	if err != nil {
		return sized{}, err
	}
	for _, w := range warnings {
		job.warn(w.String())
	}
	effective, _, err := c.With("the job's code", plan.Settings)
	if err != nil {
		return sized{}, err
	}
	graph, err := plan.Resolve(config.DefaultParallelism.Get(effective))
	if err != nil {
		return sized{}, err
	}
	s := sized{config: c, slots: max(1, graph.Slots())}
	return s, s.divide(graph)
}

// divide gives each slot as much network memory as the job can use, unless the
// configuration says how much there is.
func (s *sized) divide(graph *dataflow.JobGraph) error {
	network := config.NetworkSettings(s.config)
	s.segment = network.SegmentSize
	if s.configured() {
		in := config.TaskManagerMemory(s.config)
		in.Slots = s.slots
		divided, err := memory.Divide(in)
		if err != nil {
			return fmt.Errorf("memory: %w", err)
		}
		s.network = divided.Slot().Network
		return nil
	}
	job, buffers := graph.Network(), 1
	for slot := range s.slots {
		buffers = max(buffers, job.Demand(slot, network).Max())
	}
	s.network = memory.Size(buffers) * s.segment
	return nil
}

func (s *sized) configured() bool {
	return config.NetworkMin.IsSet(s.config) || config.NetworkMax.IsSet(s.config) || config.NetworkFraction.IsSet(s.config)
}

func (j *Job) warn(text string) {
	if j.Warn != nil {
		j.Warn(text)
	}
}

// cluster is a JobManager and a TaskManager in this process.
type cluster struct {
	jobs   *jobmanager.JobManager
	client *grpc.ClientConn
	group  *goroutine.Group
}

// registrationTimeout is how long the TaskManager waits for the JobManager's
// answer. There is no other JobManager to try, and one that is slow is not away:
// giving up would lose the session, and with it the job.
const registrationTimeout = 30 * time.Second

func start(job Job, s sized) (*cluster, error) {
	jobs, err := jobmanager.New(jobmanager.Config{Settings: s.config, Version: job.EngineVersion, Log: job.Log})
	if err != nil {
		return nil, err
	}
	listener := newPipeListener()
	dialer := []grpc.DialOption{grpc.WithContextDialer(listener.dial), grpc.WithTransportCredentials(insecure.NewCredentials())}
	const target = "passthrough:///embedded"
	tasks, err := taskmanager.New(taskmanager.Config{
		ID: "embedded", Host: "localhost", DataBindHost: "localhost",
		JobManager: target, DialOptions: dialer,
		Registration: taskmanager.RegistrationConfig{InitialTimeout: registrationTimeout},
		Slots:        s.slots, NetworkMemoryPerSlot: int64(s.network), SegmentSize: int(s.segment),
		Version: job.EngineVersion, Logger: job.Log,
		Launcher: &taskmanager.InProcess{Worker: func(ctx context.Context, conn net.Conn) error {
			return worker.Serve(ctx, conn, worker.Config{Graph: job.Graph, EngineVersion: job.EngineVersion, SharedProcess: true, Logger: job.Log})
		}},
	})
	if err != nil {
		return nil, errors.Join(err, jobs.Close())
	}
	client, err := grpc.NewClient(target, dialer...)
	if err != nil {
		return nil, errors.Join(err, jobs.Close())
	}
	c := &cluster{jobs: jobs, client: client, group: goroutine.New(context.Background())}
	c.group.Go(func(ctx context.Context) error { return jobs.Serve(ctx, listener) })
	c.group.Go(tasks.Run)
	return c, nil
}

func (c *cluster) close() error {
	return errors.Join(c.client.Close(), c.group.Close())
}

// run submits the job and waits for its end.
func (c *cluster) run(ctx context.Context, plan *dataflow.Plan, job Job) error {
	id, warnings, err := c.jobs.SubmitPlan(jobmanager.PlannedJob{Plan: plan, FileName: job.FileName, Arguments: job.Arguments})
	for _, w := range warnings {
		job.warn(w)
	}
	if err != nil {
		return errors.New(status.Convert(err).Message())
	}
	jobs := clientv1.NewJobManagerClient(c.client)
	stop := context.AfterFunc(ctx, func() {
		// The job ends by itself then; that it has ended already is no error.
		_, _ = jobs.CancelJob(c.group.Context(), &clientv1.CancelJobRequest{JobId: id.String()})
	})
	defer stop()
	last, err := watch(c.group.Context(), jobs, id.String())
	if err != nil {
		return fmt.Errorf("watch the job: %w", err)
	}
	return outcome(ctx, last)
}

// watch returns the description of the job after its end.
func watch(ctx context.Context, jobs clientv1.JobManagerClient, id string) (last *clientv1.JobDescription, err error) {
	stream, err := jobs.WatchJob(ctx, &clientv1.WatchJobRequest{JobId: id})
	if err != nil {
		return nil, err
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) && last != nil {
			return last, nil
		}
		if err != nil {
			return nil, err
		}
		if j := m.GetJob(); j != nil {
			last = j
		}
	}
}

func outcome(ctx context.Context, job *clientv1.JobDescription) error {
	switch job.GetSummary().GetState() {
	case clientv1.JobState_JOB_STATE_FINISHED:
		return nil
	case clientv1.JobState_JOB_STATE_CANCELED:
		return fmt.Errorf("job %q was canceled: %w", job.GetSummary().GetName(), context.Cause(ctx))
	default:
		f := job.GetFailure()
		return &JobError{Job: job.GetSummary().GetName(), Task: f.GetTask(), Message: f.GetMessage(), Stack: f.GetStack()}
	}
}
