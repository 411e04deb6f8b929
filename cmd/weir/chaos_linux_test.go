package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/internal/recovery"
)

// chaosRounds is how many processes TestChaos kills; ROUNDS says another number.
const chaosRounds = 5

// TestChaos is the oracle: workers and TaskManagers of a job that takes checkpoints are
// killed with SIGKILL, one after the other at random moments, each after another
// checkpoint has completed, and what its sinks have committed in the end is what a
// model says, each row as often as it must be there. Nothing is left behind.
func TestChaos(t *testing.T) {
	rounds := chaosRounds
	if text := os.Getenv("ROUNDS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil || rounds < 1 {
			t.Fatalf("ROUNDS=%s: want a number of rounds", text)
		}
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(seed, 3))
	// A round takes a second or two; the job must not end before the last.
	const perSecond = 2000
	source := recovery.Events{Parts: 4, Keys: 50, Each: int64(perSecond * (2*rounds + 8))}
	x := newChaos(t, rng)
	x.submit(t, source.Each, perSecond)
	for round := range rounds {
		at := x.awaitCheckpoint(t)
		killed := x.kill(t)
		x.kills++
		t.Logf("round %d of %d: killed %s after checkpoint %d", round+1, rounds, killed, at)
	}
	x.awaitCheckpoint(t)
	job := x.await(t, x.id, func(job *client.Job) bool { return job.State.Terminal() })
	if job.State != client.Finished || job.Restarts < rounds {
		t.Fatalf("seed %d: the job is %s after %d restarts, want FINISHED after at least %d: %+v", seed, job.State, job.Restarts, rounds, job.Failure)
	}
	got, err := x.folder.Rows()
	if err != nil {
		t.Fatal(err)
	}
	if differ := recovery.Compare(got, recovery.Model(source)); len(differ) > 0 {
		t.Errorf("seed %d: %d rows differ:\n%s", seed, len(differ), strings.Join(differ[:min(len(differ), 10)], "\n"))
	}
	left, err := filepath.Glob(filepath.Join(x.checkpoints, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left in the checkpoint directory: %v, %v", left, err)
	}
	for number, tm := range x.taskManagers {
		if children := descendants(t, tm.Process.Pid); len(children) > 0 {
			awaitGone(t, children)
			t.Logf("TaskManager %d had workers at the end of the job, which are gone now", number)
		}
	}
}

// chaos is a cluster whose processes are killed.
type chaos struct {
	*cluster
	rng         *rand.Rand
	folder      recovery.Folder
	checkpoints string
	id          string
	// seen is the newest checkpoint so far, kills how many processes were killed.
	seen, kills int
}

func newChaos(t *testing.T, rng *rand.Rand) *chaos {
	t.Helper()
	bin := build(t)
	command := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", bin+"/", "./testdata/verify")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build the job: %v\n%s", err, out)
	}
	dir := t.TempDir()
	x := &chaos{cluster: startCluster(t, bin), rng: rng, folder: recovery.Folder(filepath.Join(dir, "rows")), checkpoints: filepath.Join(dir, "checkpoints")}
	if err := os.Mkdir(x.checkpoints, 0o755); err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *chaos) submit(t *testing.T, each, perSecond int64) {
	t.Helper()
	settings := []string{
		"execution.checkpointing.interval=100 ms", "execution.checkpointing.dir=" + x.checkpoints, "execution.checkpointing.num-retained=2",
		"restart-strategy.type=fixed-delay", "restart-strategy.fixed-delay.attempts=1000000", "restart-strategy.fixed-delay.delay=50 ms",
	}
	args := []string{"-p", "4"}
	for _, s := range settings {
		args = append(args, "-D", s)
	}
	x.id = x.cluster.submit(t, append(args, filepath.Join(x.bin, "verify"), string(x.folder), fmt.Sprint(each), fmt.Sprint(perSecond))...)
}

// awaitCheckpoint waits until the job has been restarted for each kill, all tasks run,
// and a newer checkpoint is in the directory than any before.
func (x *chaos) awaitCheckpoint(t *testing.T) int {
	t.Helper()
	newest := 0
	job := x.await(t, x.id, func(job *client.Job) bool {
		newest = x.newest(t)
		return job.State.Terminal() || newest > x.seen && job.Restarts >= x.kills && allRunning(job)
	})
	if job.State.Terminal() {
		t.Fatalf("the job is %s before its processes were killed: %+v", job.State, job.Failure)
	}
	x.seen = newest
	return newest
}

// newest returns the id of the newest checkpoint that is in the directory.
func (x *chaos) newest(t *testing.T) (newest int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(x.checkpoints, "*", "chk-*", "_metadata"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		id, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(filepath.Dir(f)), "chk-"))
		if err != nil {
			t.Fatal(err)
		}
		newest = max(newest, id)
	}
	return newest
}

// kill kills a worker or a TaskManager, which is started again.
func (x *chaos) kill(t *testing.T) string {
	t.Helper()
	number := 1 + x.rng.IntN(len(x.taskManagers))
	tm := x.taskManagers[number]
	workers := descendants(t, tm.Process.Pid)
	if x.rng.IntN(3) > 0 && len(workers) > 0 {
		if err := unix.Kill(workers[0].pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("worker %d of tm-%d", workers[0].pid, number)
	}
	fd, err := unix.PidfdOpen(tm.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := tm.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// The next one needs its lock.
	awaitGone(t, append(workers, child{tm.Process.Pid, fd}))
	x.startTaskManager(t, number)
	return fmt.Sprintf("tm-%d (process %d)", number, tm.Process.Pid)
}
