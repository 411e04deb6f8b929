package checkpoint

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/key"
)

// faults are the chances of what goes wrong, in thousandths. Each life draws
// which kinds there are, since some mistakes only show where little else happens.
type faults struct {
	lost, repeated                          int // messages
	opFails, opLost, opAnswerLost, opLate   int // requests
	crash, crashJobManager, midStep, cancel int
	unreadable, request                     int
}

// world is one simulated life of a job: its JobManager, the store, storage, the
// tasks, the external system, and what is on its way between them.
type world struct {
	seed uint64
	rng  *rand.Rand
	now  time.Time
	err  error
	fair bool

	config   Config
	retained int
	rules    *rules
	faults   faults
	// partitions with this many records are the input, of which limit may be read.
	partitions, records, limit int
	// storm says that the metadata store hardly ever answers as it should.
	storm bool
	// deleteAtEnd says whether a job that was cancelled keeps its checkpoints.
	deleteAtEnd bool

	store    simStore
	storage  map[string]*simFile
	external simExternal
	// committable are the transactions of completed checkpoints.
	committable map[string]bool
	jm          *simJobManager
	// tasks are those of the current attempt; parallelism is that of each vertex.
	tasks       []*simTask
	parallelism [2]int
	messages    []func()
	ops         []*simOp
	requests    uint64

	// runningSince is when the attempt came to run, completedSince how many
	// checkpoints have completed since.
	runningSince   time.Time
	completedSince int

	// points counts the moments at which something may die; at crashAt, dies does.
	points, crashAt int
	dies            string

	census census
}

// census counts what happened, so that a simulation which misses half of what it
// is for is noticed.
type census struct {
	Steps, Boots, Adopted, Restored, Rescaled, Triggered, Recorded, Aborted, Failed                        int
	Declined, Dropped, Shared, Deleted, Fenced, Unreadable, Answered                                       int
	Lost, Repeated, Failures, Unknowns, AnswersLost, Late, CommittedAgain                                  int
	WorkerCrashes, TaskManagerCrashes, JobManagerCrashes, Finished, Canceled, Unclaimed, Concurrent, Final int
}

func newWorld(seed uint64, r *rules) *world {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := &world{
		seed: seed, rng: rng, now: time.Unix(1_000_000, 0), rules: r,
		storage: map[string]*simFile{}, committable: map[string]bool{},
		store:    simStore{records: map[ID]Record{}},
		external: simExternal{transactions: map[string][]simRecord{}, committed: map[string]bool{}, seen: map[simRecord]string{}},
	}
	w.config = Config{
		Interval: time.Duration(500+rng.IntN(3000)) * time.Millisecond, MinPause: time.Duration(rng.IntN(2)*rng.IntN(2000)) * time.Millisecond,
		Timeout: time.Duration(2+rng.IntN(8)) * time.Second, MaxConcurrent: 1 + rng.IntN(3), TolerableFailed: rng.IntN(6),
	}
	w.retained = 1 + rng.IntN(3)
	w.partitions, w.records = 1+rng.IntN(3), 20+rng.IntN(40)
	w.limit = w.records / 2
	w.storm = rng.IntN(4) == 0
	w.deleteAtEnd = rng.IntN(2) == 0
	draw := func(most int) int { return rng.IntN(2) * rng.IntN(most+1) }
	w.faults = faults{
		lost: draw(60), repeated: draw(80),
		opFails: draw(40), opLost: draw(60), opAnswerLost: draw(100), opLate: draw(60),
		crash: draw(12), crashJobManager: draw(12), midStep: draw(12), cancel: 3 * (rng.IntN(8) / 7),
		unreadable: draw(500), request: draw(20),
	}
	w.parallelism = [2]int{1 + rng.IntN(2), 1 + rng.IntN(3)}
	if rng.IntN(3) == 0 {
		w.before()
	}
	return w
}

// before has the job start from a checkpoint of another one, as if half of the
// input's first records had been read by it.
func (w *world) before() {
	sources, keyed := &simPart{}, &simPart{groups: KeyRange{0, key.Groups - 1}}
	counts := map[int]int{}
	for p := range w.partitions {
		sources.positions = append(sources.positions, simPosition{p, 5})
		for q := range 5 {
			r := simRecord{p, q}
			counts[r.key()]++
			w.external.seen[r] = "the job before"
		}
	}
	keyed.task.Vertex = 1
	id := ID(1 + w.rng.IntN(5))
	r := Record{ID: id, Metadata: fmt.Sprintf("before/chk-%d/_metadata", id)}
	store := func(f simFile) File {
		f.Writer, f.given = id, true
		f.Name = "before/" + f.Name
		w.storage[f.Name] = &f
		r.Files = append(r.Files, f.File)
		return f.File
	}
	for i := range simPages {
		page := simPage{counts: map[int]int{}}
		for k, n := range counts {
			if k%simPages == i {
				page.counts[k] = n
			}
		}
		keyed.pages[i] = simPageName{version: 1, file: store(simFile{File: File{Name: fmt.Sprintf("page-%d", i)}, page: &page})}
	}
	a := store(simFile{File: File{Name: "source"}, part: sources})
	b := store(simFile{File: File{Name: "keyed"}, part: keyed})
	meta := &simMetadata{id: id, tasks: []Acknowledgement{{Task: sources.task, Handle: []byte(a.Name)}, {Task: keyed.task, Handle: []byte(b.Name)}}}
	store(simFile{File: File{Name: fmt.Sprintf("chk-%d/_metadata", id)}, meta: meta})
	if w.rng.IntN(2) == 0 {
		w.census.Unclaimed++
		r.ID = 0
		w.store.original = &r
		return
	}
	w.store.records[id], w.store.last, w.store.counter = r, id, id
}

// happens reports whether something with a chance in thousandths does; in a fair
// world nothing goes wrong.
func (w *world) happens(chance int) bool {
	return !w.fair && chance > 0 && w.rng.IntN(1000) < chance
}

func (w *world) failf(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// toJobManager sends an event to whatever JobManager is there when it arrives.
func (w *world) toJobManager(e Event) {
	w.send(func() { w.jm.step(e) })
}

// toTasks sends something to each task of an attempt, to those named if any are.
func (w *world) toTasks(attempt ids.Attempt, only []ids.Subtask, do func(*simTask)) {
	for _, t := range w.tasks {
		if t.attempt == attempt && (only == nil || slices.Contains(only, t.id)) {
			w.send(func() {
				if !t.dead {
					do(t)
				}
			})
		}
	}
}

func (w *world) send(m func()) {
	if w.happens(w.faults.lost) {
		w.census.Lost++
		return
	}
	w.messages = append(w.messages, m)
}

// deliver hands over a message, not in the order in which they were sent.
func (w *world) deliver() {
	if len(w.messages) == 0 {
		return
	}
	i := w.rng.IntN(len(w.messages))
	m := w.messages[i]
	if w.happens(w.faults.repeated) {
		w.census.Repeated++
	} else {
		w.messages = slices.Delete(w.messages, i, i+1)
	}
	m()
}

// kill ends the processes of all tasks. What they have sent or asked for is on
// its way.
func (w *world) kill() {
	for _, t := range w.tasks {
		t.dead = true
	}
	w.tasks = nil
}

// point is a moment at which something dies if it was chosen to.
func (w *world) point() {
	w.points++
	if w.points != w.crashAt {
		return
	}
	switch w.dies {
	case "JobManager":
		w.crashJobManager()
	case "TaskManager":
		w.killOne(true)
	case "worker":
		w.killOne(false)
	}
}

// killOne kills the worker of some task, and its TaskManager with it, with the
// uploads that it does. The JobManager hears of it later.
func (w *world) killOne(taskManager bool) {
	if len(w.tasks) == 0 {
		return
	}
	died := w.tasks[w.rng.IntN(len(w.tasks))]
	died.dead = true
	if taskManager {
		w.census.TaskManagerCrashes++
		w.dropOps(func(by any) bool { return by == died })
	} else {
		w.census.WorkerCrashes++
	}
}

func (w *world) crashJobManager() {
	w.jm.dead = true
	w.census.JobManagerCrashes++
	w.dropOps(func(by any) bool { return by == w.jm })
}

// deploy starts the tasks of an attempt, often with another parallelism.
func (w *world) deploy(from *Record) {
	if w.rng.IntN(3) == 0 {
		w.parallelism = [2]int{1 + w.rng.IntN(2), 1 + w.rng.IntN(3)}
	}
	w.kill()
	for v, p := range w.parallelism {
		for i := range p {
			w.tasks = append(w.tasks, &simTask{
				w: w, id: ids.Subtask{Vertex: v, Index: i}, attempt: w.store.attempts,
				void: map[ID]bool{}, triggers: map[ID]TriggerTasks{}, counts: map[int]int{},
				manifests: map[ID][simPages]simPageName{}, commits: NewCommits(),
			})
		}
	}
	sources, keyed := w.tasks[:w.parallelism[0]], w.tasks[w.parallelism[0]:]
	for _, t := range keyed {
		t.commits.rules = w.rules
		t.inputs = nil
		for range sources {
			t.inputs = append(t.inputs, &simChannel{})
		}
		t.groups.First, t.groups.Last = key.GroupRange(t.id.Index, len(keyed))
	}
	for _, t := range sources {
		t.outputs = keyed
		if from == nil {
			for p := t.id.Index; p < w.partitions; p += len(sources) {
				t.positions = append(t.positions, simPosition{p, 0})
			}
		}
	}
	for _, t := range w.tasks {
		w.restore(t, from)
	}
}

// advance lets time pass, with a Tick whenever one is due.
func (w *world) advance(d time.Duration) {
	end := w.now.Add(d)
	for range 1000 {
		at, ok := w.deadline()
		if !ok || at.After(end) {
			break
		}
		if at.After(w.now) {
			w.now = at
		}
		w.tick()
		if w.err != nil {
			return
		}
		if again, ok := w.deadline(); ok && !again.After(w.now) {
			break // It waits for something else than the time.
		}
	}
	if end.After(w.now) {
		w.now = end
	}
}

func (w *world) deadline() (first time.Time, ok bool) {
	expect := func(t time.Time, has bool) {
		if has && (!ok || t.Before(first)) {
			first, ok = t, true
		}
	}
	if !w.jm.dead {
		expect(w.jm.deadline())
	}
	for _, t := range w.tasks {
		expect(t.commits.Deadline())
	}
	return first, ok
}

func (w *world) tick() {
	if !w.jm.dead {
		w.jm.step(Tick{})
	}
	if !w.jm.dead {
		w.jm.retentionStep(Tick{})
	}
	for _, t := range w.tasks {
		if !t.dead && !t.source() {
			t.commitStep(Tick{})
		}
	}
}

// end gives the job its end state, which it has for ever (S11).
func (w *world) end(state string) {
	w.store.ended = state
	j := w.jm
	w.kill()
	if j.running {
		j.running = false
		j.step(AttemptOver{Attempt: w.store.attempts, Reason: "the job is " + state})
	}
	j.restart = time.Time{}
	if j.restoring != nil {
		j.retentionStep(RestoreEnded{ID: j.restoring.ID})
		j.restoring = nil
	}
	if !j.dead {
		j.retentionStep(JobEnded{Delete: w.deletes()})
	}
}

// deletes reports whether the checkpoints go with the job.
func (w *world) deletes() bool { return w.deleteAtEnd }

// content returns a file that has to exist.
func (w *world) content(name, why string) *simFile {
	f := w.storage[name]
	if f == nil {
		w.failf("S4: %s: the file %s does not exist", why, name)
		return nil
	}
	return f
}

// model returns how often each key comes in the records before the positions.
func model(positions map[int]int) map[int]int {
	counts := map[int]int{}
	for p, next := range positions {
		for q := range next {
			counts[simRecord{p, q}.key()]++
		}
	}
	return counts
}

// checkRecord checks a checkpoint that has completed: S4, that everything is
// there, and S5, that its state is the model of the records before its positions.
func (w *world) checkRecord(r Record) {
	why := fmt.Sprintf("checkpoint %d has completed", r.ID)
	f := w.content(r.Metadata, why)
	if f == nil {
		return
	}
	if f.meta.attempt != r.Attempt || f.meta.id != r.ID || f.meta.final != r.Final {
		w.failf("S6: the metadata of checkpoint %+v is that of %+v", r, *f.meta)
	}
	for _, file := range r.Files {
		w.content(file.Name, why)
	}
	positions, counts, outstanding := map[int]int{}, map[int]int{}, map[simRecord]bool{}
	var groups []KeyRange
	for _, a := range f.meta.tasks {
		part := w.content(string(a.Handle), why)
		if part == nil {
			return
		}
		if part.part.attempt != r.Attempt || part.part.task != a.Task {
			w.failf("S6: checkpoint %d of attempt %d has a part of %s in attempt %d", r.ID, r.Attempt, part.part.task, part.part.attempt)
		}
		w.addPart(part.part, positions, counts, outstanding, why)
		if a.Task.Vertex == 1 {
			groups = append(groups, part.part.groups)
		}
	}
	if _, err := RedistributeKeys(groups, 1); err != nil {
		w.failf("C2: checkpoint %d: %v", r.ID, err)
	}
	if want := model(positions); !maps.Equal(counts, want) || len(positions) != w.partitions {
		w.failf("S5: checkpoint %d has the counts %v at %v, the model has %v", r.ID, counts, positions, want)
	}
	for p, next := range positions {
		for q := range next {
			_, committed := w.external.seen[simRecord{p, q}]
			if !committed && !outstanding[simRecord{p, q}] {
				w.failf("S5: checkpoint %d is at %v and does not have the output of %d/%d, nor is it committed", r.ID, positions, p, q)
			}
		}
		if r.Final && next != w.records {
			w.failf("S11: checkpoint %d is final, and partition %d is at %d of %d", r.ID, p, next, w.records)
		}
	}
}

func (w *world) addPart(part *simPart, positions, counts map[int]int, outstanding map[simRecord]bool, why string) {
	for _, p := range part.positions {
		positions[p.partition] = p.next
	}
	for _, c := range part.uncommitted {
		w.committable[string(c.Data)] = true
		for _, record := range w.external.transactions[string(c.Data)] {
			outstanding[record] = true
		}
	}
	if part.task.Vertex == 0 {
		return
	}
	for _, page := range part.pages {
		if f := w.content(page.file.Name, why); f != nil {
			maps.Copy(counts, f.page.counts)
		}
	}
}

// checkTrigger checks what an id and its trigger promise.
func (w *world) checkTrigger(c *Coordinator, a TriggerTasks) {
	if a.ID > w.store.counter || a.ID <= w.store.last {
		w.failf("C1: checkpoint %d is triggered, the store has allocated up to %d and recorded up to %d", a.ID, w.store.counter, w.store.last)
	}
	if a.Final {
		w.census.Final++
	}
	waiting := 0
	for _, p := range c.pending {
		if p.phase < recording {
			waiting++
		}
	}
	if waiting > 1 {
		w.census.Concurrent++
	}
}

// checkCoordinator checks what can be seen of the coordinator at any time.
func (w *world) checkCoordinator(c *Coordinator) {
	waiting := 0
	for _, p := range c.pending {
		if p.phase < recording && p.attempt != c.attempt {
			w.failf("S6: checkpoint %d of attempt %d is waited for in attempt %d", p.id, p.attempt, c.attempt)
		}
		if p.phase < recording && !p.final {
			waiting++
		}
	}
	if waiting > w.config.MaxConcurrent {
		w.failf("C7: %d checkpoints are under way, at most %d may be", waiting, w.config.MaxConcurrent)
	}
}

// completed takes in that the coordinator takes a checkpoint for complete.
func (w *world) completed(r Record) {
	if w.store.last < r.ID {
		w.failf("S7: checkpoint %d is taken for complete, and the store does not have it", r.ID)
	}
	if r.Attempt == w.store.attempts {
		w.completedSince++
	}
}

// check checks after every step that each checkpoint which the store has can be
// restored (S4).
func (w *world) check() {
	for _, r := range w.store.records {
		for _, f := range r.Files {
			if w.storage[f.Name] == nil {
				w.failf("S4: the file %s of the recorded checkpoint %d does not exist", f.Name, r.ID)
			}
		}
	}
	if w.store.ended != "" && len(w.tasks) > 0 {
		w.failf("S11: the job is %s, and runs", w.store.ended)
	}
}
