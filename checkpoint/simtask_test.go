package checkpoint

import (
	"fmt"
	"maps"
	"slices"

	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/key"
)

// simTask is a task: a source (vertex 0), or a keyed operator with a sink in one
// chain (vertex 1).
type simTask struct {
	w       *world
	id      ids.Subtask
	attempt ids.Attempt
	dead    bool
	// restored says that it runs, ended that its input has ended.
	restored, ended, finished bool

	// last is the newest checkpoint that it took its snapshot for, void are those
	// that it was told not to take one for, voidTo all up to here.
	last, voidTo ID
	void         map[ID]bool
	triggers     map[ID]TriggerTasks

	positions []simPosition // of a source
	outputs   []*simTask

	// The rest is of a keyed task.
	groups    KeyRange
	inputs    []*simChannel
	aligning  ID
	counts    map[int]int
	versions  [simPages]int
	manifests map[ID][simPages]simPageName
	open      []simRecord
	commits   *Commits
}

// simChannel is what one source has sent to one keyed task.
type simChannel struct {
	queue []simItem
	// delivered is the barrier at which it waits for the others.
	delivered ID
	ended     bool
}

// simItem is a record, a barrier, or the end of a channel.
type simItem struct {
	record  simRecord
	barrier *TriggerTasks
	end     bool
}

func (t *simTask) source() bool { return t.id.Vertex == 0 }

// progress does some of a task's work.
func (t *simTask) progress() {
	switch {
	case t.dead || !t.restored:
	case t.ended:
		if t.w.happens(20) {
			t.sayEnded()
		}
	case t.source():
		t.read()
	default:
		t.process()
	}
}

func (t *simTask) sayEnded() {
	if !t.ended || t.dead {
		return
	}
	if t.finished {
		t.w.toJobManager(TaskFinished{Attempt: t.attempt, Task: t.id})
		return
	}
	t.w.toJobManager(TaskEnded{Attempt: t.attempt, Task: t.id})
}

// read emits the next record, or the end of the input.
func (t *simTask) read() {
	left := false
	for _, i := range t.w.rng.Perm(len(t.positions)) {
		p := &t.positions[i]
		if p.next < t.w.limit {
			r := simRecord{p.partition, p.next}
			p.next++
			to := t.outputs[key.Subtask(simHash(r.key()), len(t.outputs))]
			to.inputs[t.id.Index].queue = append(to.inputs[t.id.Index].queue, simItem{record: r})
			return
		}
		left = left || p.next < t.w.records
	}
	if left {
		return // It has to wait for more input.
	}
	t.ended = true
	t.emit(simItem{end: true})
	t.sayEnded()
}

func (t *simTask) emit(item simItem) {
	for _, to := range t.outputs {
		c := to.inputs[t.id.Index]
		c.queue = append(c.queue, item)
	}
}

// process takes in the next item of some channel that is not blocked.
func (t *simTask) process() {
	for _, i := range t.w.rng.Perm(len(t.inputs)) {
		c := t.inputs[i]
		if c.delivered != 0 || len(c.queue) == 0 {
			continue
		}
		item := c.queue[0]
		c.queue = c.queue[1:]
		switch {
		case item.barrier != nil:
			t.barrier(c, *item.barrier)
		case item.end:
			c.ended = true
			t.aligned()
			t.allEnded()
		default:
			k := item.record.key()
			t.counts[k]++
			t.versions[k%simPages]++
			t.open = append(t.open, item.record)
		}
		return
	}
}

func (t *simTask) barrier(c *simChannel, trigger TriggerTasks) {
	id := trigger.ID
	if id <= t.last || id < t.aligning || t.isVoid(id) {
		return
	}
	t.triggers[id] = trigger
	if t.aligning != 0 && id > t.aligning {
		// The older one lacks a barrier, and will not get it any more.
		t.decline(t.aligning, "a newer barrier came")
		t.release()
	}
	t.aligning, c.delivered = id, id
	t.aligned()
}

func (t *simTask) isVoid(id ID) bool { return id <= t.voidTo || t.void[id] }

func (t *simTask) release() {
	t.aligning = 0
	for _, c := range t.inputs {
		c.delivered = 0
	}
}

// aligned takes the snapshot once every channel has delivered its barrier or has
// ended.
func (t *simTask) aligned() {
	if t.aligning == 0 {
		return
	}
	for _, c := range t.inputs {
		if !c.ended && c.delivered != t.aligning {
			return
		}
	}
	id := t.aligning
	t.release()
	t.snapshot(t.triggers[id])
}

func (t *simTask) allEnded() {
	for _, c := range t.inputs {
		if !c.ended {
			return
		}
	}
	t.ended = true
	t.sayEnded()
	for _, id := range slices.Sorted(maps.Keys(t.triggers)) {
		t.trigger(t.triggers[id])
	}
}

// trigger takes in that the JobManager wants a checkpoint.
func (t *simTask) trigger(a TriggerTasks) {
	if t.dead || !t.restored || t.finished || a.ID <= t.last || t.isVoid(a.ID) {
		return
	}
	t.triggers[a.ID] = a
	if t.source() {
		if !t.ended {
			t.emit(simItem{barrier: &a})
		}
		t.snapshot(a)
	} else if t.ended {
		t.snapshot(a)
	}
}

func (t *simTask) abortCheckpoint(a AbortTasks) {
	t.void[a.ID] = true
	if a.Earlier {
		t.voidTo = max(t.voidTo, a.ID)
	}
	if t.aligning != 0 && t.isVoid(t.aligning) {
		t.release()
	}
}

func (t *simTask) decline(id ID, reason string) {
	t.w.census.Declined++
	t.w.toJobManager(TaskDeclined{Attempt: t.attempt, ID: id, Task: t.id, Reason: reason})
}

// snapshot captures the state and stores it.
func (t *simTask) snapshot(a TriggerTasks) {
	t.last = a.ID
	part := &simPart{task: t.id, attempt: t.attempt, positions: slices.Clone(t.positions)}
	own := &simFile{File: File{Name: fmt.Sprintf("chk-%d/%d-%d", a.ID, t.id.Vertex, t.id.Index), Writer: a.ID}, part: part}
	written := []*simFile{own}
	ack := Acknowledgement{Task: t.id, Handle: []byte(own.Name), Files: []File{own.File}}
	if !t.source() {
		t.prepare(a.ID)
		part.groups, part.uncommitted = t.groups, t.commits.Outstanding()
		base, known := t.manifests[a.Base]
		for i := range simPages {
			name := simPageName{version: t.versions[i]}
			if known && base[i].version == name.version && base[i].file.Name != "" {
				name.file = base[i].file
				t.w.census.Shared++
			} else {
				f := t.pageFile(a.ID, i)
				name.file = f.File
				written = append(written, f)
			}
			part.pages[i] = name
			ack.Files = append(ack.Files, name.file)
		}
		t.manifests[a.ID] = part.pages
	}
	left, declined := len(written), false
	for _, f := range written {
		t.w.put(t, f, func() {
			if left--; left == 0 && !declined && !t.dead {
				t.w.toJobManager(TaskAcknowledged{Attempt: t.attempt, ID: a.ID, Acknowledgement: ack})
			}
		}, func() {
			if !declined && !t.dead {
				declined = true
				t.decline(a.ID, "storage failed")
			}
		})
	}
}

func (t *simTask) pageFile(id ID, page int) *simFile {
	content := &simPage{counts: map[int]int{}}
	for k, n := range t.counts {
		if k%simPages == page {
			content.counts[k] = n
		}
	}
	return &simFile{File: File{Name: fmt.Sprintf("shared/%d-%d-%d", id, t.id.Index, page), Writer: id}, page: content}
}

// prepare closes the sink's transaction.
func (t *simTask) prepare(id ID) {
	prepared := CommittablesPrepared{Checkpoint: id}
	if len(t.open) > 0 {
		name := fmt.Sprintf("%d/%d/%d", t.attempt, t.id.Index, id)
		t.w.external.transactions[name] = t.open
		prepared.Data = [][]byte{[]byte(name)}
		t.open = nil
	}
	t.commitStep(prepared)
}

// complete takes in that a checkpoint has completed.
func (t *simTask) complete(id ID) {
	if t.dead || t.finished {
		return
	}
	if t.source() {
		t.w.toJobManager(SinksCommitted{Attempt: t.attempt, ID: id, Task: t.id})
		return
	}
	t.commitStep(CompletionNotified{Checkpoint: id})
}

func (t *simTask) commitStep(e CommitEvent) {
	for _, a := range t.commits.Step(t.w.now, e) {
		switch a := a.(type) {
		case Commit:
			t.commitOne(a)
		case CommitsConfirmed:
			t.w.toJobManager(SinksCommitted{Attempt: t.attempt, ID: a.Checkpoint, Task: t.id})
		case TaskFailed:
			t.w.failf("a commit failed for good, which nothing here does: %s", a.Reason)
		}
	}
}

func (t *simTask) commitOne(a Commit) {
	if t.commits.Recovering() && !slices.ContainsFunc(t.commits.outstanding, func(c *commit) bool { return c.number == a.Number && c.restored }) {
		t.w.failf("S3: %s is committed before what was restored", a.Data)
	}
	answer := func(e CommitEvent) func() {
		return func() {
			if !t.dead {
				t.commitStep(e)
			}
		}
	}
	failed := answer(CommitFailed{Number: a.Number, Reason: "the system did not answer"})
	t.w.ask(simOp{name: "commit " + string(a.Data), by: t, apply: func() func() {
		t.w.commit(string(a.Data))
		return answer(Committed{Number: a.Number})
	}, unknown: failed, failed: failed})
}

// finish takes in that the task may end, and checks that nothing is lost by it.
func (t *simTask) finish() {
	if t.dead || t.finished {
		return
	}
	if !t.ended {
		t.w.failf("C8: %s may finish, and its input has not ended", t.id)
	}
	if !t.source() && (len(t.commits.Outstanding()) > 0 || len(t.open) > 0) {
		t.w.failf("C8: %s may finish, and %d transactions and %d records are not committed", t.id, len(t.commits.Outstanding()), len(t.open))
	}
	t.finished = true
	t.sayEnded()
}
