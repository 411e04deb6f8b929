package scheduler

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// RestartKind names a restart strategy: restart-strategy.type.
type RestartKind uint8

const (
	// NoRestart fails a job with its first failure.
	NoRestart RestartKind = iota
	// FixedDelay restarts a job so many times, always after the same delay.
	FixedDelay
	// FailureRate restarts a job as long as it does not fail too often in a time.
	FailureRate
	// ExponentialDelay restarts a job after delays that grow from one failure to
	// the next, and begin anew when the job has run well for a while.
	ExponentialDelay
)

// String returns the configuration's name of the strategy.
func (k RestartKind) String() string {
	switch k {
	case NoRestart:
		return "none"
	case FixedDelay:
		return "fixed-delay"
	case FailureRate:
		return "failure-rate"
	case ExponentialDelay:
		return "exponential-delay"
	}
	return fmt.Sprintf("RestartKind(%d)", uint8(k))
}

// Unlimited is a number of attempts that is never reached.
const Unlimited = math.MaxInt

// RestartStrategy says whether and when a job is restarted after a failure. The
// zero value never restarts. Its fields are restart-strategy.* of Flink.
type RestartStrategy struct {
	Kind RestartKind

	// Attempts is how many times a job is restarted: in all with FixedDelay, and
	// with ExponentialDelay in a row, which ends with a reset of the backoff;
	// [Unlimited] is no limit.
	Attempts int
	// Delay is what FixedDelay and FailureRate wait before a restart.
	Delay time.Duration

	// MaxFailures is how many failures FailureRate takes within Interval: the
	// next one fails the job.
	MaxFailures int
	Interval    time.Duration

	// InitialBackoff is the first delay of ExponentialDelay. Each further one is
	// Multiplier times as long, up to MaxBackoff, and longer or shorter by chance
	// by up to the part JitterFactor.
	InitialBackoff, MaxBackoff time.Duration
	Multiplier, JitterFactor   float64
	// ResetThreshold is how long a job must run without a failure for the backoff
	// and the attempts to begin anew.
	ResetThreshold time.Duration
}

// String describes the strategy as in "fixed-delay (attempts 3, delay 1s)".
func (r RestartStrategy) String() string {
	switch r.Kind {
	case NoRestart:
	case FixedDelay:
		return fmt.Sprintf("%s (attempts %s, delay %s)", r.Kind, attemptsText(r.Attempts), r.Delay)
	case FailureRate:
		return fmt.Sprintf("%s (at most %d %s in %s, delay %s)", r.Kind, r.MaxFailures, plural(r.MaxFailures, "failure"), r.Interval, r.Delay)
	case ExponentialDelay:
		return fmt.Sprintf("%s (backoff %s to %s, times %g, attempts before reset %s)", r.Kind, r.InitialBackoff, r.MaxBackoff, r.Multiplier, attemptsText(r.Attempts))
	}
	return r.Kind.String()
}

func attemptsText(n int) string {
	if n == Unlimited {
		return "infinite"
	}
	return fmt.Sprint(n)
}

// restarts is the state of a job's strategy. It is told of one failure for each
// attempt: those that come while a restart is scheduled belong to the same one.
type restarts struct {
	strategy RestartStrategy
	// attempts are the failures that count towards the strategy's Attempts.
	attempts int
	// failures are the times of the last ones within Interval, oldest first.
	failures []time.Time
	// next is when the last restart was due; zero before the first.
	next time.Time
}

// failed takes in a failure and returns after which delay the job is to be
// restarted, false if it is not.
func (r *restarts) failed(now time.Time, random *rand.Rand) (delay time.Duration, ok bool) {
	s := r.strategy
	switch s.Kind {
	case NoRestart:
	case FixedDelay:
		r.attempts++
		delay, ok = s.Delay, r.attempts <= s.Attempts
	case FailureRate:
		delay, ok = s.Delay, r.rate(now)
	case ExponentialDelay:
		if !r.next.IsZero() && now.Sub(r.next) >= s.ResetThreshold {
			r.attempts = 0
		}
		delay = s.backoff(r.attempts, random)
		r.attempts++
		ok = r.attempts <= s.Attempts
	}
	r.next = now.Add(delay)
	return delay, ok
}

// rate reports whether a failure at now is within the strategy's rate: there were
// at most MaxFailures within Interval, this one included, as Flink documents it.
// It keeps one failure more than are allowed at most.
func (r *restarts) rate(now time.Time) bool {
	r.failures = append(r.failures, now)
	first := 0
	for now.Sub(r.failures[first]) > r.strategy.Interval {
		first++
	}
	first = max(first, len(r.failures)-r.strategy.MaxFailures-1)
	r.failures = r.failures[:copy(r.failures, r.failures[first:])]
	return len(r.failures) <= r.strategy.MaxFailures
}

// backoff returns the delay of an exponential strategy after so many failures
// before: Flink's formula, with InitialBackoff as the least.
func (r RestartStrategy) backoff(before int, random *rand.Rand) time.Duration {
	backoff := min(float64(r.InitialBackoff)*math.Pow(r.Multiplier, float64(before)), float64(r.MaxBackoff))
	backoff += backoff * r.JitterFactor * (2*random.Float64() - 1)
	return min(max(time.Duration(backoff).Round(time.Millisecond), r.InitialBackoff), r.MaxBackoff)
}
