package taskmanager

import (
	"time"

	"google.golang.org/grpc/codes"
)

// outcome is how an attempt to register has failed.
type outcome uint8

const (
	// unanswered: the JobManager was silent for the whole timeout.
	unanswered outcome = iota + 1
	// unreachable: nobody listens, or the name does not resolve.
	unreachable
	// failed: the JobManager answered with an error.
	failed
	// refused: the JobManager does not want this TaskManager as it is.
	refused
)

// outcomeOf sorts the status of an attempt that was not answered with
// Registered.
func outcomeOf(code codes.Code, timedOut bool) outcome {
	switch {
	case timedOut:
		return unanswered
	case code == codes.Unavailable:
		return unreachable
	case code == codes.Unauthenticated, code == codes.PermissionDenied, code == codes.InvalidArgument,
		code == codes.FailedPrecondition, code == codes.AlreadyExists, code == codes.Unimplemented:
		return refused
	}
	return failed
}

// registration decides how long to wait for an answer and how long to pause
// until the next attempt, as Flink's RetryingRegistration does, but for an
// address where nobody listens yet: it is tried more often at first, because
// all daemons of a cluster are usually started together.
type registration struct {
	config  RegistrationConfig
	began   time.Time
	timeout time.Duration
	nobody  time.Duration
}

func newRegistration(config RegistrationConfig, now time.Time) *registration {
	return &registration{config: config, began: now, timeout: config.InitialTimeout, nobody: config.InitialTimeout}
}

// retry returns the pause after an attempt that ended at now, or that it is
// time to give up.
func (r *registration) retry(now time.Time, how outcome) (pause time.Duration, giveUp bool) {
	left := r.config.Timeout - now.Sub(r.began)
	if left <= 0 {
		return 0, true
	}
	switch how {
	case unanswered:
		r.timeout = min(2*r.timeout, r.config.MaxTimeout)
	case unreachable:
		pause = min(r.nobody, r.config.ErrorDelay)
		r.nobody = min(2*r.nobody, r.config.ErrorDelay)
	case failed:
		pause = r.config.ErrorDelay
	case refused:
		pause = r.config.RefusedDelay
	}
	return min(pause, left), false
}
