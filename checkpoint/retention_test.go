package checkpoint_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/checkpoint"
)

// keeper drives a Retention and keeps the books of what it did to the store and
// to storage, in order.
type keeper struct {
	t   *testing.T
	r   *checkpoint.Retention
	now time.Time
	// log has what was asked for and carried out, "forget 1" and "delete x".
	log []string
	// refuse says that nothing is carried out.
	refuse bool
}

func newKeeper(t *testing.T, retained int, stored ...checkpoint.StoredCheckpoint) *keeper {
	t.Helper()
	return &keeper{t: t, r: checkpoint.NewRetention(retained, stored), now: time.Unix(5000, 0)}
}

// step takes a step and carries out, or refuses, what is asked for. It returns
// what there is in the log since.
func (k *keeper) step(e checkpoint.RetentionEvent) string {
	k.t.Helper()
	from := len(k.log)
	k.carryOut(k.r.Step(k.now, e))
	return strings.Join(k.log[from:], ", ")
}

func (k *keeper) carryOut(actions []checkpoint.RetentionAction) {
	k.t.Helper()
	for _, a := range actions {
		var answer checkpoint.RetentionEvent
		switch a := a.(type) {
		case checkpoint.RemovePointer:
			k.log = append(k.log, fmt.Sprintf("forget %d", a.ID))
			answer = checkpoint.PointerRemoved(a)
			if k.refuse {
				answer = checkpoint.PointerNotRemoved{ID: a.ID, Reason: "timeout"}
			}
		case checkpoint.DeleteFiles:
			k.log = append(k.log, "delete "+strings.Join(a.Names, " "))
			answer = checkpoint.FilesDeleted(a)
			if k.refuse {
				answer = checkpoint.FilesNotDeleted{Names: a.Names, Reason: "timeout"}
			}
		case checkpoint.Damaged:
			k.log = append(k.log, "damaged "+a.Name)
			continue
		case checkpoint.FilesKept:
			k.log = append(k.log, "kept "+strings.Join(a.Names, " "))
			continue
		}
		k.carryOut(k.r.Step(k.now, answer))
	}
}

// files are named after their writers: "3/a" was written for checkpoint 3.
func files(names ...string) (all []checkpoint.File) {
	for _, name := range names {
		var writer checkpoint.ID
		if _, err := fmt.Sscanf(name, "%d/", &writer); err != nil {
			writer = 0
		}
		all = append(all, checkpoint.File{Name: name, Writer: writer})
	}
	return all
}

func stored(id checkpoint.ID, names ...string) checkpoint.StoredCheckpoint {
	meta := fmt.Sprintf("%d/meta", id)
	return checkpoint.StoredCheckpoint{ID: id, Metadata: meta, Files: files(append(names, meta)...)}
}

// complete runs a checkpoint from its start to its end.
func (k *keeper) complete(id, base checkpoint.ID, names ...string) string {
	k.t.Helper()
	from := len(k.log)
	k.step(checkpoint.Started{ID: id, Base: base})
	s := stored(id, names...)
	k.step(checkpoint.FilesStored{ID: id, Files: s.Files})
	k.step(checkpoint.Completed{Checkpoint: checkpoint.Record{ID: id, Metadata: s.Metadata, Files: s.Files}})
	return strings.Join(k.log[from:], ", ")
}

// TestRetained keeps the newest, deletes what only the others name, and the
// metadata of what goes before anything else of it (rows c1, c11).
func TestRetained(t *testing.T) {
	k := newKeeper(t, 2)
	equal(t, "after 1", k.complete(1, 0, "1/a", "1/b"), "")
	equal(t, "after 2", k.complete(2, 1, "1/a", "2/c"), "")
	equal(t, "after 3", k.complete(3, 2, "1/a", "3/d"), "forget 1, delete 1/meta 1/b")
	equal(t, "after 4", k.complete(4, 3, "4/e"), "forget 2, delete 2/meta 2/c")
	kept := k.r.Checkpoints()
	if len(kept) != 2 || kept[0].ID != 3 || kept[1].ID != 4 || kept[1].Metadata != "4/meta" || len(kept[1].Files) != 2 {
		t.Errorf("kept: %+v", kept)
	}
	equal(t, "an answer to nothing", k.step(checkpoint.PointerRemoved{ID: 4}), "")
	equal(t, "still kept", len(k.r.Checkpoints()), 2)
	equal(t, "after 5", k.complete(5, 4, "5/f"), "forget 3, delete 3/meta 1/a 3/d")
}

// TestAbortedCheckpoint deletes what an aborted checkpoint has stored, and nothing
// that another one under way has, or may, name (row c2).
func TestAbortedCheckpoint(t *testing.T) {
	k := newKeeper(t, 1)
	k.complete(1, 0, "1/a")
	k.step(checkpoint.Started{ID: 2, Base: 1})
	k.step(checkpoint.FilesStored{ID: 2, Files: files("1/a", "2/b", "2/shared")})
	k.step(checkpoint.Started{ID: 3, Base: 1})
	k.step(checkpoint.FilesStored{ID: 3, Files: files("2/shared")})
	equal(t, "aborted", k.step(checkpoint.Aborted{ID: 2}), "delete 2/b")
	equal(t, "aborted again", k.step(checkpoint.Aborted{ID: 2}), "")
	// What comes late goes, unless somebody names it.
	equal(t, "late", k.step(checkpoint.FilesStored{ID: 2, Files: files("2/late", "1/a", "2/shared")}), "delete 2/late")
	equal(t, "late", k.step(checkpoint.FilesUnneeded{Files: files("2/later", "1/meta")}), "delete 2/later")
	equal(t, "aborted", k.step(checkpoint.Aborted{ID: 3}), "delete 2/shared")
}

// TestBase keeps what a checkpoint under way may name again, without having heard
// of it, until it ends (row c1).
func TestBase(t *testing.T) {
	k := newKeeper(t, 1)
	k.complete(1, 0, "1/a")
	k.step(checkpoint.Started{ID: 3, Base: 1})
	equal(t, "subsumed", k.complete(2, 1, "2/b"), "forget 1")
	k.step(checkpoint.FilesStored{ID: 3, Files: files("1/a")})
	record := checkpoint.Record{ID: 3, Metadata: "3/meta", Files: files("1/a", "3/meta")}
	equal(t, "completed", k.step(checkpoint.Completed{Checkpoint: record}), "delete 1/meta, forget 2, delete 2/meta 2/b")

	k = newKeeper(t, 1)
	k.complete(1, 0, "1/a")
	k.step(checkpoint.Started{ID: 3, Base: 1})
	k.complete(2, 1, "2/b")
	equal(t, "aborted", k.step(checkpoint.Aborted{ID: 3}), "delete 1/meta 1/a")
}

// TestRetries is rows c4 and c10: what fails, or of which nobody knows, is asked
// for again and again; nothing is deleted before the pointer is gone; and the next
// checkpoints do not wait for it.
func TestRetries(t *testing.T) {
	k := newKeeper(t, 1)
	k.complete(1, 0, "1/a")
	k.refuse = true
	equal(t, "refused", k.complete(2, 1, "2/b"), "forget 1")
	k.now = k.now.Add(time.Second)
	equal(t, "again", k.step(checkpoint.Tick{}), "forget 1")
	// One pointer at a time, the oldest first.
	equal(t, "meanwhile", k.complete(3, 2, "3/c"), "")
	k.now = k.now.Add(time.Second)
	k.refuse = false
	equal(t, "granted", k.step(checkpoint.Tick{}), "forget 1, delete 1/meta 1/a, forget 2, delete 2/meta 2/b")
	k.refuse = true
	k.step(checkpoint.FilesUnneeded{Files: files("3/late")})
	if at, ok := k.r.Deadline(); !ok || !at.Equal(k.now.Add(time.Second)) {
		t.Errorf("a deletion that failed is due at %s, %t", at, ok)
	}
	k.now, k.refuse = k.now.Add(time.Second), false
	equal(t, "deleted at last", k.step(checkpoint.Tick{}), "delete 3/late")
	equal(t, "answered twice", k.step(checkpoint.FilesDeleted{Names: []string{"3/late"}}), "")
	equal(t, "answered late", k.step(checkpoint.FilesNotDeleted{Names: []string{"3/late"}}), "")
	equal(t, "gone twice", k.step(checkpoint.PointerRemoved{ID: 1}), "")
	if at, ok := k.r.Deadline(); ok {
		t.Errorf("something is due at %s", at)
	}
}

// TestRecoveredRetention is a JobManager that starts after another one died
// between any two deletions (rows c10, c11): it goes on where that one was.
func TestRecoveredRetention(t *testing.T) {
	k := newKeeper(t, 1, stored(7, "7/a", "3/s"), stored(5, "5/a", "3/s"))
	found := checkpoint.FilesFound{
		Files:   files("7/meta", "7/a", "3/s", "5/meta", "5/a", "4/orphan", "6/aborted", "9/under-way", "unknown"),
		Counter: 8,
	}
	equal(t, "found", k.step(found), "kept unknown, forget 5, delete 5/meta 5/a, delete 4/orphan 6/aborted")
	equal(t, "found again", k.step(checkpoint.FilesFound{Files: files("7/meta", "7/a", "3/s", "9/under-way"), Counter: 8}), "")
}

// TestUnreadable is rows c6 and c13: a checkpoint that cannot be read keeps all
// that it may name, and is neither counted nor removed, until it is read.
func TestUnreadable(t *testing.T) {
	k := newKeeper(t, 1, checkpoint.StoredCheckpoint{ID: 4, Unreadable: true}, stored(3, "3/a"))
	found := checkpoint.FilesFound{Files: files("2/x", "3/a", "3/meta", "4/y", "5/z"), Counter: 5}
	equal(t, "found", k.step(found), "delete 5/z")
	equal(t, "completed", k.complete(6, 0, "6/a"), "forget 3")
	equal(t, "completed", k.complete(7, 6, "7/a"), "forget 6, delete 6/meta 6/a")
	equal(t, "ended", k.step(checkpoint.JobEnded{Delete: true}), "forget 7, delete 7/meta 7/a")
	equal(t, "loaded", k.step(checkpoint.Loaded{ID: 4, Metadata: "4/meta", Files: files("4/meta", "4/y")}), "forget 4, delete 4/meta 4/y")
	found.Files = files("2/x", "3/a", "3/meta")
	equal(t, "found again", k.step(found), "delete 2/x 3/a 3/meta")
}

// TestUnclaimed is row c3: what the job was restored from without claiming it
// stays, whatever names it and goes.
func TestUnclaimed(t *testing.T) {
	k := newKeeper(t, 1)
	k.step(checkpoint.UnclaimedCheckpoint{Files: files("1/original", "1/original-meta")})
	for id := checkpoint.ID(1); id <= 20; id++ {
		k.complete(id, id-1, "1/original", fmt.Sprintf("%d/own", id))
	}
	k.step(checkpoint.FilesUnneeded{Files: files("1/original")})
	k.step(checkpoint.FilesFound{Files: files("1/original", "1/original-meta"), Counter: 20})
	k.step(checkpoint.JobEnded{Delete: true})
	if all := strings.Join(k.log, " "); strings.Contains(all, "original") || !strings.Contains(all, "20/own") {
		t.Errorf("done: %s", all)
	}
}

// TestRestoring keeps the pointer and the files of what tasks are being restored
// from, also if the removal of its pointer was under way.
func TestRestoring(t *testing.T) {
	k := newKeeper(t, 1)
	k.complete(1, 0, "1/a")
	k.step(checkpoint.RestoreStarted{ID: 1})
	k.step(checkpoint.RestoreStarted{ID: 1})
	equal(t, "completed", k.complete(2, 0, "2/b"), "")
	equal(t, "one has ended", k.step(checkpoint.RestoreEnded{ID: 1}), "")
	equal(t, "both have ended", k.step(checkpoint.RestoreEnded{ID: 1}), "forget 1, delete 1/meta 1/a")

	r := checkpoint.NewRetention(1, []checkpoint.StoredCheckpoint{stored(1, "1/a"), stored(2)})
	actions := r.Step(k.now, checkpoint.FilesFound{})
	equal(t, "asked", fmt.Sprint(actions), "[{1}]")
	r.Step(k.now, checkpoint.RestoreStarted{ID: 1})
	equal(t, "gone", fmt.Sprint(r.Step(k.now, checkpoint.PointerRemoved{ID: 1})), "[]")
	equal(t, "ended", fmt.Sprint(r.Step(k.now, checkpoint.RestoreEnded{ID: 1})), "[{[1/meta 1/a]}]")
}

// TestEndOfJob is row c5: only a job that has ended, and whose checkpoints are to
// go, loses them; another JobManager may have to finish that.
func TestEndOfJob(t *testing.T) {
	k := newKeeper(t, 2)
	k.complete(1, 0, "1/a")
	k.complete(2, 1, "2/a")
	equal(t, "retained", k.step(checkpoint.JobEnded{}), "")
	equal(t, "deleted", k.step(checkpoint.JobEnded{Delete: true}), "forget 1, delete 1/meta 1/a, forget 2, delete 2/meta 2/a")
	equal(t, "deleted again", k.step(checkpoint.JobEnded{Delete: true}), "")
	k = newKeeper(t, 2, stored(2, "2/a"))
	equal(t, "by the next one", k.step(checkpoint.JobEnded{Delete: true}), "forget 2, delete 2/meta 2/a")
}

// TestDamaged reports a checkpoint under way that names a file whose deletion was
// asked for since it began, or was not over then.
func TestDamaged(t *testing.T) {
	k := newKeeper(t, 1)
	k.refuse = true
	k.step(checkpoint.FilesUnneeded{Files: files("1/slow")})
	k.step(checkpoint.Started{ID: 2})
	k.refuse = false
	k.now = k.now.Add(time.Second)
	k.step(checkpoint.Tick{})
	k.step(checkpoint.FilesUnneeded{Files: files("1/since")})
	equal(t, "slow", k.step(checkpoint.FilesStored{ID: 2, Files: files("2/a", "1/slow")}), "damaged 1/slow")
	equal(t, "since", k.step(checkpoint.FilesStored{ID: 2, Files: files("1/since")}), "damaged 1/since")
	k.step(checkpoint.Started{ID: 3})
	equal(t, "over", k.step(checkpoint.FilesStored{ID: 3, Files: files("1/slow")}), "")
}

// TestDeletionOrder is row c11 for every place where a JobManager may die: the
// store never lacks a checkpoint that is newer than one that it has, and each
// checkpoint that it has is whole.
func TestDeletionOrder(t *testing.T) {
	contents := map[checkpoint.ID][]string{1: {"1/a", "1/s"}, 2: {"1/s", "2/a"}, 3: {"2/a", "3/a"}, 4: {"4/a"}, 5: {"4/a", "5/a"}}
	for stop := range 12 {
		pointers, storage := map[checkpoint.ID]bool{}, map[string]bool{}
		var all []checkpoint.StoredCheckpoint
		for id := checkpoint.ID(1); id <= 5; id++ {
			pointers[id] = true
			all = append(all, stored(id, contents[id]...))
			for _, f := range all[id-1].Files {
				storage[f.Name] = true
			}
		}
		steps := 0
		var run func(r *checkpoint.Retention, actions []checkpoint.RetentionAction) bool
		run = func(r *checkpoint.Retention, actions []checkpoint.RetentionAction) bool {
			for _, a := range actions {
				var answers []checkpoint.RetentionEvent
				switch a := a.(type) {
				case checkpoint.RemovePointer:
					delete(pointers, a.ID)
					answers = append(answers, checkpoint.PointerRemoved(a))
				case checkpoint.DeleteFiles:
					for _, name := range a.Names {
						delete(storage, name)
						answers = append(answers, checkpoint.FilesDeleted{Names: []string{name}})
					}
				}
				for id := range pointers {
					if id < 5 && !pointers[id+1] {
						t.Fatalf("checkpoint %d is there and %d is not", id, id+1)
					}
					for _, f := range all[id-1].Files {
						if !storage[f.Name] {
							t.Fatalf("checkpoint %d is there and its file %s is not", id, f.Name)
						}
					}
				}
				for _, e := range answers {
					if steps++; steps == stop {
						return false
					}
					if !run(r, r.Step(time.Unix(0, 0), e)) {
						return false
					}
				}
			}
			return true
		}
		for range 2 { // The second JobManager finishes what the first one began.
			var left []checkpoint.StoredCheckpoint
			var names []string
			for id := checkpoint.ID(1); id <= 5; id++ {
				if pointers[id] {
					left = append(left, all[id-1])
				}
			}
			for name := range storage {
				names = append(names, name)
			}
			slices.Sort(names)
			r := checkpoint.NewRetention(2, left)
			run(r, r.Step(time.Unix(0, 0), checkpoint.FilesFound{Files: files(names...), Counter: 5}))
		}
		if len(pointers) != 2 || len(storage) != 4 || !storage["4/meta"] || !storage["5/a"] {
			t.Errorf("stopped after step %d: %v and %v are left", stop, pointers, storage)
		}
	}
}
