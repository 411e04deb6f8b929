package checkpoint

import (
	"maps"
	"slices"

	"github.com/weirstream/weir/internal/ids"
)

// simStore is the metadata store: it never dies, compares the leader's epoch
// with each write, and its answers may be lost.
type simStore struct {
	epoch    int
	counter  ID
	attempts ids.Attempt
	records  map[ID]Record
	// last is the last id that was recorded.
	last ID
	// ended is the job's end state, empty while it has none.
	ended string
	// original is the checkpoint that the job was started from without claiming it.
	original *Record
}

// newest returns the newest record, nil if there is none.
func (s *simStore) newest() *Record {
	if len(s.records) == 0 {
		return nil
	}
	r := s.records[slices.Max(slices.Collect(maps.Keys(s.records)))]
	return &r
}

// simFile is a file in checkpoint storage. Its content is one of the simulated
// snapshots, and never changed.
type simFile struct {
	File
	meta  *simMetadata
	part  *simPart
	page  *simPage
	given bool // It was there before the job.
}

// simMetadata is the content of a metadata file.
type simMetadata struct {
	id      ID
	attempt ids.Attempt
	tasks   []Acknowledgement
	final   bool
}

// simPart is the content of a task's own snapshot file.
type simPart struct {
	task        ids.Subtask
	attempt     ids.Attempt
	positions   []simPosition // of a source
	groups      KeyRange      // of a keyed task, and what follows
	pages       [simPages]simPageName
	uncommitted []Committable
}

// simPosition is how far a partition of the input was read.
type simPosition struct{ partition, next int }

// simPage is the content of a file with a part of a keyed state: how often each
// key came. simPageName says in which file that part is, and in which version.
type simPage struct{ counts map[int]int }

type simPageName struct {
	file    File
	version int
}

// simPages is into how many files a keyed state is divided; those that have not
// changed are named again by the next checkpoint.
const simPages = 4

// simExternal is the system that sinks write to.
type simExternal struct {
	// transactions are those that were prepared, with their records.
	transactions map[string][]simRecord
	committed    map[string]bool
	// seen says which transaction committed a record.
	seen map[simRecord]string
}

// simRecord is a record of the input: what comes at a position of a partition.
type simRecord struct{ partition, position int }

// key returns the key of a record.
func (r simRecord) key() int { return (r.partition*5 + r.position*7 + r.position/3) % 11 }

// hash returns the hash of a key, whose top bits are its group.
func simHash(k int) uint64 { return uint64(k+1) * 0x9e3779b97f4a7c15 }

// simOp is a request to the store, to storage or to the external system. It is
// carried out when the world picks it.
type simOp struct {
	name string
	// by is the task or the JobManager that asked: requests may die with it.
	by any
	// store says that it goes to the metadata store.
	store bool
	// apply carries it out and returns how to answer, unknown answers that nobody
	// knows, failed that it was not carried out and will not be.
	apply           func() func()
	unknown, failed func()
	// late says that it was answered with unknown, and may still be carried out.
	late bool
}

func (w *world) ask(op simOp) { w.ops = append(w.ops, &op) }

// dropOps lets about half of the requests of somebody who dies die as well;
// the others are on their way.
func (w *world) dropOps(dies func(by any) bool) {
	w.ops = slices.DeleteFunc(w.ops, func(op *simOp) bool {
		return !op.late && dies(op.by) && w.rng.IntN(2) == 0
	})
}

// progressOp lets something happen to one of the requests under way.
func (w *world) progressOp() {
	if len(w.ops) == 0 {
		return
	}
	i := w.rng.IntN(len(w.ops))
	op := w.ops[i]
	if op.late && !w.fair && w.rng.IntN(20) > 0 {
		return
	}
	w.ops = slices.Delete(w.ops, i, i+1)
	if op.late {
		op.apply()
		return
	}
	f := w.faults
	if op.store && w.storm {
		f.opFails, f.opLost, f.opAnswerLost, f.opLate = 150, 100, 150, 250
	}
	switch {
	case w.happens(f.opFails):
		w.census.Failures++
		op.failed()
	case w.happens(f.opLost):
		w.census.Unknowns++
		op.unknown()
	case w.happens(f.opAnswerLost):
		w.census.AnswersLost++
		op.apply()
		op.unknown()
	case w.happens(f.opLate):
		w.census.Late++
		op.late = true
		w.ops = append(w.ops, op)
		op.unknown()
	default:
		w.point()
		answer := op.apply()
		w.point()
		answer()
	}
}

// put stores a file, unless there is one of its name.
func (w *world) put(by any, f *simFile, stored, failed func()) {
	w.ask(simOp{name: "put " + f.Name, by: by, apply: func() func() {
		if w.storage[f.Name] == nil {
			w.storage[f.Name] = f
		}
		return stored
	}, unknown: failed, failed: failed})
}

// remove deletes a file and checks S9: nobody names it.
func (w *world) remove(name string) {
	for _, r := range w.store.records {
		if slices.ContainsFunc(r.Files, func(f File) bool { return f.Name == name }) {
			w.failf("S9: the file %s is deleted, which the recorded checkpoint %d names", name, r.ID)
		}
	}
	if f := w.storage[name]; f != nil && f.given && w.store.original != nil {
		w.failf("S9: the file %s is deleted, which is not the job's", name)
	}
	if w.storage[name] != nil {
		w.census.Deleted++
	}
	delete(w.storage, name)
}

// record is the guarded write that completes a checkpoint, with all checks on
// what has completed.
func (w *world) record(r Record, epoch int) bool {
	if epoch != w.store.epoch {
		w.census.Fenced++
		return false
	}
	if _, ok := w.store.records[r.ID]; ok {
		return true
	}
	if r.ID <= w.store.last {
		// A write that was on its way for long does not bring back what was removed.
		return false
	}
	w.store.records[r.ID], w.store.last = r, r.ID
	w.census.Recorded++
	w.checkRecord(r)
	return true
}

// commit makes a prepared transaction visible and checks S2 and S7.
func (w *world) commit(id string) {
	if !w.committable[id] {
		w.failf("S7: transaction %s is committed, and no completed checkpoint has it", id)
	}
	if w.external.committed[id] {
		w.census.CommittedAgain++
		return
	}
	w.external.committed[id] = true
	for _, r := range w.external.transactions[id] {
		if other, twice := w.external.seen[r]; twice {
			w.failf("S2: record %+v is committed by %s and by %s", r, other, id)
		}
		w.external.seen[r] = id
	}
}
