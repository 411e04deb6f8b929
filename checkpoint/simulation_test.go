package checkpoint

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

var (
	seedFlag = flag.Uint64("seed", 0, "live only the simulated life with this seed")
	seeds    = flag.Int("seeds", 1000, "how many lives to simulate")
)

// TestSimulatedLives lives through whole lives of a job: its machines, the
// store, storage, tasks and sinks, with messages lost, repeated and reordered,
// requests that fail, are carried out late or without an answer, and crashes
// between any two actions. What the invariants S1, S2, S4 to S9 and S11 of a job
// ask for is checked after every step. In the second half of a life the world is
// fair; then checkpoints have to complete (L2), the job has to come to its end,
// and nothing may be left in storage that no checkpoint names.
func TestSimulatedLives(t *testing.T) {
	if *seedFlag != 0 {
		w := newWorld(*seedFlag, &lawful)
		if err := w.live(); err != nil {
			t.Fatalf("in the life with -seed=%d: %v", *seedFlag, err)
		}
		t.Logf("%+v", w.census)
		return
	}
	var total census
	first := rand.Uint64()
	for i := range *seeds {
		seed := first + uint64(i)
		w := newWorld(seed, &lawful)
		if err := w.live(); err != nil {
			t.Fatalf("in the life with -seed=%d: %v", seed, err)
		}
		total.add(w.census)
	}
	t.Logf("first seed %d: %+v", first, total)
	if *seeds >= 100 {
		total.check(t)
	}
}

// TestSimulationIsDeterministic lives a few lives twice: a seed that is printed
// has to bring the same life again.
func TestSimulationIsDeterministic(t *testing.T) {
	for seed := range uint64(10) {
		a, b := newWorld(seed+1, &lawful), newWorld(seed+1, &lawful)
		if errA, errB := a.live(), b.live(); fmt.Sprint(errA) != fmt.Sprint(errB) || a.census != b.census || !a.now.Equal(b.now) {
			t.Fatalf("the life with -seed=%d is another one the second time: %v, %+v and %v, %+v", seed+1, errA, a.census, errB, b.census)
		}
	}
}

// TestCrashAtEveryStep lives a few lives in which nothing goes wrong but one thing:
// a worker, a TaskManager or the JobManager dies at one moment, which is each
// moment in turn: after each action, and before and after each request is
// carried out. So it dies between the allocation of an id, triggers,
// acknowledgements, the writing of metadata, records, notifications, commits and
// deletions, and in the middle of a recovery.
func TestCrashAtEveryStep(t *testing.T) {
	lived := 0
	for seed := range uint64(3) {
		for _, dies := range []string{"JobManager", "TaskManager", "worker"} {
			for at := 1; ; at++ {
				w := newWorld(seed+1, &lawful)
				w.fair, w.records, w.limit, w.crashAt, w.dies = true, 12, 6, at, dies
				w.boot()
				w.settle()
				if w.err == nil {
					w.leftovers()
				}
				if w.err != nil {
					t.Fatalf("seed %d, the %s dies at moment %d: %v", seed+1, dies, at, w.err)
				}
				lived++
				if w.points < at {
					break // It came to its end before.
				}
			}
		}
	}
	t.Logf("%d lives", lived)
	if lived < 500 {
		t.Errorf("only %d moments were found", lived)
	}
}

func (c *census) add(o census) {
	sum, more := reflect.ValueOf(c).Elem(), reflect.ValueOf(o)
	for i := range sum.NumField() {
		sum.Field(i).SetInt(sum.Field(i).Int() + more.Field(i).Int())
	}
}

func (c *census) check(t *testing.T) {
	t.Helper()
	v := reflect.ValueOf(*c)
	for i := range v.NumField() {
		if v.Field(i).Int() == 0 {
			t.Errorf("%s never happened: %+v", v.Type().Field(i).Name, *c)
		}
	}
}

// live lives a life and returns the first thing that was wrong with it.
func (w *world) live() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	w.boot()
	for range 1500 {
		if w.err != nil {
			return w.err
		}
		w.unfair()
		w.check()
	}
	w.settle()
	if w.err == nil {
		w.leftovers()
	}
	return w.err
}

// unfair is one step of a world in which anything may fail.
func (w *world) unfair() {
	if w.jm.dead && w.rng.IntN(10) == 0 {
		w.boot()
	}
	switch {
	case w.happens(w.faults.crash):
		w.killOne(w.rng.IntN(2) == 0)
	case w.happens(w.faults.crashJobManager) && !w.jm.dead:
		w.crashJobManager()
	case w.happens(w.faults.cancel) && !w.jm.dead && w.store.ended == "":
		w.census.Canceled++
		w.end("CANCELED")
	case w.happens(w.faults.request):
		w.requests++
		w.jm.step(Requested{Request: w.requests})
	}
	if w.rng.IntN(500) == 0 {
		w.limit = w.records
	}
	switch p := w.rng.IntN(100); {
	case p < 35:
		w.deliver()
	case p < 65:
		w.progressOp()
	case p < 90:
		if len(w.tasks) > 0 {
			w.tasks[w.rng.IntN(len(w.tasks))].progress()
		}
	case p < 97:
		w.advance(time.Duration(w.rng.IntN(300)) * time.Millisecond)
	case p < 98:
		w.advance(time.Duration(w.rng.IntN(5000)) * time.Millisecond)
	}
	if !w.jm.dead {
		w.jm.work()
	}
}

// settle makes the world fair and waits until everything has come to its end.
func (w *world) settle() {
	w.fair = true
	if w.jm.dead {
		w.boot()
	}
	w.runningSince, w.completedSince = w.now, 0
	for range 20000 {
		w.quiet()
		w.check()
		if w.err != nil {
			return
		}
		if w.store.ended != "" && w.still() {
			break
		}
		w.checkProgress()
		if w.completedSince >= 2 {
			w.limit = w.records
		}
		for _, t := range w.tasks {
			t.sayEnded() // Whatever a connection has lost is said again by the next one.
		}
		w.advance(100 * time.Millisecond)
		if w.jm.dead {
			w.boot()
		}
	}
	if w.store.ended == "" || !w.still() {
		w.failf("L2: the job has not come to its end in a fair world (state %q): %s", w.store.ended, w.picture())
	}
	if w.store.ended == "FINISHED" {
		w.census.Finished++
		for p := range w.partitions {
			for q := range w.records {
				if _, ok := w.external.seen[simRecord{p, q}]; !ok {
					w.failf("S1: the job is FINISHED and record %d/%d was never committed", p, q)
				}
			}
		}
	}
}

// quiet lets everything happen that happens without the time passing.
func (w *world) quiet() {
	for range 2000 {
		if w.jm.dead {
			w.boot()
		}
		w.jm.work()
		if len(w.messages) == 0 && len(w.ops) == 0 && !w.busy() {
			return
		}
		for len(w.messages) > 0 {
			w.deliver()
		}
		for len(w.ops) > 0 {
			w.progressOp()
		}
		for _, t := range w.tasks {
			t.progress()
		}
		if w.err != nil {
			return
		}
	}
}

// busy reports whether some task has work.
func (w *world) busy() bool {
	for _, t := range w.tasks {
		if t.ended || t.finished {
			continue
		}
		for _, p := range t.positions {
			if p.next < w.limit {
				return true
			}
		}
		for _, c := range t.inputs {
			if len(c.queue) > 0 {
				return true
			}
		}
		if t.source() && w.limit == w.records {
			return true
		}
	}
	return false
}

// still reports whether nothing is under way any more.
func (w *world) still() bool {
	_, waits := w.jm.r.Deadline()
	return len(w.messages) == 0 && len(w.ops) == 0 && !waits && len(w.jm.unread) == 0
}

// checkProgress checks L2: a job that runs in a fair world completes a checkpoint
// within three intervals, beside the time that is left to what was lost.
func (w *world) checkProgress() {
	if !w.jm.running || w.completedSince > 0 {
		return
	}
	patience := 3*(w.config.Interval+w.config.MinPause) + w.config.Timeout + 2*time.Second
	if waited := w.now.Sub(w.runningSince); waited > patience {
		w.failf("L2: no checkpoint has completed in %s of a fair world: %s", waited, w.picture())
	}
}

// picture says what a world that does not go on looks like.
func (w *world) picture() string {
	text := fmt.Sprintf("%d messages, %d requests, restart at %s, running %t, restoring %t, %d unread", len(w.messages), len(w.ops),
		w.jm.restart, w.jm.running, w.jm.restoring != nil, len(w.jm.unread))
	c := w.jm.c
	text += fmt.Sprintf("\nattempt %d, running %t, failing %t, %d of %d ended, finished %d, notified %d, %d unanswered, latest %+v, %d allocated",
		c.attempt, c.running, c.failing, c.ended, len(c.order), c.finished, c.notified, c.unanswered, c.latest, c.allocated)
	for _, p := range w.jm.c.pending {
		text += fmt.Sprintf("\npending %d, phase %d, %d of %d tasks, final %t", p.id, p.phase, p.count, len(p.tasks), p.final)
	}
	for _, t := range w.tasks {
		text += fmt.Sprintf("\n%s: dead %t, restored %t, ended %t, finished %t, %d to be committed", t.id, t.dead, t.restored, t.ended, t.finished, len(t.commits.outstanding))
	}
	due, waits := w.jm.r.Deadline()
	return text + fmt.Sprintf("\nretention waits %t until %s, it is %s", waits, due, w.now)
}

// leftovers checks that one more JobManager leaves nothing in storage that no
// checkpoint names, and nothing in the store that is too much.
func (w *world) leftovers() {
	w.jm.dead = true
	w.boot()
	for range 100 {
		w.quiet()
		if w.err != nil || w.still() {
			break
		}
		w.advance(time.Second)
	}
	want := map[string]bool{}
	for _, r := range w.store.records {
		for _, f := range r.Files {
			want[f.Name] = true
		}
	}
	for name, f := range w.storage {
		if !want[name] && (!f.given || w.store.original == nil) {
			w.failf("S9: the file %s is left, which no checkpoint names", name)
		}
	}
	most := w.retained
	if w.deleteAtEnd {
		most = 0
	}
	if len(w.store.records) > most {
		w.failf("R3: %d checkpoints are left, %d are retained", len(w.store.records), most)
	}
}
