package config

import (
	"math"
	"time"
)

var checkpointArea = &area{
	title: "Checkpoints",
	intro: "How a job's state is kept so that it goes on from there after a failure. All keys can be set for one job with `weir run -D key=value`.",
}

// CheckpointInterval is how often checkpoints are triggered.
var CheckpointInterval = checkpointArea.defineUnset("execution.checkpointing.interval", duration(10*time.Millisecond), "(no checkpoints)", JobManager|Job,
	"The time from one checkpoint's trigger to the next. Without a value a job takes no checkpoints, and a restarted one begins again.")

// CheckpointMode is how exactly records are counted.
type CheckpointMode string

// The modes.
const (
	ExactlyOnce CheckpointMode = "EXACTLY_ONCE"
	AtLeastOnce CheckpointMode = "AT_LEAST_ONCE"
)

// CheckpointingMode is how exactly records are counted after a restart.
var CheckpointingMode = checkpointArea.define("execution.checkpointing.mode", oneOf(ExactlyOnce, AtLeastOnce), ExactlyOnce, JobManager|Job,
	"EXACTLY_ONCE has an input wait whose barrier has come, until all have; AT_LEAST_ONCE has none wait, and after a restart some records may count twice.")

// CheckpointTimeout is how long a checkpoint may take.
var CheckpointTimeout = checkpointArea.define("execution.checkpointing.timeout", duration(10*time.Millisecond), 10*time.Minute, JobManager|Job,
	"How long a checkpoint may take, from its trigger to the last task's part. One that takes longer has failed.")

// CheckpointMinPause is the least time between two checkpoints.
var CheckpointMinPause = checkpointArea.define("execution.checkpointing.min-pause", duration(0), 0, JobManager|Job,
	"The least time from the end of a checkpoint to the trigger of the next one.")

// MaxConcurrentCheckpoints is how many checkpoints may be under way.
var MaxConcurrentCheckpoints = checkpointArea.define("execution.checkpointing.max-concurrent-checkpoints", integer(1, math.MaxInt32), 1, JobManager|Job,
	"How many checkpoints of a job may be under way at the same time.")

// TolerableFailedCheckpoints is how many checkpoints may fail in a row.
var TolerableFailedCheckpoints = checkpointArea.define("execution.checkpointing.tolerable-failed-checkpoints", integer(0, math.MaxInt32), 0, JobManager|Job,
	"How many checkpoints may fail in a row. With one more the job fails, and is restarted by its strategy.")

// CheckpointDirectory is where checkpoints are stored.
var CheckpointDirectory = checkpointArea.defineUnset("execution.checkpointing.dir", name(), "(required with an interval)", JobManager|Job,
	"Where checkpoints are stored: `file:///a/directory` or a path, which all TaskManagers and the JobManager see under this name.",
	deprecated("state.checkpoints.dir"))

// RetainedCheckpoints is how many completed checkpoints are kept.
var RetainedCheckpoints = checkpointArea.define("execution.checkpointing.num-retained", integer(1, math.MaxInt32), 1, JobManager|Job,
	"How many completed checkpoints of a job are kept.",
	deprecated("state.checkpoints.num-retained"))

// CheckpointRetention is what becomes of a job's checkpoints when it ends.
type CheckpointRetention string

// The retentions.
const (
	NoExternalized       CheckpointRetention = "NO_EXTERNALIZED_CHECKPOINTS"
	DeleteOnCancellation CheckpointRetention = "DELETE_ON_CANCELLATION"
	RetainOnCancellation CheckpointRetention = "RETAIN_ON_CANCELLATION"
)

// ExternalizedRetention is what becomes of a job's checkpoints when it ends.
var ExternalizedRetention = checkpointArea.define("execution.checkpointing.externalized-checkpoint-retention",
	oneOf(NoExternalized, DeleteOnCancellation, RetainOnCancellation), NoExternalized, JobManager|Job,
	"Which checkpoints outlive their job: none; with DELETE_ON_CANCELLATION those of a job that has failed; with RETAIN_ON_CANCELLATION those of one that was cancelled, too.")
