package launch

import "time"

// The environment variables of a job's executable.
const (
	// Prefix begins the name of each of them.
	Prefix = "WEIR_"
	// Mode is in which mode the executable runs; without it, it was started by
	// hand and runs its job embedded.
	Mode = "WEIR_MODE"
	// PlanFile is the number of the file descriptor to write the plan to.
	PlanFile = "WEIR_PLAN_FD"
	// PlanRun counts the runs of a job in plan mode from 1. It differs between
	// two runs so that a graph which depends on the environment is found.
	PlanRun = "WEIR_PLAN_RUN"
	// SessionFile is the number of the file descriptor of the session's socket.
	SessionFile = "WEIR_SESSION_FD"
	// InputFile is the number of the file descriptor to read the input of the
	// graph's construction from.
	InputFile = "WEIR_INPUT_FD"
)

// The values of the variable [Mode].
const (
	PlanMode   = "plan"
	WorkerMode = "worker"
)

// The versions of the protocol between worker and TaskManager.
const (
	// Protocol is the version that this build speaks.
	Protocol = 1
	// OldestProtocol is the oldest version that a TaskManager of this build
	// serves.
	OldestProtocol = 1
)

// A worker asks a TaskManager that says nothing for KeepaliveInterval whether it is
// still there, and ends when there is no answer for KeepaliveTimeout: together
// the default of heartbeat.timeout, after which the JobManager counts such a
// TaskManager as lost.
const (
	KeepaliveInterval = 10 * time.Second
	KeepaliveTimeout  = 40 * time.Second
)

// Bounds on what the two say to each other, in bytes.
const (
	// MaxPlanSize bounds an encoded plan.
	MaxPlanSize = 64 << 20
	// MaxMessageSize bounds every message of a session: a plan and what is
	// beside it.
	MaxMessageSize = MaxPlanSize + 1<<20
	// MaxInputSize bounds an encoded BuildInput.
	MaxInputSize = MaxPlanSize
)
