package config

import "github.com/weirstream/weir/internal/memory"

var networkArea = &area{
	title: "Network buffers",
	intro: "Every channel between two subtasks has buffers of its own, and the channels of a gate share some more. A job whose channels need " +
		"more buffers than a slot has is refused before it starts, with the numbers.",
}

// SegmentSize is the size of a network buffer.
var SegmentSize = networkArea.define("taskmanager.memory.segment-size", segmentSize(4*memory.KiB, 16*memory.MiB), 32*memory.KiB, JobManager|TaskManager,
	"The size of a network buffer. It must be the same in the whole cluster.")

// BuffersPerChannel is the number of exclusive buffers of a channel.
var BuffersPerChannel = networkArea.define("taskmanager.network.memory.buffers-per-channel", integer(1, 1024), 2, JobManager|TaskManager,
	"The buffers that each channel has for itself. It must be the same in the whole cluster.")

// FloatingBuffersPerGate is the number of buffers that the channels of a gate
// share.
var FloatingBuffersPerGate = networkArea.define("taskmanager.network.memory.floating-buffers-per-gate", integer(1, 65_536), 32, JobManager|TaskManager,
	"The buffers that the channels of one gate or partition share; the busiest get them. It must be the same in the whole cluster. (Flink has 8; a busy channel that crosses the network is a tenth faster with 32.)")

// NetworkSettings returns what the demand for network buffers is computed
// from.
func NetworkSettings(c *Config) memory.Settings {
	return memory.Settings{
		SegmentSize:       SegmentSize.Get(c),
		BuffersPerChannel: BuffersPerChannel.Get(c),
		FloatingPerGate:   FloatingBuffersPerGate.Get(c),
	}
}
