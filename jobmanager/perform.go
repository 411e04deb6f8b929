package jobmanager

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/weirstream/weir/internal/security"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
	"github.com/weirstream/weir/scheduler"
)

// perform carries out one action of the scheduler. The caller holds the lock.
func (c *core) perform(action scheduler.Action) {
	switch a := action.(type) {
	case scheduler.NextAttempt:
		c.nextAttempt(a)
	case scheduler.StartWorker:
		c.startWorker(a)
	case scheduler.StartTasks:
		m := startTasksToProto(a)
		if k := c.mu.jobs[a.Job].checkpoints; k != nil {
			k.startTasks(a, m.GetStartTasks())
		}
		c.send(a.Session, command(a.Target, m))
	case scheduler.CancelTasks:
		c.send(a.Session, command(a.Target, &workerv1.SessionResponse{Message: &workerv1.SessionResponse_CancelTasks{CancelTasks: &workerv1.CancelTasks{}}}))
	case scheduler.Shutdown:
		c.send(a.Session, command(a.Target, &workerv1.SessionResponse{Message: &workerv1.SessionResponse_Shutdown{Shutdown: &workerv1.Shutdown{}}}))
	case scheduler.KillWorker:
		c.log.Warn("killing a worker", "job", a.Job, "attempt", a.Attempt, "session", a.Session, "reason", a.Reason)
		c.send(a.Session, &tmv1.ConnectResponse{Message: &tmv1.ConnectResponse_KillWorker{KillWorker: &tmv1.KillWorker{
			JobId: a.Job[:], Attempt: uint32(a.Attempt), Reason: a.Reason,
		}}})
	case scheduler.EnumerateSplits:
		c.send(a.Session, command(a.Target, &workerv1.SessionResponse{Message: &workerv1.SessionResponse_EnumerateSplits{
			EnumerateSplits: &workerv1.EnumerateSplits{Vertex: uint32(a.Vertex)},
		}}))
	case scheduler.AssignSplits:
		c.send(a.Session, command(a.Target, assignSplitsToProto(a)))
	case scheduler.AlignSource:
		c.send(a.Session, command(a.Target, alignSourceToProto(a)))
	case scheduler.JobTransition:
		c.transitioned(a)
	case scheduler.JobChanged:
		if j := c.mu.jobs[a.Job]; j != nil {
			j.states++
			j.notify()
		}
	case scheduler.ForgetJob:
		c.log.Info("job forgotten", "job", a.Job)
		if j := c.mu.jobs[a.Job]; j != nil {
			j.notify()
			if j.checkpoints != nil {
				j.checkpoints.forget()
			}
			delete(c.mu.jobs, a.Job)
		}
	case scheduler.MessageDropped:
		c.log.Warn("message dropped", "message", a.Message, "job", a.Job, "session", a.Session, "reason", a.Reason)
	default:
		panic(fmt.Sprintf("jobmanager: unknown action %T", action))
	}
}

// nextAttempt says what an attempt begins from: the newest checkpoint, or else its
// sources read their input from the start.
func (c *core) nextAttempt(a scheduler.NextAttempt) {
	j := c.mu.jobs[a.Job]
	j.forgetFigures()
	if j.checkpoints != nil {
		j.checkpoints.nextAttempt()
		return
	}
	c.stepLocked(scheduler.AttemptReady{Job: a.Job})
}

func (c *core) startWorker(a scheduler.StartWorker) {
	j := c.mu.jobs[a.Job]
	if a.Workers > 1 && j.certificate == nil && (c.encrypt || beyondLoopback(a.Hosts)) {
		certificate, key, err := newCertificate(a.Job)
		if err != nil {
			c.log.Error("cannot encrypt data connections", "job", a.Job, "error", err)
			c.stepLocked(scheduler.WorkerRefused{
				Origin: scheduler.Origin{Session: a.Session, Job: a.Job, Attempt: a.Attempt},
				Reason: err.Error(),
			})
			return
		}
		j.certificate, j.key = certificate, key
	}
	c.log.Info("starting a worker", "job", a.Job, "attempt", a.Attempt, "worker", a.Worker, "workers", a.Workers,
		"slots", len(a.Slots), "session", a.Session)
	c.send(a.Session, j.startWorker(a))
}

// beyondLoopback reports whether data connections between the hosts leave the
// machine.
func beyondLoopback(hosts []string) bool {
	for _, host := range hosts {
		if !security.IsLoopback(host) {
			return true
		}
	}
	return false
}

// transitioned logs a job's new state, and does what the shell has to do then.
func (c *core) transitioned(a scheduler.JobTransition) {
	level := slog.LevelInfo
	if a.To == scheduler.Failing || a.To == scheduler.Failed {
		level = slog.LevelError
	} else if a.To == scheduler.Restarting {
		level = slog.LevelWarn
	}
	attributes := []any{"job", a.Job, "name", a.Name, "from", a.From.String(), "to", a.To.String()}
	if a.Reason != "" {
		attributes = append(attributes, "reason", a.Reason)
	}
	c.log.Log(context.Background(), level, "job is "+strings.ToLower(a.To.String()), attributes...)
	j := c.mu.jobs[a.Job]
	if j == nil {
		return
	}
	if j.checkpoints != nil {
		j.checkpoints.transitioned(a.To, a.Reason)
	}
	if !a.To.Terminal() {
		return
	}
	if a.From == scheduler.Initializing {
		j.giveUp(errEndedWhilePlanned)
	}
	c.ended(j)
}
