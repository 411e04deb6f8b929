package checkpoint

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// simJobManager is the shell around the machines, as thin as the real one: it
// dies at any moment and another one is made from what the store has.
type simJobManager struct {
	w     *world
	epoch int
	c     *Coordinator
	r     *Retention

	dead bool
	// restart is when the next attempt may start, zero if one runs.
	restart   time.Time
	restoring *Record
	running   bool
	// unread are the checkpoints whose metadata could not be read.
	unread []Record
	// counter is that of the store at the start.
	counter ID
}

// boot starts a JobManager.
func (w *world) boot() {
	w.store.epoch++
	j := &simJobManager{w: w, epoch: w.store.epoch, counter: w.store.counter}
	w.jm = j
	w.census.Boots++
	j.c = NewCoordinator(w.config, Recovered{Latest: w.store.newest(), Counter: w.store.counter})
	j.c.rules = w.rules
	var found []StoredCheckpoint
	for _, id := range slices.Sorted(maps.Keys(w.store.records)) {
		r := w.store.records[id]
		s := StoredCheckpoint{ID: r.ID, Metadata: r.Metadata, Files: r.Files}
		if w.happens(w.faults.unreadable) {
			w.census.Unreadable++
			s = StoredCheckpoint{ID: r.ID, Unreadable: true}
			j.unread = append(j.unread, r)
		}
		found = append(found, s)
	}
	j.r = NewRetention(w.retained, found)
	j.r.rules = w.rules
	if o := w.store.original; o != nil {
		j.retentionStep(UnclaimedCheckpoint{Files: o.Files})
	}
	j.recoverAttempt()
	if !j.dead {
		j.retentionStep(j.list())
	}
}

// list is what storage has of the job.
func (j *simJobManager) list() FilesFound {
	found := FilesFound{Counter: j.counter}
	for _, f := range j.w.storage {
		if !f.given || j.w.store.original == nil {
			found.Files = append(found.Files, f.File)
		}
	}
	slices.SortFunc(found.Files, func(a, b File) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return found
}

// recoverAttempt adopts the tasks that run, or has them started again.
func (j *simJobManager) recoverAttempt() {
	w := j.w
	if w.store.ended != "" {
		w.kill()
		j.retentionStep(JobEnded{Delete: w.deletes()})
		return
	}
	whole := len(w.tasks) > 0
	for _, t := range w.tasks {
		whole = whole && !t.dead && t.restored
	}
	if !whole || w.happens(30) {
		w.kill()
		j.restart = w.now.Add(time.Second)
		return
	}
	w.census.Adopted++
	running := AttemptRunning{Attempt: w.store.attempts, Adopted: true}
	for _, t := range w.tasks {
		running.Tasks = append(running.Tasks, t.id)
		if t.ended {
			running.Ended = append(running.Ended, t.id)
		}
		if t.finished {
			running.Finished = append(running.Finished, t.id)
		}
	}
	j.running = true
	j.step(running)
}

// step gives the coordinator an event and carries out what it answers. The
// JobManager may die after any of the actions.
func (j *simJobManager) step(e Event) {
	if j.dead {
		return
	}
	if e, ok := e.(AttemptOver); ok && e.Attempt != j.w.store.attempts {
		return
	}
	j.w.census.Steps++
	actions := j.c.Step(j.w.now, e)
	j.w.checkCoordinator(j.c)
	for _, a := range actions {
		if e, ok := a.(RetentionEvent); ok {
			j.retentionStep(e)
		}
		j.act(a)
		j.w.point()
		if j.w.happens(j.w.faults.midStep) {
			j.w.crashJobManager()
		}
		if j.dead {
			return
		}
	}
}

func (j *simJobManager) act(a Action) {
	w := j.w
	switch a := a.(type) {
	case AllocateID:
		j.allocate(a)
	case TriggerTasks:
		w.census.Triggered++
		w.checkTrigger(j.c, a)
		w.toTasks(a.Attempt, nil, func(t *simTask) { t.trigger(a) })
	case AbortTasks:
		w.census.Aborted++
		w.toTasks(a.Attempt, nil, func(t *simTask) { t.abortCheckpoint(a) })
	case WriteMetadata:
		j.writeMetadata(a)
	case RecordCompletion:
		j.record(a.Checkpoint)
	case ReadRecord:
		j.read(a.ID)
	case NotifyComplete:
		w.toTasks(a.Attempt, a.Tasks, func(t *simTask) { t.complete(a.ID) })
	case FinishTasks:
		w.toTasks(a.Attempt, nil, func(t *simTask) { t.finish() })
	case FailJob:
		w.census.Failed++
		j.endAttempt(a.Reason)
	case Completed:
		w.completed(a.Checkpoint)
	case MessageDropped:
		w.census.Dropped++
	case AnswerRequest:
		w.census.Answered++
	}
}

// ifAlive returns what gives the coordinator an event if it still lives.
func (j *simJobManager) ifAlive(e Event) func() {
	return func() { j.step(e) }
}

func (j *simJobManager) allocate(a AllocateID) {
	refused := j.ifAlive(IDRefused{Allocation: a.Allocation, Reason: "the store did not answer"})
	j.w.ask(simOp{name: "allocate", by: j, store: true, apply: func() func() {
		if j.epoch != j.w.store.epoch {
			return refused
		}
		j.w.store.counter++
		return j.ifAlive(IDAllocated{Allocation: a.Allocation, ID: j.w.store.counter})
	}, unknown: refused, failed: refused})
}

func (j *simJobManager) writeMetadata(a WriteMetadata) {
	f := &simFile{
		File: File{Name: fmt.Sprintf("chk-%d/_metadata", a.ID), Writer: a.ID},
		meta: &simMetadata{id: a.ID, attempt: a.Attempt, tasks: slices.Clone(a.Tasks), final: a.Final},
	}
	j.w.put(j, f, j.ifAlive(MetadataWritten{ID: a.ID, File: f.File}), j.ifAlive(MetadataFailed{ID: a.ID, Reason: "storage failed"}))
}

func (j *simJobManager) record(r Record) {
	if j.c.latest != nil && r.ID <= j.c.latest.ID {
		j.w.failf("S6: checkpoint %d is recorded after %d", r.ID, j.c.latest.ID)
	}
	failed := j.ifAlive(RecordFailed{ID: r.ID, Reason: "the store refused"})
	j.w.ask(simOp{name: fmt.Sprintf("record %d", r.ID), by: j, store: true, apply: func() func() {
		if !j.w.record(r, j.epoch) {
			return failed
		}
		return j.ifAlive(Recorded{ID: r.ID})
	}, unknown: j.ifAlive(RecordUnknown{ID: r.ID, Reason: "the store did not answer"}), failed: failed})
}

func (j *simJobManager) read(id ID) {
	unread := j.ifAlive(RecordUnread{ID: id})
	j.w.ask(simOp{name: fmt.Sprintf("read %d", id), by: j, store: true, apply: func() func() {
		_, found := j.w.store.records[id]
		return j.ifAlive(RecordRead{ID: id, Found: found})
	}, unknown: unread, failed: unread})
}

func (j *simJobManager) retentionStep(e RetentionEvent) {
	for _, a := range j.r.Step(j.w.now, e) {
		if j.dead {
			return
		}
		switch a := a.(type) {
		case RemovePointer:
			j.removePointer(a.ID)
		case DeleteFiles:
			for _, name := range a.Names {
				j.delete(name)
			}
		case Damaged:
			// Names are not used twice and bases are kept, so this has no cause here.
			j.w.failf("R1: checkpoint %d names the file %s, which is deleted", a.ID, a.Name)
		case FilesKept:
			j.w.failf("files are kept though their writer is known: %v", a.Names)
		}
		j.w.point()
	}
}

func (j *simJobManager) ifAliveRetention(e RetentionEvent) func() {
	return func() {
		if !j.dead {
			j.retentionStep(e)
		}
	}
}

func (j *simJobManager) removePointer(id ID) {
	not := j.ifAliveRetention(PointerNotRemoved{ID: id, Reason: "the store did not answer"})
	j.w.ask(simOp{name: fmt.Sprintf("forget %d", id), by: j, store: true, apply: func() func() {
		if j.epoch != j.w.store.epoch {
			j.w.census.Fenced++
			return not
		}
		if n := j.w.store.newest(); n != nil && n.ID == id && j.w.store.ended == "" {
			j.w.failf("S9: the pointer of checkpoint %d is removed, which is the newest", id)
		}
		delete(j.w.store.records, id)
		return j.ifAliveRetention(PointerRemoved{ID: id})
	}, unknown: not, failed: not})
}

func (j *simJobManager) delete(name string) {
	not := j.ifAliveRetention(FilesNotDeleted{Names: []string{name}, Reason: "storage did not answer"})
	j.w.ask(simOp{name: "delete " + name, by: j, apply: func() func() {
		j.w.remove(name)
		return j.ifAliveRetention(FilesDeleted{Names: []string{name}})
	}, unknown: not, failed: not})
}

// endAttempt kills the tasks and has them started again.
func (j *simJobManager) endAttempt(reason string) {
	j.w.kill()
	if j.restoring != nil {
		j.retentionStep(RestoreEnded{ID: j.restoring.ID})
		j.restoring = nil
	}
	j.restart = j.w.now.Add(time.Second)
	if j.running {
		j.running = false
		j.step(AttemptOver{Attempt: j.w.store.attempts, Reason: reason})
	}
}

// work does what the rest of a JobManager does: start attempts, see that they
// are restored, and end the job.
func (j *simJobManager) work() {
	w := j.w
	if slices.ContainsFunc(w.tasks, func(t *simTask) bool { return t.dead }) {
		j.endAttempt("a worker died")
	}
	if j.dead {
		return
	}
	if w.store.ended != "" {
		j.reload()
		return
	}
	switch {
	case !j.restart.IsZero() && !j.restart.After(w.now):
		latest, settled := j.c.RestorePoint()
		if !settled {
			return
		}
		j.restart = time.Time{}
		j.start(latest)
	case !j.running && j.restart.IsZero():
		j.checkRestored()
	case j.running:
		finished := true
		for _, t := range w.tasks {
			finished = finished && t.finished
		}
		if finished {
			w.end("FINISHED")
		}
	}
	j.reload()
}

// reload reads metadata that could not be read before.
func (j *simJobManager) reload() {
	if len(j.unread) > 0 && (j.w.fair || j.w.happens(5)) {
		r := j.unread[0]
		j.unread = j.unread[1:]
		j.retentionStep(Loaded{ID: r.ID, Metadata: r.Metadata, Files: r.Files})
		j.retentionStep(j.list())
	}
}

func (j *simJobManager) start(from *Record) {
	w := j.w
	w.store.attempts++
	if from == nil {
		from = w.store.original
	}
	if from != nil {
		w.census.Restored++
		j.restoring = from
		j.retentionStep(RestoreStarted{ID: from.ID})
	}
	w.deploy(from)
}

// checkRestored lets the attempt run once all tasks are restored.
func (j *simJobManager) checkRestored() {
	running := AttemptRunning{Attempt: j.w.store.attempts}
	for _, t := range j.w.tasks {
		if !t.restored {
			return
		}
		running.Tasks = append(running.Tasks, t.id)
	}
	if len(running.Tasks) == 0 {
		return
	}
	if j.restoring != nil {
		j.retentionStep(RestoreEnded{ID: j.restoring.ID})
		j.restoring = nil
	}
	j.running = true
	j.w.runningSince, j.w.completedSince = j.w.now, 0
	j.step(running)
}

// deadline is when one of the machines has to be told the time.
func (j *simJobManager) deadline() (time.Time, bool) {
	c, okC := j.c.Deadline()
	r, okR := j.r.Deadline()
	switch {
	case okC && (!okR || c.Before(r)):
		return c, true
	case okR:
		return r, true
	case !j.restart.IsZero():
		return j.restart, true
	}
	return time.Time{}, false
}
