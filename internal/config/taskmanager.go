package config

import (
	"errors"
	"math"
	"time"

	"github.com/weirstream/weir/internal/memory"
)

var taskManagerArea = &area{
	title: "TaskManager",
	intro: "Where a TaskManager is found, its slots, and how it stops tasks.",
}

// TaskManagerHost is the host where the TaskManager's workers are reached.
var TaskManagerHost = taskManagerArea.define("taskmanager.host", host(), "localhost", TaskManager,
	"The host where the workers of other TaskManagers reach the workers of this one.")

// TaskManagerBindHost is the host that the TaskManager's workers listen on.
var TaskManagerBindHost = taskManagerArea.define("taskmanager.bind-host", host(), "localhost", TaskManager,
	"The host name or address that the TaskManager's workers listen on. Flink's own default is 0.0.0.0.")

// TaskManagerDataPort are the ports that workers listen on for data.
var TaskManagerDataPort = taskManagerArea.define("taskmanager.data.port", ports(), Ports{{0, 0}}, TaskManager,
	"The ports for data connections. Each worker takes the first that is free, so a range has to have one port for every job that runs on the TaskManager at a time.")

// TaskManagerResourceID is the stable name of the TaskManager.
var TaskManagerResourceID = taskManagerArea.defineUnset("taskmanager.resource-id", name(), "(host:port and six random hexadecimal digits)", TaskManager,
	"The name of the TaskManager in messages and lists. It must be its own among all TaskManagers of a cluster.")

// NumberOfTaskSlots is the number of slots that the TaskManager offers.
var NumberOfTaskSlots = taskManagerArea.define("taskmanager.numberOfTaskSlots", integer(1, 1024), 1, TaskManager,
	"The number of slots. A slot runs one subtask of each task of a job; memory is divided evenly among slots, and a worker uses as many cores as it holds slots.")

// LoadBalanceMode is how subtasks are placed on TaskManagers.
type LoadBalanceMode string

const (
	// LoadBalanceNone takes slots in the order in which they were offered.
	LoadBalanceNone LoadBalanceMode = "NONE"
	// LoadBalanceSlots spreads a job evenly over all TaskManagers.
	LoadBalanceSlots LoadBalanceMode = "SLOTS"
	// LoadBalanceMinResources packs a job into as few TaskManagers as possible.
	LoadBalanceMinResources LoadBalanceMode = "MIN_RESOURCES"
)

// TaskManagerLoadBalanceMode is how subtasks are placed on TaskManagers.
var TaskManagerLoadBalanceMode = taskManagerArea.define("taskmanager.load-balance.mode",
	oneOf(LoadBalanceNone, LoadBalanceSlots, LoadBalanceMinResources), LoadBalanceNone, JobManager,
	"How slots are chosen: NONE takes them as they come, SLOTS spreads a job over all TaskManagers, MIN_RESOURCES packs it into few.",
	replaces("cluster.evenly-spread-out-slots", func(text string) (string, error) {
		spread, err := boolean().parse(text)
		if err != nil {
			return "", errors.New("want true or false")
		}
		if spread {
			return string(LoadBalanceSlots), nil
		}
		return string(LoadBalanceNone), nil
	}))

// TaskManagerRegistrationTimeout is how long a TaskManager tries to register
// before it exits.
var TaskManagerRegistrationTimeout = taskManagerArea.define("taskmanager.registration.timeout", duration(0), 5*time.Minute, TaskManager,
	"How long a TaskManager without a JobManager tries to register before it exits.",
	deprecated("taskmanager.maxRegistrationDuration"))

// TaskCancellationTimeout is how long a canceled task has before its worker is
// killed.
var TaskCancellationTimeout = taskManagerArea.define("task.cancellation.timeout", duration(0), 3*time.Minute, TaskManager|Job,
	"How long a task that was asked to stop has before its worker is killed. With 0 it is never killed.")

var memoryArea = &area{
	title: "Memory of a TaskManager",
	intro: "`taskmanager.memory.process.size` is all memory of a TaskManager and its workers. A part of it is overhead (the daemon " +
		"itself, and what a worker has outside of its heap); the rest, `taskmanager.memory.flink.size`, is divided into managed memory (state), " +
		"network memory (buffers) and heap, and each slot owns an even share of all three. Weir has no metaspace and no framework memory: that is heap.",
}

// ProcessSize is all memory of a TaskManager and its workers.
var ProcessSize = memoryArea.define("taskmanager.memory.process.size", size(1, memory.MaxSize), 1728*memory.MiB, TaskManager,
	"All memory of the TaskManager and its workers. The default counts only while neither the Flink size nor both heap and managed size are set.")

// FlinkSize is all memory of the slots of a TaskManager.
var FlinkSize = memoryArea.defineUnset("taskmanager.memory.flink.size", size(1, memory.MaxSize), "(from process.size)", TaskManager,
	"All memory of the slots: the process size without overhead.")

// TaskHeapSize is the heap of a TaskManager's workers without managed memory.
var TaskHeapSize = memoryArea.defineUnset("taskmanager.memory.task.heap.size", size(1, memory.MaxSize), "(what is left)", TaskManager,
	"The heap of the workers, apart from managed memory.")

// ManagedSize is the memory of state backends.
var ManagedSize = memoryArea.defineUnset("taskmanager.memory.managed.size", size(0, memory.MaxSize), "(from managed.fraction)", TaskManager,
	"The memory of state backends. 0 leaves them none.",
	deprecated("taskmanager.memory.size"))

// ManagedFraction is the managed part of the Flink size.
var ManagedFraction = memoryArea.define("taskmanager.memory.managed.fraction", fraction(), 0.4, TaskManager,
	"Managed memory as a part of the Flink size, if managed.size is not set.")

// NetworkFraction is the network buffers' part of the Flink size.
var NetworkFraction = memoryArea.define("taskmanager.memory.network.fraction", fraction(), 0.1, TaskManager,
	"Network memory as a part of the Flink size, within network.min and network.max.",
	deprecated("taskmanager.network.memory.fraction"))

// NetworkMin is the least network memory.
var NetworkMin = memoryArea.define("taskmanager.memory.network.min", size(0, memory.MaxSize), 64*memory.MiB, TaskManager,
	"The least network memory. Set it equal to network.max for an exact size.",
	deprecated("taskmanager.network.memory.min"))

// NetworkMax is the most network memory.
var NetworkMax = memoryArea.defineUnset("taskmanager.memory.network.max", size(0, memory.MaxSize), "(no limit)", TaskManager,
	"The most network memory.",
	deprecated("taskmanager.network.memory.max"))

// OverheadFraction is the overhead's part of the process size.
var OverheadFraction = memoryArea.define("taskmanager.memory.overhead.fraction", fraction(), 0.1, TaskManager,
	"Overhead as a part of the process size, within overhead.min and overhead.max: the daemon itself, and what each worker has outside of its heap.",
	weirOnly, deprecated("taskmanager.memory.jvm-overhead.fraction"))

// OverheadMin is the least overhead.
var OverheadMin = memoryArea.define("taskmanager.memory.overhead.min", size(0, memory.MaxSize), 192*memory.MiB, TaskManager,
	"The least overhead.",
	weirOnly, deprecated("taskmanager.memory.jvm-overhead.min"))

// OverheadMax is the most overhead.
var OverheadMax = memoryArea.define("taskmanager.memory.overhead.max", size(0, memory.MaxSize), memory.GiB, TaskManager,
	"The most overhead.",
	weirOnly, deprecated("taskmanager.memory.jvm-overhead.max"))

// TaskManagerMemory returns what the division of a TaskManager's memory is
// computed from.
func TaskManagerMemory(c *Config) memory.Inputs {
	in := memory.Inputs{
		Flink:            setOrNil(c, FlinkSize),
		Heap:             setOrNil(c, TaskHeapSize),
		Managed:          setOrNil(c, ManagedSize),
		Process:          setOrNil(c, ProcessSize),
		ManagedFraction:  ManagedFraction.Get(c),
		NetworkFraction:  NetworkFraction.Get(c),
		NetworkMin:       NetworkMin.Get(c),
		NetworkMax:       math.MaxInt64,
		OverheadFraction: OverheadFraction.Get(c),
		OverheadMin:      OverheadMin.Get(c),
		OverheadMax:      OverheadMax.Get(c),
		Slots:            NumberOfTaskSlots.Get(c),
		SegmentSize:      SegmentSize.Get(c),
	}
	if NetworkMax.IsSet(c) {
		in.NetworkMax = NetworkMax.Get(c)
	}
	// The default of the process size must not contradict what was set.
	if in.Process == nil && in.Flink == nil && (in.Heap == nil || in.Managed == nil) {
		in.Process = new(ProcessSize.Get(c))
	}
	return in
}

func setOrNil(c *Config, o Option[memory.Size]) *memory.Size {
	if !o.IsSet(c) {
		return nil
	}
	return new(o.Get(c))
}
