package checkpoint

import (
	"fmt"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/ids"
)

type task = ids.Subtask

// phase is where a checkpoint is in its life. It only moves on, but for reading,
// from which it may go back to recording.
type phase uint8

const (
	// acknowledging: its tasks were triggered.
	acknowledging phase = iota
	// writing: all have acknowledged, its metadata is being written.
	writing
	// written: it waits for its turn to be recorded.
	written
	// recording: the store was asked to record it. From here on only the store
	// decides whether it completes.
	recording
	// reading: the store is asked whether it has recorded it.
	reading
	// completed: the store has it.
	completed
)

// pending is a checkpoint from its trigger to its end.
type pending struct {
	id        ID
	attempt   ids.Attempt
	triggered time.Time
	// deadline is when it has taken too long.
	deadline time.Time
	phase    phase
	final    bool
	// tasks has the place of each task in acknowledged, and is not changed.
	tasks        map[task]int
	acknowledged []*Acknowledgement
	count        int
	requests     []uint64
	metadata     File
	// unclear says that an answer of the store did not tell whether it recorded
	// the checkpoint, and retry when it is asked again.
	unclear bool
	retry   time.Time
}

func (c *Coordinator) find(id ID) *pending {
	for _, p := range c.pending {
		if p.id == id {
			return p
		}
	}
	return nil
}

func (c *Coordinator) taskAcknowledged(e TaskAcknowledged) {
	p := c.find(e.ID)
	if p == nil || p.attempt != e.Attempt {
		// It was aborted, or belongs to a coordinator before this one, or has
		// completed long ago; retention knows which of the files somebody names.
		c.drop(e, e.Attempt, e.ID, "the checkpoint is not pending in this attempt")
		c.unneeded(e.Files)
		return
	}
	i, ok := p.tasks[e.Task]
	if !ok || p.acknowledged[i] != nil {
		c.drop(e, e.Attempt, e.ID, "%s is unknown or has acknowledged before", e.Task)
		c.unneeded(e.Files)
		return
	}
	a := e.Acknowledgement
	p.acknowledged[i] = &a
	p.count++
	c.stored(p, e.Files)
	if c.rules.acknowledgedByAll(p.count, len(p.tasks)) {
		c.writeMetadata(p)
	}
}

func (c *Coordinator) stored(p *pending, files []File) {
	if len(files) > 0 {
		c.do(FilesStored{ID: p.id, Files: files})
	}
}

func (c *Coordinator) unneeded(files []File) {
	if len(files) > 0 {
		c.do(FilesUnneeded{Files: files})
	}
}

func (c *Coordinator) taskDeclined(e TaskDeclined) {
	p := c.find(e.ID)
	if p == nil || p.attempt != e.Attempt || p.phase != acknowledging {
		c.drop(e, e.Attempt, e.ID, "the checkpoint does not wait for tasks of this attempt")
		return
	}
	c.abortFailed(p, fmt.Sprintf("%s declined: %s", e.Task, e.Reason))
}

// damaged gives a checkpoint up that names a file which is being deleted.
func (c *Coordinator) damaged(e Damaged) {
	p := c.find(e.ID)
	if p == nil || p.phase >= recording {
		c.drop(e, 0, e.ID, "the checkpoint is not pending")
		return
	}
	c.abortFailed(p, fmt.Sprintf("it names the file %s, which is being deleted", e.Name))
}

func (c *Coordinator) writeMetadata(p *pending) {
	c.advance(p, writing)
	w := WriteMetadata{ID: p.id, Attempt: p.attempt, Timestamp: p.triggered, Final: p.final}
	for _, a := range p.acknowledged {
		if a != nil {
			w.Tasks = append(w.Tasks, *a)
		}
	}
	c.do(w)
}

// advance moves a checkpoint on, and tells the sinks when it is time (C4).
func (c *Coordinator) advance(p *pending, to phase) {
	p.phase = to
	if c.rules.committable(to) && p.attempt == c.attempt && c.running {
		c.notify(p.id)
	}
}

func (c *Coordinator) metadataWritten(e MetadataWritten) {
	p := c.find(e.ID)
	if p == nil {
		c.drop(e, 0, e.ID, "the checkpoint was aborted before")
		c.unneeded([]File{e.File})
		return
	}
	if p.phase != writing {
		c.drop(e, 0, e.ID, "it was written before")
		return
	}
	p.metadata = e.File
	c.stored(p, []File{e.File})
	c.advance(p, written)
}

func (c *Coordinator) metadataFailed(e MetadataFailed) {
	p := c.find(e.ID)
	if p == nil || p.phase != writing {
		c.drop(e, 0, e.ID, "it is not being written")
		return
	}
	c.abortFailed(p, "its metadata could not be written: "+e.Reason)
}

// recordNext asks the store to record the oldest checkpoint that is ready. One
// at a time, so that the store never has an older one after a newer one (C6).
func (c *Coordinator) recordNext() {
	for _, p := range c.pending {
		if p.phase >= recording {
			return
		}
	}
	for _, p := range c.pending {
		if c.rules.recordable(p.phase) {
			c.advance(p, recording)
			c.do(RecordCompletion{Checkpoint: p.record()})
			return
		}
	}
}

// record returns what the store keeps of a checkpoint.
func (p *pending) record() Record {
	r := Record{ID: p.id, Attempt: p.attempt, Triggered: p.triggered, Metadata: p.metadata.Name, Final: p.final}
	named := map[string]struct{}{}
	add := func(f File) {
		if _, twice := named[f.Name]; !twice {
			named[f.Name] = struct{}{}
			r.Files = append(r.Files, f)
		}
	}
	add(p.metadata)
	for _, a := range p.acknowledged {
		if a == nil {
			continue
		}
		r.StateSize += a.StateSize
		r.StoredSize += a.StoredSize
		for _, f := range a.Files {
			add(f)
		}
	}
	return r
}

func (c *Coordinator) recorded(id ID, e Event) {
	p := c.find(id)
	if p == nil || p.phase < recording {
		c.drop(e, 0, id, "it is not being recorded")
		return
	}
	c.complete(p)
}

// recordAnswered takes in that the store did not say yes. Only a first and
// definite no aborts the checkpoint; after everything else the store is read, and
// asked again if it does not have the checkpoint, since a write of which nobody
// knows may still be on its way (C5).
func (c *Coordinator) recordAnswered(id ID, answer recordAnswer, reason string, e Event) {
	p := c.find(id)
	switch {
	case p == nil || p.phase < recording:
		c.drop(e, 0, id, "it is not being recorded")
	case c.rules.refuted(answer, p.unclear):
		c.abortFailed(p, "it could not be recorded: "+reason)
	case p.phase == recording:
		p.unclear = true
		c.advance(p, reading)
		c.do(ReadRecord{ID: id})
	}
}

func (c *Coordinator) recordRead(e RecordRead) {
	p := c.find(e.ID)
	switch {
	case p == nil || p.phase < recording:
		c.drop(e, 0, e.ID, "it is not being recorded")
	case e.Found:
		c.complete(p)
	case p.phase == reading && p.retry.IsZero():
		c.advance(p, recording)
		p.retry = c.now.Add(retryAfter)
	}
}

func (c *Coordinator) recordUnread(e RecordUnread) {
	p := c.find(e.ID)
	if p == nil || p.phase != reading {
		c.drop(e, 0, e.ID, "it is not being read")
		return
	}
	p.retry = c.now.Add(retryAfter)
}

// askAgain repeats what the store has not answered.
func (c *Coordinator) askAgain(p *pending) {
	if p.phase == reading {
		c.do(ReadRecord{ID: p.id})
		return
	}
	c.do(RecordCompletion{Checkpoint: p.record()})
}

// complete takes in that the store has a checkpoint: those before it are not
// needed any more, and sinks may commit.
func (c *Coordinator) complete(p *pending) {
	c.remove(p)
	c.failures = 0
	c.lastCompletion = c.now
	record := p.record()
	if c.latest == nil || c.latest.ID < record.ID {
		c.latest = &record
	}
	c.history.completed(p, record, c.now)
	c.do(Completed{Checkpoint: record})
	for _, other := range slices.Clone(c.pending) {
		if c.rules.subsumes(p.id, other.id) {
			c.abort(other, fmt.Sprintf("checkpoint %d subsumes it", p.id))
		}
	}
	if p.attempt == c.attempt && c.rules.final(p.final, c.allEnded()) {
		c.finished = p.id
		c.answer(c.requests, p.id, "")
		c.requests = nil
	}
	c.advance(p, completed)
	c.answer(p.requests, p.id, "")
}

// expire gives up a checkpoint that takes too long. One that the store was asked
// for stays until the store has answered, and counts as failed each time: a job
// must not look healthy while no checkpoint can be recorded (row c7).
func (c *Coordinator) expire(p *pending) {
	p.deadline = c.now.Add(c.config.Timeout)
	reason := fmt.Sprintf("checkpoint %d expired after execution.checkpointing.timeout (%s): %s", p.id, c.config.Timeout, p.lacks())
	if p.phase < recording {
		c.abort(p, reason)
	}
	c.failedBy(p, reason)
}

// lacks says what a checkpoint waits for.
func (p *pending) lacks() string {
	switch p.phase {
	case acknowledging:
		var missing []task
		for t, i := range p.tasks {
			if p.acknowledged[i] == nil {
				missing = append(missing, t)
			}
		}
		slices.SortFunc(missing, func(a, b task) int { return p.tasks[a] - p.tasks[b] })
		return fmt.Sprintf("%d of %d tasks have not acknowledged, the first is %s", len(missing), len(p.tasks), missing[0])
	case writing:
		return "its metadata is not written"
	case written:
		return "an older checkpoint is still being recorded"
	case recording, reading, completed:
	}
	return "the metadata store has not said whether it has it"
}

// abortFailed gives a checkpoint up and counts it as failed.
func (c *Coordinator) abortFailed(p *pending, reason string) {
	reason = fmt.Sprintf("checkpoint %d: %s", p.id, reason)
	c.abort(p, reason)
	c.failedBy(p, reason)
}

// failedBy counts a checkpoint that failed, but not against an attempt that did
// not trigger it.
func (c *Coordinator) failedBy(p *pending, reason string) {
	if p.attempt == c.attempt {
		c.fail(reason)
	}
}

// abort gives a checkpoint up. The tasks are told before anything else that they
// could be told (row a7).
func (c *Coordinator) abort(p *pending, reason string) {
	c.remove(p)
	if p.attempt == c.attempt && c.running {
		c.do(AbortTasks{Attempt: p.attempt, ID: p.id, Reason: reason})
	}
	c.do(Aborted{ID: p.id, Reason: reason})
	c.history.aborted(p, reason, c.now)
	c.answer(p.requests, 0, reason)
}

func (c *Coordinator) remove(p *pending) {
	c.pending = slices.DeleteFunc(c.pending, func(other *pending) bool { return other == p })
}
