package checkpoint_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/checkpoint"
	"github.com/weirstream/weir/internal/ids"
)

// script drives a coordinator of an attempt with two tasks, and answers for the
// store what the test does not want to answer itself.
type script struct {
	t     *testing.T
	c     *checkpoint.Coordinator
	start time.Time
	now   time.Time
	// counter is the store's.
	counter checkpoint.ID
	// silent says that ids are not allocated by themselves.
	silent bool
	all    []checkpoint.Action
}

var (
	source = ids.Subtask{Vertex: 0}
	sink   = ids.Subtask{Vertex: 1}
	both   = []ids.Subtask{source, sink}
)

func newScript(t *testing.T, change func(*checkpoint.Config)) *script {
	t.Helper()
	config := checkpoint.DefaultConfig()
	config.Interval, config.Timeout = 10*time.Second, time.Minute
	if change != nil {
		change(&config)
	}
	start := time.Unix(5000, 0)
	s := &script{t: t, c: checkpoint.NewCoordinator(config, checkpoint.Recovered{}), start: start, now: start}
	s.step(checkpoint.AttemptRunning{Attempt: 1, Tasks: both})
	return s
}

// step takes a step, allocates what is asked for, and returns all actions.
func (s *script) step(e checkpoint.Event) []checkpoint.Action {
	s.t.Helper()
	actions := s.c.Step(s.now, e)
	for _, a := range actions {
		if a, ok := a.(checkpoint.AllocateID); ok && !s.silent {
			s.counter++
			actions = append(actions, s.step(checkpoint.IDAllocated{Allocation: a.Allocation, ID: s.counter})...)
		}
	}
	s.all = append(s.all, actions...)
	return actions
}

// until lets the time pass up to so long after the start, with every Tick that
// is due, and returns the actions.
func (s *script) until(d time.Duration) (actions []checkpoint.Action) {
	s.t.Helper()
	end := s.start.Add(d)
	for {
		at, ok := s.c.Deadline()
		if !ok || at.After(end) {
			s.now = end
			return actions
		}
		if at.After(s.now) {
			s.now = at
		}
		actions = append(actions, s.step(checkpoint.Tick{})...)
		if again, ok := s.c.Deadline(); ok && !again.After(s.now) {
			s.t.Fatalf("after a Tick at %s the next is due at %s", s.now.Sub(s.start), again.Sub(s.start))
		}
	}
}

func (s *script) acknowledge(id checkpoint.ID, tasks ...ids.Subtask) (actions []checkpoint.Action) {
	s.t.Helper()
	for _, task := range tasks {
		actions = append(actions, s.step(acknowledgement(1, id, task))...)
	}
	return actions
}

func acknowledgement(attempt ids.Attempt, id checkpoint.ID, task ids.Subtask) checkpoint.TaskAcknowledged {
	name := fmt.Sprintf("chk-%d/%d", id, task.Vertex)
	return checkpoint.TaskAcknowledged{Attempt: attempt, ID: id, Acknowledgement: checkpoint.Acknowledgement{
		Task: task, Handle: []byte(name), Files: []checkpoint.File{{Name: name, Writer: id}},
		Figures: checkpoint.Figures{StateSize: 100, StoredSize: 10, Alignment: time.Millisecond},
	}}
}

func metadata(id checkpoint.ID) checkpoint.File {
	return checkpoint.File{Name: fmt.Sprintf("chk-%d/_metadata", id), Writer: id}
}

// complete brings a triggered checkpoint to its end.
func (s *script) complete(id checkpoint.ID) []checkpoint.Action {
	s.t.Helper()
	s.acknowledge(id, both...)
	s.step(checkpoint.MetadataWritten{ID: id, File: metadata(id)})
	return s.step(checkpoint.Recorded{ID: id})
}

// of returns the actions of one type.
func of[A checkpoint.Action](actions []checkpoint.Action) (found []A) {
	for _, a := range actions {
		if a, ok := a.(A); ok {
			found = append(found, a)
		}
	}
	return found
}

// triggered returns the ids that were triggered, and when after the start.
func (s *script) triggered(actions []checkpoint.Action) (text string) {
	for _, a := range of[checkpoint.TriggerTasks](actions) {
		text += fmt.Sprintf("%d at %s; ", a.ID, a.Timestamp.Sub(s.start))
	}
	return text
}

func expect(t *testing.T, got []checkpoint.Action, want ...checkpoint.Action) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got the actions\n%s\nwant\n%s", list(got), list(want))
	}
}

func list(actions []checkpoint.Action) (text string) {
	for _, a := range actions {
		text += fmt.Sprintf("\t%T%+v\n", a, a)
	}
	return text
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// TestLifeOfACheckpoint has every action of a checkpoint that completes, in
// order.
func TestLifeOfACheckpoint(t *testing.T) {
	s := newScript(t, nil)
	at := s.start.Add(10 * time.Second)
	expect(
		t, s.until(10*time.Second),
		checkpoint.AllocateID{Allocation: 1},
		checkpoint.Started{ID: 1},
		checkpoint.TriggerTasks{Attempt: 1, ID: 1, Timestamp: at},
	)
	a, b := acknowledgement(1, 1, source), acknowledgement(1, 1, sink)
	expect(t, s.step(b), checkpoint.FilesStored{ID: 1, Files: b.Files})
	expect(
		t, s.step(a),
		checkpoint.FilesStored{ID: 1, Files: a.Files},
		checkpoint.WriteMetadata{
			ID: 1, Attempt: 1, Timestamp: at,
			Tasks: []checkpoint.Acknowledgement{a.Acknowledgement, b.Acknowledgement},
		},
	)
	record := checkpoint.Record{
		ID: 1, Attempt: 1, Triggered: at, Metadata: "chk-1/_metadata",
		Files: []checkpoint.File{metadata(1), a.Files[0], b.Files[0]}, StateSize: 200, StoredSize: 20,
	}
	expect(
		t, s.step(checkpoint.MetadataWritten{ID: 1, File: metadata(1)}),
		checkpoint.FilesStored{ID: 1, Files: []checkpoint.File{metadata(1)}},
		checkpoint.RecordCompletion{Checkpoint: record},
	)
	if _, settled := s.c.RestorePoint(); settled {
		t.Error("while the store is asked, the restore point is settled")
	}
	expect(
		t, s.step(checkpoint.Recorded{ID: 1}),
		checkpoint.Completed{Checkpoint: record},
		checkpoint.NotifyComplete{Attempt: 1, ID: 1, Tasks: both},
	)
	if latest, settled := s.c.RestorePoint(); !settled || !reflect.DeepEqual(*latest, record) {
		t.Errorf("the restore point is %+v, settled: %t", latest, settled)
	}
	expect(t, s.step(checkpoint.SinksCommitted{Attempt: 1, ID: 1, Task: source}))
	// The sink does not answer: it is told again, alone (row a5).
	expect(t, s.until(15*time.Second), checkpoint.NotifyComplete{Attempt: 1, ID: 1, Tasks: []ids.Subtask{sink}})
	expect(t, s.step(checkpoint.SinksCommitted{Attempt: 1, ID: 1, Task: sink}))
	equal(t, "the next ones", s.triggered(s.until(20*time.Second)), "2 at 20s; ")
	view := s.c.View()
	equal(t, "completed", view.Completed, 1)
	equal(t, "in progress", view.InProgress, 1)
	equal(t, "newest", view.History[0].ID, checkpoint.ID(2))
	equal(t, "state size", view.History[1].StateSize, int64(200))
	equal(t, "alignment of the sink", view.History[1].Tasks[1].Alignment, time.Millisecond)
}

// TestSchedule is when checkpoints are triggered (flink-surface 5.4, C7).
func TestSchedule(t *testing.T) {
	t.Run("min-pause counts from the completion", func(t *testing.T) {
		s := newScript(t, func(c *checkpoint.Config) { c.MinPause = 8 * time.Second })
		s.until(10 * time.Second)
		s.until(15 * time.Second)
		s.complete(1)
		equal(t, "triggered", s.triggered(s.until(30*time.Second)), "2 at 23s; ")
	})
	t.Run("max-concurrent", func(t *testing.T) {
		s := newScript(t, func(c *checkpoint.Config) { c.MaxConcurrent = 2 })
		equal(t, "triggered", s.triggered(s.until(50*time.Second)), "1 at 10s; 2 at 20s; ")
		// What was put off is made up for once.
		equal(t, "triggered", s.triggered(s.complete(2)), "3 at 50s; ")
		equal(t, "triggered", s.triggered(s.until(60*time.Second)), "4 at 1m0s; ")
	})
	t.Run("a request does not wait for the interval nor the pause", func(t *testing.T) {
		s := newScript(t, func(c *checkpoint.Config) { c.Interval, c.MinPause = time.Hour, time.Hour })
		s.step(checkpoint.Requested{Request: 7})
		answers := of[checkpoint.AnswerRequest](s.complete(1))
		equal(t, "answers", fmt.Sprint(answers), "[{7 1 }]")
		s.step(checkpoint.Requested{Request: 8})
		// Both of these wait for the one under way, and share the next.
		s.step(checkpoint.Requested{Request: 9})
		s.step(checkpoint.Requested{Request: 10})
		equal(t, "answers", fmt.Sprint(of[checkpoint.AnswerRequest](s.complete(2))), "[{8 2 }]")
		equal(t, "answers", fmt.Sprint(of[checkpoint.AnswerRequest](s.complete(3))), "[{9 3 } {10 3 }]")
		s.step(checkpoint.Requested{Request: 11})
		answers = of[checkpoint.AnswerRequest](s.step(checkpoint.AttemptOver{Attempt: 1, Reason: "it failed"}))
		if len(answers) != 1 || answers[0].ID != 0 || !strings.Contains(answers[0].Failure, "it failed") {
			t.Errorf("the request of an attempt that is over is answered with %v", answers)
		}
		equal(t, "answers", len(of[checkpoint.AnswerRequest](s.step(checkpoint.Requested{Request: 12}))), 1)
	})
	t.Run("no interval", func(t *testing.T) {
		s := newScript(t, func(c *checkpoint.Config) { c.Interval = 0 })
		if at, ok := s.c.Deadline(); ok {
			t.Errorf("something is due at %s", at)
		}
		s.step(checkpoint.TaskEnded{Attempt: 1, Task: source})
		equal(t, "triggered", s.triggered(s.step(checkpoint.TaskEnded{Attempt: 1, Task: sink})), "1 at 0s; ")
	})
	t.Run("requests are bounded", func(t *testing.T) {
		s := newScript(t, nil)
		for i := range 1200 {
			s.step(checkpoint.Requested{Request: uint64(i)})
		}
		equal(t, "refused", len(of[checkpoint.AnswerRequest](s.all)), 199) // One is under way.
	})
}

// TestBlockedTask is row a6: a task that is blocked for 200 intervals takes at
// most two snapshots when it goes on, if it does what it is told: nothing for
// what was aborted.
func TestBlockedTask(t *testing.T) {
	s := newScript(t, func(c *checkpoint.Config) { c.Timeout, c.TolerableFailed = 10*time.Second, 1000 })
	queue := map[checkpoint.ID]bool{}
	for _, a := range s.until(2000 * time.Second) {
		switch a := a.(type) {
		case checkpoint.TriggerTasks:
			queue[a.ID] = true
		case checkpoint.AbortTasks:
			delete(queue, a.ID)
		}
		if len(queue) > 1 {
			t.Fatalf("%v are triggered and not aborted, one may be", queue)
		}
	}
	if s.counter < 90 {
		t.Errorf("only %d checkpoints were tried", s.counter)
	}
}

// TestAbortBeforeTrigger is row a7: tasks are told of an abort before they are
// told of the checkpoint that takes the place.
func TestAbortBeforeTrigger(t *testing.T) {
	s := newScript(t, func(c *checkpoint.Config) { c.Timeout, c.TolerableFailed = 15*time.Second, 9 })
	s.until(20 * time.Second)
	actions := s.until(25 * time.Second)
	abort := slices.IndexFunc(actions, func(a checkpoint.Action) bool { _, ok := a.(checkpoint.AbortTasks); return ok })
	trigger := slices.IndexFunc(actions, func(a checkpoint.Action) bool { _, ok := a.(checkpoint.TriggerTasks); return ok })
	if abort < 0 || trigger < abort {
		t.Errorf("the abort comes as action %d, the trigger as %d:\n%s", abort, trigger, list(actions))
	}
}

// TestCountableFailures is which failures count, and when they fail the job
// (flink-surface 5.4).
func TestCountableFailures(t *testing.T) {
	countable := map[string]func(*script){
		"declined": func(s *script) {
			s.step(checkpoint.TaskDeclined{Attempt: 1, ID: s.counter, Task: sink, Reason: "disk full"})
		},
		"expired": func(s *script) { s.until(s.now.Sub(s.start) + 61*time.Second) },
		"metadata": func(s *script) {
			s.acknowledge(s.counter, both...)
			s.step(checkpoint.MetadataFailed{ID: s.counter, Reason: "disk full"})
		},
		"record": func(s *script) {
			s.acknowledge(s.counter, both...)
			s.step(checkpoint.MetadataWritten{ID: s.counter, File: metadata(s.counter)})
			s.step(checkpoint.RecordFailed{ID: s.counter, Reason: "quota"})
		},
		"damaged": func(s *script) { s.step(checkpoint.Damaged{ID: s.counter, Name: "x"}) },
	}
	for name, fail := range countable {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, func(c *checkpoint.Config) { c.Interval, c.TolerableFailed = time.Hour, 1 })
			for i := range 3 {
				s.step(checkpoint.Requested{Request: uint64(i)})
				if i == 1 {
					s.complete(s.counter) // A success sets the count back.
					s.step(checkpoint.Requested{Request: 9})
				}
				fail(s)
				want := 0
				if i == 2 {
					want = 1
				}
				equal(t, fmt.Sprintf("FailJob after failure %d", i+1), len(of[checkpoint.FailJob](s.all)), want)
			}
			equal(t, "aborted", len(of[checkpoint.Aborted](s.all)), 3)
			if s.step(checkpoint.Requested{Request: 20}); s.counter != 4 {
				t.Error("a job that is about to fail triggers a checkpoint")
			}
		})
	}
	t.Run("subsumed and the attempt's end do not count", func(t *testing.T) {
		s := newScript(t, func(c *checkpoint.Config) { c.MaxConcurrent = 3 })
		s.until(30 * time.Second)
		actions := s.complete(2)
		equal(t, "aborted", fmt.Sprint(of[checkpoint.Aborted](actions)), "[{1 checkpoint 2 subsumes it}]")
		actions = s.step(checkpoint.AttemptOver{Attempt: 1, Reason: "it failed"})
		equal(t, "aborted", len(of[checkpoint.Aborted](actions)), 1)
		equal(t, "AbortTasks to an attempt that is over", len(of[checkpoint.AbortTasks](actions)), 0)
		equal(t, "FailJob", len(of[checkpoint.FailJob](s.all)), 0)
	})
}

// TestAllocation is row c7 and S6: no id, an id that comes too late, and one that
// was given before.
func TestAllocation(t *testing.T) {
	s := newScript(t, func(c *checkpoint.Config) { c.TolerableFailed = 1; c.Timeout = 5 * time.Second })
	s.silent = true
	expect(t, s.until(10*time.Second), checkpoint.AllocateID{Allocation: 1})
	expect(t, s.until(15*time.Second))
	equal(t, "FailJob", len(of[checkpoint.FailJob](s.all)), 0)
	actions := s.step(checkpoint.IDAllocated{Allocation: 1, ID: 4})
	equal(t, "dropped", len(of[checkpoint.MessageDropped](actions)), 1)
	equal(t, "triggered", s.triggered(actions), "")
	expect(t, s.until(20*time.Second), checkpoint.AllocateID{Allocation: 2})
	actions = s.step(checkpoint.IDAllocated{Allocation: 2, ID: 4})
	equal(t, "triggered with an old id", s.triggered(actions), "")
	if f := of[checkpoint.FailJob](actions); len(f) != 1 || !strings.Contains(f[0].Reason, "4 again") {
		t.Errorf("the second failure leads to %v", f)
	}
	s.step(checkpoint.AttemptOver{Attempt: 1})
	s.step(checkpoint.AttemptRunning{Attempt: 2, Tasks: both})
	s.until(30 * time.Second)
	equal(t, "triggered", s.triggered(s.step(checkpoint.IDAllocated{Allocation: 3, ID: 5})), "5 at 30s; ")
}

// TestAmbiguousRecord is row c4: an answer that does not tell is read back, and
// nothing is discarded while there is doubt.
func TestAmbiguousRecord(t *testing.T) {
	recording := func(t *testing.T) *script {
		t.Helper()
		s := newScript(t, func(c *checkpoint.Config) { c.Interval = time.Hour })
		s.step(checkpoint.Requested{Request: 1})
		s.acknowledge(1, both...)
		s.step(checkpoint.MetadataWritten{ID: 1, File: metadata(1)})
		expect(t, s.step(checkpoint.RecordUnknown{ID: 1, Reason: "timeout"}), checkpoint.ReadRecord{ID: 1})
		return s
	}
	t.Run("found", func(t *testing.T) {
		s := recording(t)
		equal(t, "completed", len(of[checkpoint.Completed](s.step(checkpoint.RecordRead{ID: 1, Found: true}))), 1)
	})
	t.Run("not found, asked again, refused, found", func(t *testing.T) {
		s := recording(t)
		expect(t, s.step(checkpoint.RecordRead{ID: 1}))
		equal(t, "RecordCompletion", len(of[checkpoint.RecordCompletion](s.until(time.Second))), 1)
		// "Exists already" is one of the things that a refusal may mean.
		expect(t, s.step(checkpoint.RecordFailed{ID: 1, Reason: "exists"}), checkpoint.ReadRecord{ID: 1})
		expect(t, s.step(checkpoint.RecordUnread{ID: 1}))
		expect(t, s.until(2*time.Second), checkpoint.ReadRecord{ID: 1})
		equal(t, "completed", len(of[checkpoint.Completed](s.step(checkpoint.RecordRead{ID: 1, Found: true}))), 1)
		equal(t, "aborted", len(of[checkpoint.Aborted](s.all)), 0)
	})
	t.Run("the attempt's end and the timeout do not resolve it", func(t *testing.T) {
		s := recording(t)
		s.until(2 * time.Minute)
		equal(t, "FailJob", len(of[checkpoint.FailJob](s.all)), 1)
		s.step(checkpoint.AttemptOver{Attempt: 1, Reason: "it failed"})
		if _, settled := s.c.RestorePoint(); settled {
			t.Error("the restore point is settled")
		}
		actions := s.step(checkpoint.RecordRead{ID: 1, Found: true})
		equal(t, "completed", len(of[checkpoint.Completed](actions)), 1)
		equal(t, "notified", len(of[checkpoint.NotifyComplete](actions)), 0)
		equal(t, "aborted", len(of[checkpoint.Aborted](s.all)), 0)
		if latest, settled := s.c.RestorePoint(); !settled || latest.ID != 1 {
			t.Errorf("the restore point is %+v, settled: %t", latest, settled)
		}
	})
}

// TestRefusedAfterTheAttempt aborts a checkpoint that the store refuses once its
// attempt is over, and fails nothing by it.
func TestRefusedAfterTheAttempt(t *testing.T) {
	s := newScript(t, nil)
	s.until(10 * time.Second)
	s.acknowledge(1, both...)
	s.step(checkpoint.MetadataWritten{ID: 1, File: metadata(1)})
	s.step(checkpoint.AttemptOver{Attempt: 1, Reason: "it failed"})
	actions := s.step(checkpoint.RecordFailed{ID: 1, Reason: "quota"})
	equal(t, "aborted", len(of[checkpoint.Aborted](actions)), 1)
	equal(t, "actions", len(actions), 1)
	if latest, settled := s.c.RestorePoint(); latest != nil || !settled {
		t.Errorf("the restore point is %v, settled: %t", latest, settled)
	}

	// The next attempt, if it did not wait, has nothing to do with it either.
	s = newScript(t, nil)
	s.until(10 * time.Second)
	s.acknowledge(1, both...)
	s.step(checkpoint.MetadataWritten{ID: 1, File: metadata(1)})
	s.step(checkpoint.AttemptRunning{Attempt: 2, Tasks: both})
	actions = s.step(checkpoint.RecordFailed{ID: 1, Reason: "quota"})
	equal(t, "aborted", len(of[checkpoint.Aborted](actions)), 1)
	equal(t, "actions", len(actions), 1)
	equal(t, "in all", s.c.View().Total, 1)
}

// TestRecoveredIDs takes no id again that a recorded checkpoint has, whatever the
// counter says (S6).
func TestRecoveredIDs(t *testing.T) {
	now := time.Unix(5000, 0)
	c := checkpoint.NewCoordinator(checkpoint.DefaultConfig(), checkpoint.Recovered{Latest: &checkpoint.Record{ID: 4}, Counter: 2})
	c.Step(now, checkpoint.AttemptRunning{Attempt: 1, Tasks: both})
	c.Step(now, checkpoint.Requested{Request: 1})
	equal(t, "triggered", len(of[checkpoint.TriggerTasks](c.Step(now, checkpoint.IDAllocated{Allocation: 1, ID: 4}))), 0)
}

// TestRecordsInOrder is C6: a checkpoint that is ready while another one is being
// recorded waits, and is recorded or subsumed after it.
func TestRecordsInOrder(t *testing.T) {
	ready := func(t *testing.T, first, second checkpoint.ID) (*script, []checkpoint.Action) {
		t.Helper()
		s := newScript(t, func(c *checkpoint.Config) { c.MaxConcurrent = 2 })
		s.until(20 * time.Second)
		for _, id := range []checkpoint.ID{first, second} {
			s.acknowledge(id, both...)
			s.step(checkpoint.MetadataWritten{ID: id, File: metadata(id)})
		}
		records := of[checkpoint.RecordCompletion](s.all)
		if len(records) != 1 || records[0].Checkpoint.ID != first {
			t.Fatalf("asked to record %v", records)
		}
		return s, s.step(checkpoint.Recorded{ID: first})
	}
	_, actions := ready(t, 1, 2)
	equal(t, "RecordCompletion", len(of[checkpoint.RecordCompletion](actions)), 1)
	_, actions = ready(t, 2, 1)
	equal(t, "RecordCompletion", len(of[checkpoint.RecordCompletion](actions)), 0)
	equal(t, "aborted", fmt.Sprint(of[checkpoint.Aborted](actions)), "[{1 checkpoint 2 subsumes it}]")
}

// TestFinalCheckpoint is C8, and row d8: what ended is in a checkpoint that was
// triggered after the end.
func TestFinalCheckpoint(t *testing.T) {
	s := newScript(t, func(c *checkpoint.Config) { c.MinPause = time.Hour; c.TolerableFailed = 5 })
	s.until(10 * time.Second)
	s.step(checkpoint.Requested{Request: 3})
	s.step(checkpoint.TaskEnded{Attempt: 1, Task: source})
	equal(t, "dropped", len(of[checkpoint.MessageDropped](s.step(checkpoint.TaskEnded{Attempt: 1, Task: source}))), 1)
	actions := s.step(checkpoint.TaskEnded{Attempt: 1, Task: sink})
	equal(t, "aborted", len(of[checkpoint.Aborted](actions)), 1)
	trigger := of[checkpoint.TriggerTasks](actions)
	if len(trigger) != 1 || !trigger[0].Final || trigger[0].ID != 2 {
		t.Fatalf("after all have ended, triggered: %+v", trigger)
	}
	// It fails, and is tried again after a moment.
	expect(t, s.step(checkpoint.TaskDeclined{Attempt: 1, ID: 2, Task: sink, Reason: "disk full"})[:1],
		checkpoint.AbortTasks{Attempt: 1, ID: 2, Reason: "checkpoint 2: vertex 1 subtask 0 declined: disk full"})
	equal(t, "triggered", s.triggered(s.until(11*time.Second)), "3 at 11s; ")
	actions = s.complete(3)
	equal(t, "FinishTasks before the commits", len(of[checkpoint.FinishTasks](s.all)), 0)
	if c := of[checkpoint.Completed](actions); len(c) != 1 || !c[0].Checkpoint.Final {
		t.Errorf("completed: %+v", c)
	}
	expect(t, s.step(checkpoint.SinksCommitted{Attempt: 1, ID: 3, Task: source}))
	expect(t, s.step(checkpoint.SinksCommitted{Attempt: 1, ID: 3, Task: sink}), checkpoint.FinishTasks{Attempt: 1})
	expect(t, s.until(17*time.Second), checkpoint.FinishTasks{Attempt: 1})
	equal(t, "triggered after the final one", s.triggered(s.until(time.Hour)), "")
	equal(t, "answers", fmt.Sprint(of[checkpoint.AnswerRequest](s.step(checkpoint.Requested{Request: 4}))), "[{4 3 }]")
}

// TestStaleMessages is C10 and mutant 4 of the catalogue: what belongs to another
// attempt or to no checkpoint changes nothing, and is reported.
func TestStaleMessages(t *testing.T) {
	s := newScript(t, nil)
	s.until(10 * time.Second)
	s.step(checkpoint.AttemptOver{Attempt: 1, Reason: "it failed"})
	s.step(checkpoint.AttemptRunning{Attempt: 2, Tasks: both})
	s.until(20 * time.Second)
	before := fmt.Sprintf("%+v", s.c.View())
	for _, e := range []checkpoint.Event{
		checkpoint.AttemptRunning{Attempt: 1, Tasks: both},
		checkpoint.AttemptRunning{Attempt: 2, Tasks: both},
		checkpoint.AttemptRunning{Attempt: 3},
		checkpoint.AttemptOver{Attempt: 1},
		checkpoint.TaskEnded{Attempt: 1, Task: source},
		checkpoint.TaskEnded{Attempt: 2, Task: ids.Subtask{Vertex: 9}},
		acknowledgement(1, 1, source),
		acknowledgement(1, 2, source), // A checkpoint of attempt 2.
		acknowledgement(2, 9, source),
		acknowledgement(2, 2, ids.Subtask{Vertex: 9}),
		checkpoint.TaskDeclined{Attempt: 1, ID: 2, Task: source},
		checkpoint.TaskDeclined{Attempt: 2, ID: 1, Task: source},
		checkpoint.MetadataWritten{ID: 1, File: metadata(1)},
		checkpoint.MetadataWritten{ID: 2, File: metadata(2)},
		checkpoint.MetadataFailed{ID: 2},
		checkpoint.Recorded{ID: 2},
		checkpoint.RecordFailed{ID: 2},
		checkpoint.RecordUnknown{ID: 2},
		checkpoint.RecordRead{ID: 2, Found: true},
		checkpoint.RecordUnread{ID: 2},
		checkpoint.MetadataFailed{ID: 9},
		checkpoint.Recorded{ID: 9},
		checkpoint.RecordFailed{ID: 9},
		checkpoint.RecordUnknown{ID: 9},
		checkpoint.RecordRead{ID: 9, Found: true},
		checkpoint.RecordUnread{ID: 9},
		checkpoint.SinksCommitted{Attempt: 2, ID: 2, Task: source},
		checkpoint.TaskFinished{Attempt: 1, Task: source},
		checkpoint.TaskFinished{Attempt: 2, Task: ids.Subtask{Vertex: 9}},
		checkpoint.SinksCommitted{Attempt: 2, ID: 2, Task: ids.Subtask{Vertex: 9}},
		checkpoint.SinksCommitted{Attempt: 1, ID: 1, Task: source},
		checkpoint.IDAllocated{Allocation: 1, ID: 3},
		checkpoint.IDRefused{Allocation: 1},
		checkpoint.Damaged{ID: 1},
	} {
		actions := s.c.Step(s.now, e)
		rest := slices.DeleteFunc(slices.Clone(actions), func(a checkpoint.Action) bool {
			_, unneeded := a.(checkpoint.FilesUnneeded) // Retention knows whether they are.
			return unneeded
		})
		if dropped := of[checkpoint.MessageDropped](rest); len(dropped) != 1 || len(rest) != 1 {
			t.Errorf("%T%+v leads to\n%s", e, e, list(actions))
		} else if name := fmt.Sprintf("%T", e); "checkpoint."+dropped[0].Message != name || dropped[0].Reason == "" {
			t.Errorf("%s is reported as %+v", name, dropped[0])
		}
		if after := fmt.Sprintf("%+v", s.c.View()); after != before {
			t.Errorf("%T changed\n%s into\n%s", e, before, after)
		}
	}
}

// TestLateAcknowledgement gives the files of an acknowledgement that came too
// late, or twice with other files, to retention.
func TestLateAcknowledgement(t *testing.T) {
	s := newScript(t, nil)
	s.until(10 * time.Second)
	s.acknowledge(1, source)
	again := acknowledgement(1, 1, source)
	again.Files = []checkpoint.File{{Name: "chk-1/again", Writer: 1}}
	equal(t, "unneeded", fmt.Sprint(of[checkpoint.FilesUnneeded](s.step(again))), "[{[{chk-1/again 1}]}]")
	s.step(checkpoint.AttemptOver{Attempt: 1})
	equal(t, "unneeded", fmt.Sprint(of[checkpoint.FilesUnneeded](s.acknowledge(1, sink))), "[{[{chk-1/1 1}]}]")
}

// TestAdoption is a JobManager that starts while tasks run: it says again what may
// be lost, and lets tasks finish whose final checkpoint has completed.
func TestAdoption(t *testing.T) {
	config := checkpoint.DefaultConfig()
	config.Interval = 10 * time.Second
	now := time.Unix(5000, 0)
	latest := checkpoint.Record{ID: 4, Attempt: 3, Final: true}
	c := checkpoint.NewCoordinator(config, checkpoint.Recovered{Latest: &latest, Counter: 6})
	expect(
		t, c.Step(now, checkpoint.AttemptRunning{Attempt: 3, Tasks: both, Ended: both, Adopted: true}),
		checkpoint.AbortTasks{Attempt: 3, ID: 6, Earlier: true, Reason: "the JobManager was restarted"},
		checkpoint.NotifyComplete{Attempt: 3, ID: 4, Tasks: both},
	)
	c.Step(now, checkpoint.SinksCommitted{Attempt: 3, ID: 4, Task: source})
	expect(t, c.Step(now, checkpoint.SinksCommitted{Attempt: 3, ID: 4, Task: sink}), checkpoint.FinishTasks{Attempt: 3})

	// What the JobManager before had allowed may be heard of only now.
	c = checkpoint.NewCoordinator(config, checkpoint.Recovered{Latest: &latest, Counter: 4})
	expect(
		t, c.Step(now, checkpoint.AttemptRunning{Attempt: 3, Tasks: both, Ended: both, Finished: both[:1], Adopted: true}),
		checkpoint.NotifyComplete{Attempt: 3, ID: 4, Tasks: both[1:]},
	)
	expect(t, c.Step(now, checkpoint.TaskFinished{Attempt: 3, Task: sink}), checkpoint.FinishTasks{Attempt: 3})
	c = checkpoint.NewCoordinator(config, checkpoint.Recovered{Latest: &latest, Counter: 4})
	expect(
		t, c.Step(now, checkpoint.AttemptRunning{Attempt: 3, Tasks: both, Ended: both, Finished: both, Adopted: true}),
		checkpoint.FinishTasks{Attempt: 3},
	)

	// An attempt that was restored from a final checkpoint has to end once more.
	c = checkpoint.NewCoordinator(config, checkpoint.Recovered{Latest: &latest, Counter: 4})
	expect(
		t, c.Step(now, checkpoint.AttemptRunning{Attempt: 4, Tasks: both, Ended: both, Adopted: true}),
		checkpoint.NotifyComplete{Attempt: 4, ID: 4, Tasks: both},
		checkpoint.AllocateID{Allocation: 1},
	)
	actions := c.Step(now, checkpoint.IDAllocated{Allocation: 1, ID: 5})
	expect(
		t, actions,
		checkpoint.Started{ID: 5, Base: 4},
		checkpoint.TriggerTasks{Attempt: 4, ID: 5, Timestamp: now, Base: 4, Final: true},
	)
}

// TestDamagedByRetention hands an acknowledgement to retention, as the shell does:
// a file whose deletion was asked for makes the checkpoint fail before anything is
// recorded (rows c1, c2).
func TestDamagedByRetention(t *testing.T) {
	s := newScript(t, nil)
	r := checkpoint.NewRetention(1, nil)
	r.Step(s.now, checkpoint.FilesFound{Files: []checkpoint.File{{Name: "chk-1/0", Writer: 1}}, Counter: 1})
	for _, a := range s.until(10 * time.Second) {
		if e, ok := a.(checkpoint.RetentionEvent); ok {
			r.Step(s.now, e)
		}
	}
	var damaged []checkpoint.RetentionAction
	for _, a := range s.acknowledge(1, both...) {
		if e, ok := a.(checkpoint.RetentionEvent); ok {
			damaged = append(damaged, r.Step(s.now, e)...)
		}
	}
	want := checkpoint.Damaged{ID: 1, Name: "chk-1/0"}
	if len(damaged) != 1 || damaged[0] != checkpoint.RetentionAction(want) {
		t.Fatalf("retention answers %v", damaged)
	}
	equal(t, "aborted", len(of[checkpoint.Aborted](s.step(want))), 1)
	actions := s.step(checkpoint.MetadataWritten{ID: 1, File: metadata(1)})
	equal(t, "recorded", len(of[checkpoint.RecordCompletion](actions)), 0)
	equal(t, "unneeded", len(of[checkpoint.FilesUnneeded](actions)), 1)
}

// TestDeadlines lets time pass where nothing can be done about it: no Tick is
// asked for that would change nothing.
func TestDeadlines(t *testing.T) {
	t.Run("while an id is awaited", func(t *testing.T) {
		s := newScript(t, nil)
		s.silent = true
		equal(t, "actions", len(s.until(50*time.Second)), 1)
	})
	t.Run("while the job is about to fail", func(t *testing.T) {
		s := newScript(t, nil)
		s.until(10 * time.Second)
		s.step(checkpoint.TaskDeclined{Attempt: 1, ID: 1, Task: sink})
		equal(t, "actions", len(s.until(time.Hour)), 0)
	})
	t.Run("a late Tick does not move the rate", func(t *testing.T) {
		s := newScript(t, nil)
		s.now = s.start.Add(13 * time.Second)
		s.step(checkpoint.Tick{})
		s.complete(1)
		equal(t, "triggered", s.triggered(s.until(25*time.Second)), "2 at 20s; ")
	})
	t.Run("an old id after a trigger", func(t *testing.T) {
		s := newScript(t, func(c *checkpoint.Config) { c.MaxConcurrent, c.TolerableFailed = 2, 5 })
		s.until(10 * time.Second)
		s.silent = true
		s.until(20 * time.Second)
		equal(t, "triggered", s.triggered(s.step(checkpoint.IDAllocated{Allocation: 2, ID: 1})), "")
	})
	t.Run("an id after the job failed", func(t *testing.T) {
		s := newScript(t, func(c *checkpoint.Config) { c.MaxConcurrent = 2 })
		s.until(10 * time.Second)
		s.silent = true
		s.until(20 * time.Second)
		s.step(checkpoint.TaskDeclined{Attempt: 1, ID: 1, Task: sink})
		equal(t, "triggered", s.triggered(s.step(checkpoint.IDAllocated{Allocation: 2, ID: 2})), "")
	})
}

// TestRequestsOfTheEnd answers requests whose checkpoint gave way to the final one,
// and those that came while that was under way, with the final one.
func TestRequestsOfTheEnd(t *testing.T) {
	s := newScript(t, nil)
	s.step(checkpoint.Requested{Request: 1})
	s.step(checkpoint.TaskEnded{Attempt: 1, Task: source})
	s.step(checkpoint.TaskEnded{Attempt: 1, Task: sink})
	s.step(checkpoint.Requested{Request: 2})
	equal(t, "answers", len(of[checkpoint.AnswerRequest](s.all)), 0)
	equal(t, "answers", fmt.Sprint(of[checkpoint.AnswerRequest](s.complete(2))), "[{2 2 } {1 2 }]")
}

// TestAllocationOfAnotherAttempt does not trigger what an attempt asked for that
// is over.
func TestAllocationOfAnotherAttempt(t *testing.T) {
	s := newScript(t, nil)
	s.silent = true
	s.until(10 * time.Second)
	s.step(checkpoint.AttemptOver{Attempt: 1})
	s.step(checkpoint.AttemptRunning{Attempt: 2, Tasks: both})
	equal(t, "triggered", s.triggered(s.step(checkpoint.IDAllocated{Allocation: 1, ID: 1})), "")
	expect(t, s.until(20*time.Second), checkpoint.AllocateID{Allocation: 2})
	equal(t, "triggered with a skipped id", s.triggered(s.step(checkpoint.IDAllocated{Allocation: 2, ID: 1})), "")
}

// TestExpiredReasons says what a checkpoint that took too long waited for.
func TestExpiredReasons(t *testing.T) {
	prefix := "checkpoint 1 expired after execution.checkpointing.timeout (1m0s): "
	for want, before := range map[string]func(s *script){
		"2 of 2 tasks have not acknowledged, the first is vertex 0 subtask 0": func(*script) {},
		"1 of 2 tasks have not acknowledged, the first is vertex 1 subtask 0": func(s *script) { s.acknowledge(1, source) },
		"its metadata is not written":                                         func(s *script) { s.acknowledge(1, both...) },
		"the metadata store has not said whether it has it": func(s *script) {
			s.acknowledge(1, both...)
			s.step(checkpoint.MetadataWritten{ID: 1, File: metadata(1)})
		},
	} {
		s := newScript(t, func(c *checkpoint.Config) { c.Interval = time.Hour })
		s.step(checkpoint.Requested{Request: 1})
		before(s)
		if f := of[checkpoint.FailJob](s.until(time.Minute)); len(f) != 1 || !strings.HasSuffix(f[0].Reason, prefix+want) {
			t.Errorf("got %v, want %q", f, prefix+want)
		}
	}
}

// TestFinishedTasks counts a task that has finished as one that has ended and
// answered, whatever else was heard of it.
func TestFinishedTasks(t *testing.T) {
	s := newScript(t, nil)
	s.until(10 * time.Second)
	s.complete(1)
	s.step(checkpoint.SinksCommitted{Attempt: 1, ID: 1, Task: source})
	expect(t, s.step(checkpoint.TaskFinished{Attempt: 1, Task: source}))
	equal(t, "dropped", len(of[checkpoint.MessageDropped](s.step(checkpoint.TaskFinished{Attempt: 1, Task: source}))), 1)
	expect(t, s.until(15*time.Second), checkpoint.NotifyComplete{Attempt: 1, ID: 1, Tasks: []ids.Subtask{sink}})
	equal(t, "triggered", s.triggered(s.step(checkpoint.TaskEnded{Attempt: 1, Task: sink})), "2 at 15s; ")
	s.step(checkpoint.AttemptOver{Attempt: 1})
	equal(t, "dropped", len(of[checkpoint.MessageDropped](s.step(checkpoint.TaskFinished{Attempt: 1, Task: sink}))), 1)

	s.step(checkpoint.AttemptRunning{Attempt: 2, Tasks: both, Finished: both[:1]})
	equal(t, "triggered", s.triggered(s.step(checkpoint.TaskEnded{Attempt: 2, Task: sink})), "3 at 15s; ")
	for _, task := range both {
		s.step(acknowledgement(2, 3, task))
	}
	s.step(checkpoint.MetadataWritten{ID: 3, File: metadata(3)})
	s.step(checkpoint.Recorded{ID: 3})
	actions := s.step(checkpoint.SinksCommitted{Attempt: 1, ID: 3, Task: sink})
	equal(t, "an answer of another attempt", len(of[checkpoint.MessageDropped](actions)), 1)
	expect(t, s.step(checkpoint.SinksCommitted{Attempt: 2, ID: 3, Task: sink}), checkpoint.FinishTasks{Attempt: 2})
}

// TestDamagedTooLate leaves a checkpoint to the store that was asked for it.
func TestDamagedTooLate(t *testing.T) {
	s := newScript(t, nil)
	s.until(10 * time.Second)
	s.acknowledge(1, both...)
	s.step(checkpoint.MetadataWritten{ID: 1, File: metadata(1)})
	equal(t, "dropped", len(of[checkpoint.MessageDropped](s.step(checkpoint.Damaged{ID: 1}))), 1)
	equal(t, "completed", len(of[checkpoint.Completed](s.step(checkpoint.Recorded{ID: 1}))), 1)
}

// TestConfigurations refuses those with which no coordinator could work.
func TestConfigurations(t *testing.T) {
	for name, change := range map[string]func(*checkpoint.Config){
		"interval":       func(c *checkpoint.Config) { c.Interval = -1 },
		"min-pause":      func(c *checkpoint.Config) { c.MinPause = -1 },
		"timeout":        func(c *checkpoint.Config) { c.Timeout = 0 },
		"max-concurrent": func(c *checkpoint.Config) { c.MaxConcurrent = 0 },
		"tolerable":      func(c *checkpoint.Config) { c.TolerableFailed = -1 },
	} {
		config := checkpoint.DefaultConfig()
		change(&config)
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: %+v is accepted", name, config)
				}
			}()
			checkpoint.NewCoordinator(config, checkpoint.Recovered{})
		}()
	}
}
