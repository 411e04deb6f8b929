package checkpoint

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Retention decides which checkpoints of a job are kept, and deletes what none
// of them names. Create one with [NewRetention].
type Retention struct {
	retained int
	rules    *rules

	// checkpoints are those that the store has, and those whose pointer is gone
	// and whose files are not, the oldest first.
	checkpoints []*stored
	underWay    map[ID]*underWay
	restoring   map[ID]int
	unclaimed   map[string]struct{}
	garbage     map[string]*garbage
	ended       bool

	now     time.Time
	actions []RetentionAction
}

// stored is a checkpoint that has completed.
type stored struct {
	id         ID
	metadata   string
	files      []File
	unreadable bool
	// removing says that its pointer is to go, and gone that it has.
	removing, gone bool
	retry          time.Time
}

// underWay is a checkpoint between its trigger and its end.
type underWay struct {
	files []File
	// base is the checkpoint that its tasks were told as their base, nil if there
	// was none: they may name its files, without anybody hearing of it before they
	// acknowledge.
	base *stored
	// deleted are the files whose deletion was asked for since, or was not known
	// to be over when it started.
	deleted map[string]struct{}
}

// garbage is a file to be deleted.
type garbage struct {
	// asked says that its deletion was asked for, and there is no answer.
	asked bool
	retry time.Time
}

// reason is why a file is kept.
type reason uint8

const (
	byRetained   reason = iota // A checkpoint that the store has names it.
	byUnderWay                 // A checkpoint under way has stored it.
	byBase                     // A checkpoint under way may build on it.
	byRestore                  // Tasks are being restored from it.
	byUnclaimed                // It is not the job's.
	byUnreadable               // An unreadable checkpoint may name it.
)

// NewRetention returns the retention of a job that keeps the newest retained
// checkpoints (execution.checkpointing.num-retained, at least 1), and knows those
// that the metadata store has. It panics if retained is less than 1.
func NewRetention(retained int, checkpoints []StoredCheckpoint) *Retention {
	if retained < 1 {
		panic(fmt.Sprintf("checkpoint: %d retained checkpoints: there is at least 1", retained))
	}
	r := &Retention{
		retained: retained, rules: &lawful, underWay: map[ID]*underWay{}, restoring: map[ID]int{},
		unclaimed: map[string]struct{}{}, garbage: map[string]*garbage{},
	}
	for _, s := range checkpoints {
		r.checkpoints = append(r.checkpoints, &stored{
			id: s.ID, metadata: s.Metadata, files: slices.Clone(s.Files), unreadable: s.Unreadable,
		})
	}
	r.sort()
	return r
}

func (r *Retention) sort() {
	slices.SortFunc(r.checkpoints, func(a, b *stored) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
}

// Step takes in an event that happened at now and returns what to do about it,
// in order. The actions belong to the caller.
func (r *Retention) Step(now time.Time, event RetentionEvent) []RetentionAction {
	r.now, r.actions = now, nil
	r.handle(event)
	return r.actions
}

func (r *Retention) handle(event RetentionEvent) {
	switch e := event.(type) {
	case Started:
		r.started(e)
	case FilesStored:
		r.filesStored(e)
	case Completed:
		r.completed(e.Checkpoint)
	case Aborted:
		r.aborted(e.ID)
	case FilesUnneeded:
		r.discard(e.Files)
	case UnclaimedCheckpoint:
		for _, f := range e.Files {
			r.unclaimed[f.Name] = struct{}{}
		}
	case Loaded:
		r.loaded(e)
	case FilesFound:
		r.found(e)
	case RestoreStarted:
		r.restoring[e.ID]++
	case RestoreEnded:
		r.restoreEnded(e.ID)
	case PointerRemoved:
		r.pointerRemoved(e.ID)
	case PointerNotRemoved:
		if s := r.find(e.ID); s != nil && s.removing && !s.gone {
			s.retry = r.now.Add(retryAfter)
		}
	case FilesDeleted:
		r.filesDeleted(e.Names)
	case FilesNotDeleted:
		r.filesNotDeleted(e.Names)
	case JobEnded:
		r.ended = r.ended || e.Delete
		r.subsume()
	case Tick:
		r.tick()
	default:
		panic(fmt.Sprintf("checkpoint: unknown event %T", event))
	}
}

// Checkpoints returns those that the store has, as far as is known, the oldest
// first. They belong to the caller, the files apart.
func (r *Retention) Checkpoints() []StoredCheckpoint {
	var all []StoredCheckpoint
	for _, s := range r.checkpoints {
		if !s.gone {
			all = append(all, StoredCheckpoint{ID: s.id, Metadata: s.metadata, Files: s.files, Unreadable: s.unreadable})
		}
	}
	return all
}

func (r *Retention) do(a RetentionAction) { r.actions = append(r.actions, a) }

func (r *Retention) find(id ID) *stored {
	for _, s := range r.checkpoints {
		if s.id == id {
			return s
		}
	}
	return nil
}

func (r *Retention) started(e Started) {
	u := &underWay{base: r.find(e.Base), deleted: map[string]struct{}{}}
	for name, g := range r.garbage {
		if g.asked {
			u.deleted[name] = struct{}{}
		}
	}
	r.underWay[e.ID] = u
}

func (r *Retention) filesStored(e FilesStored) {
	u := r.underWay[e.ID]
	if u == nil {
		r.discard(e.Files)
		return
	}
	u.files = append(u.files, e.Files...)
	for _, f := range e.Files {
		if _, deleted := u.deleted[f.Name]; deleted {
			r.do(Damaged{ID: e.ID, Name: f.Name})
			return
		}
	}
}

func (r *Retention) completed(c Record) {
	delete(r.underWay, c.ID)
	if r.find(c.ID) == nil {
		r.checkpoints = append(r.checkpoints, &stored{id: c.ID, metadata: c.Metadata, files: slices.Clone(c.Files)})
		r.sort()
	}
	r.collect()
	r.subsume()
}

func (r *Retention) aborted(id ID) {
	u := r.underWay[id]
	if u == nil {
		return
	}
	delete(r.underWay, id)
	r.discard(u.files)
	r.collect()
}

func (r *Retention) loaded(e Loaded) {
	if s := r.find(e.ID); s != nil && s.unreadable {
		s.metadata, s.files, s.unreadable = e.Metadata, slices.Clone(e.Files), false
		r.subsume()
	}
}

func (r *Retention) restoreEnded(id ID) {
	if r.restoring[id] > 1 {
		r.restoring[id]--
		return
	}
	delete(r.restoring, id)
	r.collect()
	r.subsume()
}

// subsume removes the pointers of checkpoints beyond the newest ones, the oldest
// first and one at a time, so that whatever happens in between the store has the
// newest. One that cannot be read, or that somebody restores from, stays.
func (r *Retention) subsume() {
	excess := -r.retained
	if r.ended {
		excess = 0
	}
	for _, s := range r.checkpoints {
		if !s.gone && !s.unreadable {
			excess++
		}
		if s.removing && !s.gone {
			return
		}
	}
	for _, s := range r.checkpoints {
		if excess <= 0 {
			return
		}
		if s.gone || s.unreadable {
			continue
		}
		excess--
		if r.restoring[s.id] == 0 {
			s.removing = true
			r.do(RemovePointer{ID: s.id})
			if r.rules.forgotten(s.gone) {
				s.gone = true
				r.collect()
			}
			return
		}
	}
}

func (r *Retention) pointerRemoved(id ID) {
	s := r.find(id)
	if s == nil || !s.removing {
		return
	}
	s.gone, s.retry = true, time.Time{}
	r.collect()
	r.subsume()
}

// collect deletes the files of checkpoints whose pointers are gone, which nobody
// is being restored from, and that no checkpoint under way may build on.
func (r *Retention) collect() {
	var files []File
	r.checkpoints = slices.DeleteFunc(r.checkpoints, func(s *stored) bool {
		if !s.gone || r.restoring[s.id] > 0 || r.isBase(s) && r.rules.protects(byBase) {
			return false
		}
		// Its metadata goes first, so that nothing that is only partly there looks
		// like a checkpoint.
		files = append(files, File{Name: s.metadata, Writer: s.id})
		files = append(files, s.files...)
		return true
	})
	r.discard(files)
}

func (r *Retention) isBase(s *stored) bool {
	for _, u := range r.underWay {
		if u.base == s {
			return true
		}
	}
	return false
}

// discard deletes those of the files that nothing protects: everything is
// classified before anything is deleted (row c11).
func (r *Retention) discard(files []File) {
	if len(files) == 0 {
		return
	}
	named, unreadable := r.named()
	var names []string
	for _, f := range files {
		if _, ok := named[f.Name]; ok || f.Name == "" || unreadable > 0 && f.Writer <= unreadable {
			continue
		}
		if r.garbage[f.Name] == nil {
			r.garbage[f.Name] = &garbage{}
			names = append(names, f.Name)
		}
	}
	r.delete(names)
}

// named returns what is kept by name, and the newest unreadable checkpoint: what
// was written before it, it may name.
func (r *Retention) named() (names map[string]struct{}, unreadable ID) {
	names = map[string]struct{}{}
	keep := func(why reason, files []File) {
		if r.rules.protects(why) {
			for _, f := range files {
				names[f.Name] = struct{}{}
			}
		}
	}
	for _, s := range r.checkpoints {
		if s.unreadable && r.rules.protects(byUnreadable) {
			unreadable = max(unreadable, s.id)
		}
		if !s.gone {
			keep(byRetained, s.files)
		}
		if r.restoring[s.id] > 0 {
			keep(byRestore, s.files)
		}
	}
	for _, u := range r.underWay {
		keep(byUnderWay, u.files)
		if u.base != nil {
			keep(byBase, u.base.files)
		}
	}
	if r.rules.protects(byUnclaimed) {
		maps.Copy(names, r.unclaimed)
	}
	return names, unreadable
}

func (r *Retention) delete(names []string) {
	if len(names) == 0 {
		return
	}
	for _, name := range names {
		r.garbage[name].asked, r.garbage[name].retry = true, time.Time{}
		for _, u := range r.underWay {
			u.deleted[name] = struct{}{}
		}
	}
	r.do(DeleteFiles{Names: names})
}

// found deletes what a JobManager before this one has left: files that were
// written for checkpoints that never completed, or were not yet deleted.
func (r *Retention) found(e FilesFound) {
	var files []File
	var kept []string
	for _, f := range e.Files {
		switch {
		case f.Writer == 0:
			kept = append(kept, f.Name)
		case f.Writer <= e.Counter:
			files = append(files, f)
		}
	}
	if len(kept) > 0 {
		r.do(FilesKept{Names: kept, Reason: "it is not known which checkpoint wrote them"})
	}
	r.subsume()
	r.discard(files)
}

func (r *Retention) filesDeleted(names []string) {
	for _, name := range names {
		delete(r.garbage, name)
	}
}

func (r *Retention) filesNotDeleted(names []string) {
	for _, name := range names {
		if g := r.garbage[name]; g != nil && g.asked {
			g.retry = r.now.Add(retryAfter)
		}
	}
}

func (r *Retention) tick() {
	for _, s := range r.checkpoints {
		if r.rules.due(s.retry, r.now) {
			s.retry = time.Time{}
			r.do(RemovePointer{ID: s.id})
		}
	}
	var names []string
	for name, g := range r.garbage {
		if r.rules.due(g.retry, r.now) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	r.delete(names)
}

// Deadline returns when a [Tick] is due at the latest, and false if none is.
func (r *Retention) Deadline() (time.Time, bool) {
	var first time.Time
	expect := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	for _, s := range r.checkpoints {
		expect(s.retry)
	}
	for _, g := range r.garbage {
		expect(g.retry)
	}
	return first, !first.IsZero()
}
