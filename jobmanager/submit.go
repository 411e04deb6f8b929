package jobmanager

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/memory"
	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
	"github.com/weirstream/weir/scheduler"
)

const (
	// maxSubmissions bounds how many jobs are being submitted at the same time,
	// each of which may send an executable.
	maxSubmissions = 64
	// maxArguments bounds the arguments of a job's main, together. The system
	// that starts it allows less.
	maxArguments = 1 << 20
)

var errEndedWhilePlanned = status.Error(codes.FailedPrecondition, "the job was cancelled while it was being planned")

// submitStream is the call of one client that submits a job.
type submitStream = grpc.BidiStreamingServer[clientv1.SubmitJobRequest, clientv1.SubmitJobResponse]

// SubmitJob implements the service.
func (s *service) SubmitJob(stream submitStream) error {
	select {
	case s.submissions <- struct{}{}:
		defer func() { <-s.submissions }()
	default:
		return status.Errorf(codes.ResourceExhausted, "%d jobs are being submitted already: try again later", maxSubmissions)
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	stop := context.AfterFunc(s.group.Context(), func() { cancel(errStopping) })
	defer stop()
	return s.submit(ctx, stream)
}

func (s *service) submit(ctx context.Context, stream submitStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	if start == nil {
		return status.Errorf(codes.InvalidArgument, "the first message must be Start, not %T", first.GetMessage())
	}
	sub, size, err := s.checkStart(start)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	settings, warnings, err := withClient(s.config, start.GetConfiguration())
	if err := firstError(warn(stream, warnings), invalid(err)); err != nil {
		return err
	}
	if s.artefacts != nil {
		if err := s.takeArtefact(stream, sub.digest, size); err != nil {
			return err
		}
	} else if err := stream.Send(wanted(false)); err != nil {
		return err
	}
	j := newJob(sub, nil)
	j.stored = s.artefacts != nil // From here on the job holds it.
	return s.planAndAccept(ctx, stream, j, settings)
}

// checkStart checks what a client says of its job.
func (s *service) checkStart(m *clientv1.SubmitJobRequest_Start) (sub submission, size memory.Size, err error) {
	if len(m.GetSha256()) != len(sub.digest) {
		return sub, 0, fmt.Errorf("the executable's SHA-256 has %d bytes: want %d", len(m.GetSha256()), len(sub.digest))
	}
	if m.GetSize() == 0 || m.GetSize() > uint64(maxArtefactSize) {
		return sub, 0, fmt.Errorf("the executable has %d bytes: want 1 to %d", m.GetSize(), maxArtefactSize)
	}
	length := 0
	for _, a := range m.GetArguments() {
		length += len(a) + 1
		if strings.ContainsRune(a, 0) {
			return sub, 0, fmt.Errorf("the argument %q has a zero byte, which no program can be given", a)
		}
	}
	if length > maxArguments {
		return sub, 0, fmt.Errorf("the job's arguments have %d bytes: at most %d are possible", length, maxArguments)
	}
	sub.digest = digest(m.GetSha256())
	sub.arguments = m.GetArguments()
	sub.fileName = filepath.Base(text(m.GetFileName()))
	if m.GetFileName() == "" {
		sub.fileName = "job"
	}
	return sub, memory.Size(m.GetSize()), nil
}

func wanted(yes bool) *clientv1.SubmitJobResponse {
	return &clientv1.SubmitJobResponse{Message: &clientv1.SubmitJobResponse_ArtefactWanted{ArtefactWanted: yes}}
}

func warn(stream submitStream, warnings []string) error {
	for _, w := range warnings {
		if err := stream.Send(&clientv1.SubmitJobResponse{Message: &clientv1.SubmitJobResponse_Warning{Warning: text(w)}}); err != nil {
			return err
		}
	}
	return nil
}

// invalid makes an error of the user's a status; nil stays nil.
func invalid(err error) error {
	if err == nil {
		return nil
	}
	return status.Error(codes.InvalidArgument, text(err.Error()))
}

// firstError returns the first error that is one. Unlike errors.Join it leaves
// a status as it is, whose text is for users.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// takeArtefact asks for the executable unless it is stored, and holds it. One
// that has changed in the store is asked for again, and takes the place of what
// is there.
func (s *service) takeArtefact(stream submitStream, d digest, size memory.Size) error {
	if have, ok := s.artefacts.hold(d); ok {
		err := s.artefacts.check(d)
		switch {
		case have != size:
			s.release(d)
			return status.Errorf(codes.InvalidArgument, "the executable was announced with %d bytes, but the one with this SHA-256 has %d", size, have)
		case err == nil:
			return stream.Send(wanted(false))
		}
		s.log.Warn("an executable in the store is damaged; the client is asked for it again", "error", err)
		s.release(d)
	}
	if err := stream.Send(wanted(true)); err != nil {
		return err
	}
	err := s.artefacts.store(d, size, func() ([]byte, error) {
		m, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		if m.GetMessage() == nil || m.GetStart() != nil {
			return nil, errArtefact{"a part of the executable was expected"}
		}
		if len(m.GetChunk()) > chunkSize {
			return nil, errArtefact{fmt.Sprintf("a part of the executable has %d bytes: at most %d are possible", len(m.GetChunk()), chunkSize)}
		}
		return m.GetChunk(), nil
	})
	var bad errArtefact
	switch {
	case errors.As(err, &bad):
		return status.Error(codes.InvalidArgument, bad.Error())
	case err == nil:
		s.log.Info("executable stored", "sha256", d.String(), "size", size.Readable(), "peer", peerOf(stream.Context()))
		return nil
	case stream.Context().Err() != nil:
		return status.FromContextError(stream.Context().Err()).Err()
	}
	s.log.Error("cannot store an executable", "sha256", d.String(), "error", err)
	return status.Errorf(codes.Internal, "the JobManager cannot store the executable: %v", err)
}

// inspectArtefact tells what the job's executable is.
func (s *service) inspectArtefact(j *job) (executable, error) {
	if s.artefacts == nil {
		return executable{}, nil // It is this very process, which runs.
	}
	f, _, err := s.artefacts.open(j.digest)
	if err != nil {
		return executable{}, status.Errorf(codes.Internal, "the JobManager cannot read the executable: %v", err)
	}
	defer func() { _ = f.Close() }()
	e, err := inspect(j.fileName, f)
	return e, invalid(err)
}

// planAndAccept makes the job known, has it planned, and starts it. It releases
// the artefact if the job comes to nothing.
func (s *service) planAndAccept(ctx context.Context, stream submitStream, j *job, settings *config.Config) error {
	e, err := s.inspectArtefact(j)
	if err == nil {
		s.core.mu.Lock()
		err = invalid(e.checkPlatform(j.fileName, s.core.platformsLocked()))
		s.core.mu.Unlock()
	}
	if err == nil && e.dynamic {
		err = warn(stream, []string{fmt.Sprintf("%s is linked dynamically: it runs only where its shared libraries are; build it with CGO_ENABLED=0", j.fileName)})
	}
	if err != nil {
		if j.stored {
			s.release(j.digest)
		}
		return err
	}
	ctx, j.giveUp = context.WithCancelCause(ctx)
	defer j.giveUp(nil)
	s.core.submitted(j)
	s.log.Info("job submitted", "job", j.id, "file", j.fileName, "sha256", j.digest.String(), "arguments", j.arguments, "peer", peerOf(stream.Context()))
	planner := &planner{core: s.core, stream: stream, job: j, platform: e.platform, settings: settings, timeouts: s.planTimeouts}
	plan, err := planner.run(ctx)
	if err != nil {
		return s.refused(j, gaveUp(ctx, err))
	}
	return s.accept(stream, j, plan, settings, e.platform)
}

// gaveUp returns why a submission is over, if it is because its context is, and
// otherwise err.
func gaveUp(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case cause == nil:
		return err
	case errors.Is(cause, context.Canceled), errors.Is(cause, context.DeadlineExceeded):
		return status.Error(codes.Canceled, "the client gave up the submission")
	default:
		return cause
	}
}

// refused ends a job that could not be planned, and returns err, a status.
func (s *service) refused(j *job, err error) error {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	if state, _ := s.core.mu.scheduler.State(j.id); state == scheduler.Initializing { // It may have been cancelled.
		s.core.stepLocked(scheduler.JobRefused{Job: j.id, Reason: status.Convert(err).Message()})
	}
	return err
}

// accept starts a job that is planned.
func (s *service) accept(stream submitStream, j *job, plan *planned, settings *config.Config, platform string) error {
	started, err := s.start(j, plan, settings, platform)
	if started.waits != "" {
		started.warnings = append(started.warnings, "the job waits for slots: it "+started.waits)
	}
	if err := firstError(warn(stream, started.warnings), err); err != nil {
		return err
	}
	return stream.Send(&clientv1.SubmitJobResponse{Message: &clientv1.SubmitJobResponse_Accepted_{Accepted: &clientv1.SubmitJobResponse_Accepted{
		JobId: j.id.String(), JobName: started.name,
	}}})
}

// started is what is known of a job once the scheduler has it.
type started struct {
	name string
	// warnings are complete also when the job could not be started.
	warnings []string
	// waits is what the job lacks, if it waits for slots.
	waits string
}

// start hands a job that is planned to the scheduler. The error is a status.
func (s *service) start(j *job, plan *planned, settings *config.Config, platform string) (r started, err error) {
	settings, found, err := withCode(settings, plan.plan.Settings)
	r.warnings = append(append(r.warnings, plan.plan.Warnings...), found...)
	if err != nil {
		return r, s.refused(j, invalid(err))
	}
	parallelism := config.DefaultParallelism.Get(settings)
	graph, err := plan.plan.Resolve(parallelism)
	if err != nil {
		return r, s.refused(j, invalid(err))
	}
	if err := checkStorage(s.group.Context(), j.id, settings); err != nil {
		return r, s.refused(j, invalid(err))
	}
	r.name = plan.plan.JobName
	if config.PipelineName.IsSet(settings) {
		r.name = config.PipelineName.Get(settings)
	}
	r.waits, err = s.core.planned(plannedJob{
		job: j, message: plan.message, defaultParallelism: parallelism, configuration: forWorkers(s.config, settings), settings: settings,
		event: scheduler.JobPlanned{Job: j.id, Name: r.name, Graph: graph, Options: s.jobOptions(settings, platform)},
	})
	return r, err
}

func (s *service) jobOptions(settings *config.Config, platform string) scheduler.JobOptions {
	return scheduler.JobOptions{
		SlotRequestTimeout:  config.SlotRequestTimeout.Get(s.config),
		CancellationTimeout: config.TaskCancellationTimeout.Get(settings),
		Restarts:            restartStrategy(settings, config.CheckpointInterval.IsSet(settings)),
		Buffers:             config.NetworkSettings(s.config),
		Platform:            platform,
	}
}

// submitted makes a job known, which is being planned.
func (c *core) submitted(j *job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.jobs[j.id] = j
	c.stepLocked(scheduler.JobSubmitted{Job: j.id, Name: j.fileName})
}

// plannedJob is a job that is planned, with what its workers get.
type plannedJob struct {
	job                *job
	message            *planv1.Plan
	defaultParallelism int
	configuration      map[string]string
	settings           *config.Config
	event              scheduler.JobPlanned
}

// planned hands a job that is planned to the scheduler. If the job waits for
// slots, it returns what it lacks. The error is a status.
func (c *core) planned(p plannedJob) (waits string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j := p.job
	j.plan, j.shown = p.message, withoutRecorded(p.message)
	j.configuration, j.defaultParallelism = p.configuration, p.defaultParallelism
	if j.checkpoints, err = c.newCheckpoints(p, p.settings); err != nil {
		c.stepLocked(scheduler.JobRefused{Job: j.id, Reason: err.Error()})
		return "", invalid(err)
	}
	if j.checkpoints != nil {
		c.group.Go(j.checkpoints.work.run)
	}
	c.stepLocked(p.event)
	view, _ := c.mu.scheduler.Job(j.id)
	switch {
	case view.State == scheduler.Canceled:
		return "", errEndedWhilePlanned
	case view.State == scheduler.Failed:
		return "", status.Error(codes.FailedPrecondition, view.Status)
	}
	for _, tasks := range view.Subtasks {
		j.figures = append(j.figures, make([]*workerv1.TaskMetrics, len(tasks)))
	}
	if view.Attempt == 0 {
		waits = view.Status
	}
	return waits, nil
}

// withoutRecorded returns a plan for users to see: without the values that
// weir.Once recorded, which may be large, and may be secrets.
func withoutRecorded(p *planv1.Plan) *planv1.Plan {
	return &planv1.Plan{
		FormatVersion: p.GetFormatVersion(), JobName: p.GetJobName(), Vertices: p.GetVertices(), Exchanges: p.GetExchanges(),
		Settings: p.GetSettings(), Fingerprint: p.GetFingerprint(), Warnings: p.GetWarnings(), Mistakes: p.GetMistakes(),
	}
}
