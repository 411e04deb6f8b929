package config

import "time"

var executionArea = &area{
	title: "Execution of jobs",
	intro: "What a job's code does not say. All of these can be set for one job with `weir run -D key=value`.",
}

// MaxParallelism is the largest parallelism of a task: the number of key
// groups, which is the same for every job.
const MaxParallelism = 65_536

// DefaultParallelism is the parallelism of tasks for which the job says none.
var DefaultParallelism = executionArea.define("parallelism.default", integer(1, MaxParallelism), 1, Job|Client,
	"The parallelism of operators for which neither the job nor the command line says one.")

// PipelineName is the name of a job.
var PipelineName = executionArea.defineUnset("pipeline.name", name(), "(the name in the job's code)", Job|Client,
	"The name of the job in lists and messages.")

// OperatorChaining is whether operators are chained into tasks.
var OperatorChaining = executionArea.define("pipeline.operator-chaining.enabled", boolean(), true, Job,
	"Whether operators without a shuffle between them run in one task. Off is for finding the slow one.",
	deprecated("pipeline.operator-chaining"))

// AutoWatermarkInterval is how often generators are asked for watermarks, and how
// often those travel alone.
var AutoWatermarkInterval = executionArea.define("pipeline.auto-watermark-interval", duration(time.Millisecond), 200*time.Millisecond, Job,
	"How often a watermark crosses the network without records, and a generator of the job's own is asked for one. With records it always does, since it travels in their buffers.")

// PreAggregation is whether aggregates are combined before the shuffle.
var PreAggregation = executionArea.define("pipeline.pre-aggregation.enabled", boolean(), true, Job,
	"Whether aggregates that can be merged are combined before the shuffle. It watches its own effect and pauses where there is little.",
	weirOnly)

// OnlyFullBuffers is the buffer timeout with which a buffer is sent only when
// it is full.
const OnlyFullBuffers time.Duration = -1

// BufferTimeoutEnabled is whether buffers that are not full are sent at all.
// Use [BufferTimeout].
var BufferTimeoutEnabled = executionArea.define("execution.buffer-timeout.enabled", boolean(), true, Job,
	"Whether a buffer that is not full is sent after a while. If false only full buffers are sent: most throughput, any latency.")

// BufferTimeoutInterval is how long a record waits in a buffer that is not
// full. Use [BufferTimeout].
var BufferTimeoutInterval = executionArea.define("execution.buffer-timeout.interval", bufferTimeout(), 100*time.Millisecond, Job,
	"How long a record may wait in a buffer that is not full. With 0 it never waits; with -1 only full buffers are sent.",
	deprecated("execution.buffer-timeout"))

// BufferTimeout returns how long a record may wait in a buffer that is not
// full: 0 if it must not wait, [OnlyFullBuffers] if for ever.
func BufferTimeout(c *Config) time.Duration {
	if !BufferTimeoutEnabled.Get(c) {
		return OnlyFullBuffers
	}
	return BufferTimeoutInterval.Get(c)
}

// Attached is whether weir run waits for the end of the job.
var Attached = executionArea.define("execution.attached", boolean(), true, Client,
	"Whether `weir run` stays until the job has ended. `-d` is the same as false. (In Flink the default is false, but its command line sets true without `-d`.)")
