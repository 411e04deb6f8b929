package taskmanager

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"google.golang.org/grpc"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/ids"
)

// Config is what a TaskManager needs to know. The keys in parentheses are
// where an operator sets it.
type Config struct {
	// ID is the stable name (taskmanager.resource-id); empty means
	// "host:pid-" and six hexadecimal digits.
	ID ids.TaskManagerID
	// Host is the name or address by which the workers of other TaskManagers
	// reach the workers of this one (taskmanager.host).
	Host string
	// DataBindHost is the name or address that workers listen on for data
	// connections (taskmanager.bind-host).
	DataBindHost string
	// DataPorts are the ports for that, of which each worker takes one
	// (taskmanager.data.port). Without any, or with port 0, the system picks
	// them.
	DataPorts config.Ports

	// JobManager is the gRPC target of the JobManager, "host:port"
	// (jobmanager.rpc.address, jobmanager.rpc.port).
	JobManager string
	// DialOptions carry transport security and credentials; a dialer for a
	// JobManager in the same process goes here, too.
	DialOptions []grpc.DialOption

	// Slots is how many slots are offered (taskmanager.numberOfTaskSlots).
	Slots int
	// NetworkMemoryPerSlot is the network share of one slot in bytes, and
	// SegmentSize the size of its buffers (taskmanager.memory.segment-size).
	NetworkMemoryPerSlot int64
	SegmentSize          int

	// Registration says how patiently the JobManager is looked for.
	Registration RegistrationConfig
	// WorkerStartTimeout is how long a worker may take until it opens its
	// session. 0 means two minutes.
	WorkerStartTimeout time.Duration

	// Launcher runs the code of jobs: a [Processes] or an [InProcess].
	Launcher Launcher
	// Version is the version of this build, for messages.
	Version string
	// Logger is where the TaskManager logs; nil means slog's default.
	Logger *slog.Logger
}

// RegistrationConfig is how patiently a TaskManager looks for its JobManager.
// Zero values mean Flink's defaults.
type RegistrationConfig struct {
	// InitialTimeout is how long the first attempt waits for an answer; each
	// attempt that gets none doubles it, up to MaxTimeout. It is also the first
	// pause when nobody listens at the address, which doubles up to ErrorDelay
	// (cluster.registration.initial-timeout, 100 ms;
	// cluster.registration.max-timeout, 30 s).
	InitialTimeout, MaxTimeout time.Duration
	// ErrorDelay is the pause after an attempt that failed
	// (cluster.registration.error-delay, 10 s).
	ErrorDelay time.Duration
	// RefusedDelay is the pause after the JobManager has refused
	// (cluster.registration.refused-registration-delay, 30 s).
	RefusedDelay time.Duration
	// Timeout is how long a TaskManager goes without a JobManager before it
	// gives up (taskmanager.registration.timeout, 5 min).
	Timeout time.Duration
}

func (c *RegistrationConfig) setDefaults() {
	c.InitialTimeout = cmp.Or(c.InitialTimeout, 100*time.Millisecond)
	c.MaxTimeout = cmp.Or(c.MaxTimeout, 30*time.Second)
	c.ErrorDelay = cmp.Or(c.ErrorDelay, 10*time.Second)
	c.RefusedDelay = cmp.Or(c.RefusedDelay, 30*time.Second)
	c.Timeout = cmp.Or(c.Timeout, 5*time.Minute)
}

// setDefaults fills what was left out, then says what is wrong.
func (c *Config) setDefaults() error {
	c.Registration.setDefaults()
	c.WorkerStartTimeout = cmp.Or(c.WorkerStartTimeout, 2*time.Minute)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.ID == "" {
		c.ID = generateID(c.Host)
	}
	return errors.Join(
		check(c.DataBindHost != "", "taskmanager.bind-host is empty: it must name what workers listen on"),
		check(c.Host != "", "taskmanager.host is empty: it must name this host as other TaskManagers reach it"),
		check(c.JobManager != "", "jobmanager.rpc.address is empty: it must name the host of the JobManager"),
		check(c.Slots >= 1 && c.Slots <= maxSlots, "taskmanager.numberOfTaskSlots is %d: it must be between 1 and %d", c.Slots, maxSlots),
		check(c.SegmentSize > 0, "taskmanager.memory.segment-size is %d bytes: it must be positive", c.SegmentSize),
		check(c.NetworkMemoryPerSlot >= int64(c.SegmentSize),
			"the network memory of a slot is %d bytes: it must hold at least one segment of %d bytes", c.NetworkMemoryPerSlot, c.SegmentSize),
		check(c.Launcher != nil, "no launcher is configured: a TaskManager needs one to run jobs"),
	)
}

// maxSlots bounds how many files of network memory a TaskManager opens.
const maxSlots = 4096

func check(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

func generateID(host string) ids.TaskManagerID {
	var suffix [3]byte
	_, _ = rand.Read(suffix[:]) // crypto/rand.Read never fails.
	return ids.TaskManagerID(fmt.Sprintf("%s:%d-%x", host, os.Getpid(), suffix))
}
