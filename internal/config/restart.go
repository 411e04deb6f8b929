package config

import (
	"math"
	"strconv"
	"strings"
	"time"
)

var restartArea = &area{
	title: "Restart of failed jobs",
	intro: "Whether and when a job begins anew after a failure. All of its tasks are restarted, in new processes. All keys can be set for one job with " +
		"`weir run -D key=value`. Without checkpoints a job that is restarted reads its input again from the start, and writes its results again.",
}

// RestartStrategyType is a value of [RestartStrategy].
type RestartStrategyType string

// The restart strategies.
const (
	NoRestart        RestartStrategyType = "none"
	FixedDelay       RestartStrategyType = "fixed-delay"
	FailureRate      RestartStrategyType = "failure-rate"
	ExponentialDelay RestartStrategyType = "exponential-delay"
)

// RestartStrategy is how a job is restarted. Without a value that depends on
// whether the job takes checkpoints.
var RestartStrategy = restartArea.defineUnset("restart-strategy.type", restartStrategyType(),
	"(exponential-delay for jobs with checkpoints, none for others)", JobManager|Job,
	"How a job is restarted. none (also off, disable) fails it with its first failure; fixed-delay restarts it a number of times; "+
		"failure-rate as long as it does not fail too often in a time; exponential-delay after delays that grow with each failure.",
	deprecated("restart-strategy"))

// The settings of fixed-delay.
var (
	FixedDelayAttempts = restartArea.define("restart-strategy.fixed-delay.attempts", integer(0, math.MaxInt), 1, JobManager|Job,
		"With fixed-delay: how many times a job is restarted. The failure after that is the job's.")
	FixedDelayDelay = restartArea.define("restart-strategy.fixed-delay.delay", duration(0), time.Second, JobManager|Job,
		"With fixed-delay: the time from a failure to the restart.")
)

// The settings of failure-rate.
var (
	FailureRateMaxFailures = restartArea.define("restart-strategy.failure-rate.max-failures-per-interval", integer(1, math.MaxInt), 1, JobManager|Job,
		"With failure-rate: how many failures within the interval lead to a restart. One more is the job's.")
	FailureRateInterval = restartArea.define("restart-strategy.failure-rate.failure-rate-interval", duration(time.Millisecond), time.Minute, JobManager|Job,
		"With failure-rate: the time in which failures are counted.")
	FailureRateDelay = restartArea.define("restart-strategy.failure-rate.delay", duration(0), time.Second, JobManager|Job,
		"With failure-rate: the time from a failure to the restart.")
)

// The settings of exponential-delay.
var (
	ExponentialDelayInitialBackoff = restartArea.define("restart-strategy.exponential-delay.initial-backoff", duration(time.Millisecond), time.Second, JobManager|Job,
		"With exponential-delay: the time from the first failure to the restart, and the least there is.")
	ExponentialDelayMaxBackoff = restartArea.define("restart-strategy.exponential-delay.max-backoff", duration(time.Millisecond), time.Minute, JobManager|Job,
		"With exponential-delay: the longest time from a failure to the restart.")
	ExponentialDelayMultiplier = restartArea.define("restart-strategy.exponential-delay.backoff-multiplier", number(1, 1e6), 1.5, JobManager|Job,
		"With exponential-delay: by how much each delay is longer than the one before.")
	ExponentialDelayResetThreshold = restartArea.define("restart-strategy.exponential-delay.reset-backoff-threshold", duration(time.Millisecond), time.Hour, JobManager|Job,
		"With exponential-delay: how long a job must run without a failure for the delays to begin anew.")
	ExponentialDelayJitterFactor = restartArea.define("restart-strategy.exponential-delay.jitter-factor", number(0, 1), 0.1, JobManager|Job,
		"With exponential-delay: by which part of it a delay is longer or shorter by chance, so that jobs that failed together do not all restart together.")
	ExponentialDelayAttempts = restartArea.defineUnset("restart-strategy.exponential-delay.attempts-before-reset-backoff", integer(1, math.MaxInt), "(infinite)", JobManager|Job,
		"With exponential-delay: how many times in a row a job is restarted, which ends when the delays begin anew. The failure after that is the job's.")
)

// restartStrategyType is the name of a strategy in any of Flink's spellings.
func restartStrategyType() kind[RestartStrategyType] {
	k := oneOf(NoRestart, FixedDelay, FailureRate, ExponentialDelay)
	parse := k.parse
	k.parse = func(text string) (RestartStrategyType, error) {
		switch strings.ToLower(text) {
		case "off", "disable":
			return NoRestart, nil
		case "fixeddelay":
			return FixedDelay, nil
		case "failurerate":
			return FailureRate, nil
		case "exponentialdelay":
			return ExponentialDelay, nil
		}
		return parse(text)
	}
	return k
}

// number is a number between two, both included.
func number(least, most float64) kind[float64] {
	format := func(value float64) string { return strconv.FormatFloat(value, 'f', -1, 64) }
	k := kind[float64]{
		parse: func(text string) (float64, error) {
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return 0, errNotAllowed
			}
			return value, nil
		},
		format: func(value float64) string { return strconv.FormatFloat(value, 'g', -1, 64) },
	}
	// Written so that not-a-number fails.
	return k.only("a number from "+format(least)+" to "+format(most), func(value float64) bool { return value >= least && value <= most })
}
