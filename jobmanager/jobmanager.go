package jobmanager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/launch"
	"github.com/weirstream/weir/jobmanager/metastore"
	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
	"github.com/weirstream/weir/scheduler"
)

// Config is what a JobManager is made of.
type Config struct {
	// Settings is the daemon's configuration, of which it reads heartbeat.*,
	// slot.request.timeout, jobstore.*, restart-strategy.*, taskmanager.load-balance.mode,
	// security.ssl.internal.enabled and what jobs inherit. Nil means that everything
	// has its default.
	Settings *config.Config
	// WorkingDirectory is where the JobManager keeps executables, the cluster's
	// id and the last leader's epoch. It is created if need be, and locked. It is
	// empty for an embedded JobManager, whose TaskManagers run in its own
	// process: it asks for no executables and writes nothing.
	WorkingDirectory string
	// Version is what clients are told.
	Version string
	// Log gets one line for each thing that happens. Nil means slog.Default().
	Log *slog.Logger
	// ServerOptions protect the services: see security.ServerOptions. Without
	// them everybody who reaches a listener may do everything.
	ServerOptions []grpc.ServerOption
	// PlanTimeout is how long a job's main may take to build its graph. Zero
	// means a minute.
	PlanTimeout time.Duration
}

// JobManager accepts jobs and has TaskManagers run them. Create one with [New].
// All methods may be called concurrently.
type JobManager struct {
	log       *slog.Logger
	directory *directory
	// store is the metadata store; nil for an embedded JobManager.
	store   *metastore.Store
	core    *core
	service *service
	server  *grpc.Server
	// group owns the goroutines of streams; its context is done when the
	// JobManager stops.
	group  *goroutine.Group
	served atomic.Bool
}

// errStopping ends all calls when the JobManager stops.
var errStopping = status.Error(codes.Unavailable, "the JobManager is stopping")

// gateway is what TaskManagers call.
type gateway struct {
	tmv1.UnimplementedTaskManagerGatewayServer

	core                                *core
	artefacts                           *artefactStore
	log                                 *slog.Logger
	group                               *goroutine.Group
	cluster                             string
	heartbeatInterval, heartbeatTimeout time.Duration
}

// New returns a JobManager with its working directory open and locked. Call
// [JobManager.Serve], which closes it, or [JobManager.Close]. It returns an
// error if the directory cannot be used or another JobManager uses it.
func New(c Config) (*JobManager, error) {
	m := &JobManager{log: c.Log, group: goroutine.New(context.Background())}
	if m.log == nil {
		m.log = slog.Default()
	}
	settings := c.Settings
	if settings == nil {
		settings = config.Default()
	}
	who := newIdentity(newClusterID(), 0)
	var artefacts *artefactStore
	if c.WorkingDirectory != "" {
		var err error
		if m.directory, err = openDirectory(c.WorkingDirectory); err != nil {
			return nil, fmt.Errorf("JobManager: %w", err)
		}
		who = m.directory.identity
		if artefacts, err = openArtefacts(filepath.Join(c.WorkingDirectory, "artefacts"), artefactCacheSize); err != nil {
			return nil, errors.Join(fmt.Errorf("JobManager: %w", err), m.directory.close())
		}
	}
	if c.PlanTimeout == 0 {
		c.PlanTimeout = time.Minute
	}
	m.core = newCore(schedulerConfig(settings), who.epoch, m.log, func(d digest) { m.service.release(d) })
	m.core.encrypt = config.TLSEnabled.Get(settings)
	m.core.group = m.group
	if err := m.openBooks(c.WorkingDirectory); err != nil {
		return nil, errors.Join(fmt.Errorf("JobManager: %w", err), m.release())
	}
	m.service = &service{
		core: m.core, artefacts: artefacts, config: settings, version: c.Version, log: m.log, group: m.group,
		planTimeouts: planTimeouts{register: config.SlotRequestTimeout.Get(settings), main: c.PlanTimeout, answer: 10 * time.Minute},
		submissions:  make(chan struct{}, maxSubmissions),
	}
	m.server = m.newServer(c.ServerOptions)
	clientv1.RegisterJobManagerServer(m.server, m.service)
	tmv1.RegisterTaskManagerGatewayServer(m.server, &gateway{
		core: m.core, artefacts: artefacts, log: m.log, group: m.group, cluster: who.cluster,
		heartbeatInterval: config.HeartbeatInterval.Get(settings), heartbeatTimeout: config.HeartbeatTimeout.Get(settings),
	})
	m.log.Info("JobManager leads", "cluster", who.cluster, "leader_epoch", who.epoch, "working_directory", c.WorkingDirectory)
	return m, nil
}

func schedulerConfig(c *config.Config) scheduler.Config {
	s := scheduler.DefaultConfig()
	s.Seed = rand.Uint64() // So that JobManagers do not all restart their jobs at the same times.
	s.LoadBalance = map[config.LoadBalanceMode]scheduler.LoadBalance{
		config.LoadBalanceNone: scheduler.TakeSlots, config.LoadBalanceSlots: scheduler.SpreadSlots,
		config.LoadBalanceMinResources: scheduler.PackSlots,
	}[config.TaskManagerLoadBalanceMode.Get(c)]
	s.JobExpiration = config.JobStoreExpirationTime.Get(c)
	if most := config.JobStoreMaxCapacity.Get(c); most < math.MaxInt32 {
		s.MaxFinishedJobs = most
	}
	return s
}

// newServer returns a server that no handler's panic ends.
func (m *JobManager) newServer(options []grpc.ServerOption) *grpc.Server {
	all := []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (response any, err error) {
			defer m.recovered(info.FullMethod, &err)
			return handler(ctx, request)
		}),
		grpc.ChainStreamInterceptor(func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
			defer m.recovered(info.FullMethod, &err)
			return handler(server, stream)
		}),
		grpc.MaxRecvMsgSize(launch.MaxMessageSize),
		grpc.WaitForHandlers(true),
		// Who watches a job says nothing: a machine that vanished is only found
		// by asking.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
	}
	return grpc.NewServer(append(all, options...)...)
}

// recovered makes a panic of a handler the call's error.
func (m *JobManager) recovered(method string, err *error) {
	if r := recover(); r != nil {
		m.log.Error("a call caused a panic", "method", method, "panic", r, "stack", string(debug.Stack()))
		*err = status.Error(codes.Internal, "internal error of the JobManager; its log has the details")
	}
}

// Serve serves clients and TaskManagers on the listeners, which it closes,
// until ctx is done; then it ends every call, stops and returns nil. Jobs end
// with it: TaskManagers that lose their JobManager kill what runs for it. It
// returns an error if a listener fails. It is called once.
func (m *JobManager) Serve(ctx context.Context, listeners ...net.Listener) error {
	if !m.served.CompareAndSwap(false, true) {
		return errors.New("the JobManager was served or closed before")
	}
	m.group.Go(m.core.tick)
	serving := goroutine.New(ctx)
	for _, l := range listeners {
		serving.Go(func(context.Context) error {
			// A server that was stopped before it came to this has closed l.
			if err := m.server.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
				return fmt.Errorf("JobManager: serve on %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	<-serving.Context().Done()
	m.log.Info("JobManager stops")
	m.group.Stop()
	m.stopServer()
	return errors.Join(serving.Wait(), m.group.Wait(), m.release())
}

// stopGrace is how long the ends of calls may take to reach their callers.
const stopGrace = 3 * time.Second

// stopServer stops the server when all calls have ended, or when some take too
// long to.
func (m *JobManager) stopServer() {
	patience := goroutine.New(context.Background())
	patience.Go(func(ctx context.Context) error {
		timer := time.NewTimer(stopGrace)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
			m.server.Stop()
		}
		return nil
	})
	m.server.GracefulStop()
	_ = patience.Close() // It returns no error.
}

// Close closes a JobManager that is not to be served. It does nothing to one
// that is or was.
func (m *JobManager) Close() error {
	if !m.served.CompareAndSwap(false, true) {
		return nil
	}
	m.server.Stop()
	return errors.Join(m.group.Close(), m.release())
}

func (m *JobManager) release() (err error) {
	if m.store != nil {
		err = m.store.Close()
	}
	if m.directory != nil {
		err = errors.Join(err, m.directory.close())
	}
	return err
}

// openBooks opens the metadata store, which the lock of the working directory keeps
// for this process.
func (m *JobManager) openBooks(directory string) error {
	if directory == "" {
		m.core.books = newMemoryBooks()
		return nil
	}
	ctx, cancel := context.WithTimeout(m.group.Context(), workTimeout)
	defer cancel()
	var err error
	if m.store, err = metastore.Open(ctx, metastore.Config{StorageDir: directory, ClusterID: "store", Logger: m.log}); err != nil {
		return err
	}
	lead, err := m.store.Campaign(ctx, "jobmanager")
	if err != nil {
		return err
	}
	m.core.books = &storedBooks{store: m.store, lead: lead}
	return nil
}

// PlannedJob is a job whose program is this very process, so that it needs no
// executable and no planning: see [JobManager.SubmitPlan].
type PlannedJob struct {
	Plan *dataflow.Plan
	// FileName is the program's name, for messages.
	FileName  string
	Arguments []string
	// Configuration are settings by key, above those of the JobManager and below
	// those of the plan.
	Configuration map[string]string
}

// SubmitPlan starts a job that was planned in this process: the embedded mode.
// The warnings are for the user, also if there is an error, which is a gRPC
// status with the codes of SubmitJob.
func (m *JobManager) SubmitPlan(p PlannedJob) (id ids.JobID, warnings []string, err error) {
	settings, warnings, err := withClient(m.service.config, p.Configuration)
	if err != nil {
		return ids.JobID{}, warnings, invalid(err)
	}
	if len(p.Plan.Mistakes) > 0 {
		return ids.JobID{}, warnings, invalid(mistakesError(p.FileName, p.Plan.Mistakes))
	}
	message := dataflow.ToProto(p.Plan)
	plan, err := dataflow.FromProto(message)
	if err != nil {
		return ids.JobID{}, warnings, invalid(err)
	}
	j := newJob(submission{fileName: p.FileName, arguments: p.Arguments}, func(error) {})
	m.core.submitted(j)
	started, err := m.service.start(j, &planned{message: message, plan: plan}, settings, "")
	return j.id, append(warnings, started.warnings...), err
}
