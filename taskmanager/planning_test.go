package taskmanager_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir/internal/ids"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
)

var planNumber int

// plan has the test's executable planned in a role.
func (g *gateway) plan(m *tmv1.RunPlan) *tmv1.PlanDone {
	g.t.Helper()
	planNumber++
	m.PlanId = "plan-" + strconv.Itoa(planNumber)
	if m.JobId == nil {
		job := ids.NewJobID()
		m.JobId = job[:]
	}
	m.FileName = "./job"
	m.Run = max(m.GetRun(), 1)
	g.send(&tmv1.ConnectResponse{Message: &tmv1.ConnectResponse_RunPlan{RunPlan: m}})
	done := expect(g, (*tmv1.ConnectRequest).GetPlanDone)
	if done.GetPlanId() != m.GetPlanId() {
		g.t.Errorf("the result is of %q: want %q", done.GetPlanId(), m.GetPlanId())
	}
	return done
}

func TestPlan(t *testing.T) {
	g, digest, base := cluster(t)
	done := g.plan(&tmv1.RunPlan{Sha256: digest[:], Arguments: []string{"plan", "m"}, TimeoutMs: 60_000})
	if done.GetError() != "" || done.GetExitCode() != 0 || !proto.Equal(done.GetPlan(), graph("m")) {
		t.Errorf("got %v", done)
	}
	if string(done.GetStdout()) != "planned\n" || len(done.GetStderr()) != 0 {
		t.Errorf("printed %q and %q", done.GetStdout(), done.GetStderr())
	}
	done = g.plan(&tmv1.RunPlan{Sha256: digest[:], Arguments: []string{"mistakes"}, TimeoutMs: 60_000})
	if done.GetError() != "" || done.GetExitCode() != 1 || len(done.GetPlan().GetMistakes()) != 1 {
		t.Errorf("a plan with mistakes: got %v", done)
	}
	if left, err := filepath.Glob(filepath.Join(base, "work", "plans", "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestPlanFails(t *testing.T) {
	g, digest, _ := cluster(t)
	for _, test := range []struct {
		role    []string
		timeout uint64
		err     string
		code    int32
		stderr  string
	}{
		{role: []string{"return"}, err: "main returned without calling weir.Main; it printed nothing"},
		{
			role: []string{"usage"}, code: 2, stderr: "Usage of ./job:",
			err: "main exited with code 2 before it built a graph; it printed: Usage of ./job:\n  -topic string",
		},
		{
			role: []string{"panic"}, code: 2, stderr: "roles_test.go",
			err: "main exited with code 2 before it built a graph; it printed: panic: the job's own fault",
		},
		{role: []string{"plan, exit", "4"}, code: 4, err: "main exited with code 4 after it built the graph; it printed: planned"},
		{role: []string{"garbage"}, err: "the plan is not readable: 18 bytes that are no plan"},
		{role: []string{"no vertices"}, err: "the plan is not readable: plan: "},
		{role: []string{"huge"}, code: -1, err: "the plan is larger than 67108864 bytes"},
		{role: []string{"hang"}, timeout: 300, code: -1, err: "main did not build the graph within 300ms"},
	} {
		t.Run(test.role[0], func(t *testing.T) {
			g.t = t
			done := g.plan(&tmv1.RunPlan{Sha256: digest[:], Arguments: test.role, TimeoutMs: max(test.timeout, 0)})
			if done.GetPlan() != nil || done.GetExitCode() != test.code || !strings.HasPrefix(done.GetError(), test.err) {
				t.Errorf("got exit code %d, %q: want %d, %q", done.GetExitCode(), done.GetError(), test.code, test.err)
			}
			if !strings.Contains(string(done.GetStderr()), test.stderr) {
				t.Errorf("standard error %q: want %q in it", done.GetStderr(), test.stderr)
			}
		})
	}
}

// Two runs of a job find different surroundings, and neither those of the
// daemon.
func TestPlanSurroundings(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "not for jobs")
	g, digest, base := cluster(t)
	var runs [2]surroundings
	for i := range runs {
		done := g.plan(&tmv1.RunPlan{
			Sha256: digest[:], Arguments: []string{"report", "--flag"}, Run: uint32(i + 1),
			Recorded: map[string][]byte{"start": {1, 2, 3}}, Configuration: map[string]string{"parallelism.default": "3"},
		})
		if err := json.Unmarshal([]byte(done.GetPlan().GetJobName()), &runs[i]); err != nil {
			t.Fatalf("%v: %v", err, done)
		}
	}
	for i, r := range runs {
		slices.Sort(r.Environment)
		want := []string{
			"GOMAXPROCS=" + strconv.Itoa(i+1), "LANG=C.UTF-8", "TMPDIR=" + r.Directory + "/tmp", "TZ=UTC",
			"WEIR_INPUT_FD=4", "WEIR_MODE=plan", "WEIR_PLAN_FD=3", "WEIR_PLAN_RUN=" + strconv.Itoa(i+1),
		}
		if !slices.Equal(r.Environment, want) {
			t.Errorf("run %d: environment %q: want %q", i+1, r.Environment, want)
		}
		if filepath.Dir(r.Directory) != filepath.Join(base, "work", "plans") {
			t.Errorf("run %d: directory %s", i+1, r.Directory)
		}
		if !slices.Equal(r.Arguments, []string{"./job", "report", "--flag"}) || r.Stdin != "" {
			t.Errorf("run %d: arguments %q, standard input %q", i+1, r.Arguments, r.Stdin)
		}
		if !bytes.Equal(r.Recorded["start"], []byte{1, 2, 3}) || r.Configuration["parallelism.default"] != "3" {
			t.Errorf("run %d: input %v, %v", i+1, r.Recorded, r.Configuration)
		}
	}
	if runs[0].Directory == runs[1].Directory {
		t.Errorf("both runs were in %s", runs[0].Directory)
	}
}

func TestStopPlan(t *testing.T) {
	g, digest, _ := cluster(t)
	job := ids.NewJobID()
	g.send(&tmv1.ConnectResponse{Message: &tmv1.ConnectResponse_RunPlan{RunPlan: &tmv1.RunPlan{
		PlanId: "p", JobId: job[:], Sha256: digest[:], Arguments: []string{"hang"}, Run: 1,
	}}})
	g.send(&tmv1.ConnectResponse{Message: &tmv1.ConnectResponse_StopPlan{StopPlan: &tmv1.StopPlan{PlanId: "p"}}})
	if done := expect(g, (*tmv1.ConnectRequest).GetPlanDone); !strings.Contains(done.GetError(), "stopped") || done.GetPlanId() != "p" {
		t.Errorf("got %v", done)
	}
}

// What cannot be run is said in words for the user.
func TestNoExecutable(t *testing.T) {
	jm := newJobManager(t)
	run(t, configure(jm.address, t.TempDir()))
	g := jm.accept(t)
	elf := func(machine byte) []byte {
		head := make([]byte, 64)
		copy(head, "\x7fELF\x02\x01\x01")
		head[18] = machine
		return head
	}
	other, machine := "linux/arm64", byte(183)
	if runtime.GOARCH == "arm64" {
		other, machine = "linux/amd64", 62
	}
	here := runtime.GOOS + "/" + runtime.GOARCH
	unknown := sha256.Sum256([]byte("not offered"))
	lies := sha256.Sum256([]byte("announced"))
	jm.offerAs(lies, func(s grpc.ServerStreamingServer[tmv1.FetchArtefactResponse]) error {
		return sendChunks(s, 9, []byte("something"))
	})
	short, long, large := sha256.Sum256([]byte("a")), sha256.Sum256([]byte("b")), sha256.Sum256([]byte("c"))
	jm.offerAs(short, func(s grpc.ServerStreamingServer[tmv1.FetchArtefactResponse]) error {
		return sendChunks(s, 9, []byte("some"))
	})
	jm.offerAs(long, func(s grpc.ServerStreamingServer[tmv1.FetchArtefactResponse]) error {
		return sendChunks(s, 3, []byte("some"))
	})
	jm.offerAs(large, func(s grpc.ServerStreamingServer[tmv1.FetchArtefactResponse]) error {
		return sendChunks(s, 1<<40, []byte("some"))
	})
	for _, test := range []struct {
		name   string
		digest [32]byte
		err    string
	}{
		{"text", jm.offer([]byte("echo I am a script, but without the first line")), "the artefact is not an executable (it begins with \"echo I a\")"},
		{"script", jm.offer([]byte("#!/bin/sh\necho hello\n")), "the artefact is not an executable (it begins with \"#!/bin/s\")"},
		{"empty", jm.offer(nil), "the artefact is not an executable"},
		{"other machine", jm.offer(elf(machine)), "the executable is built for " + other + ", but this TaskManager runs " + here + ": build it with GOOS="},
		{"other system", jm.offer(append([]byte{0xcf, 0xfa, 0xed, 0xfe, 0x0c, 0, 0, 1}, make([]byte, 56)...)), "the executable is built for darwin/arm64"},
		{"windows", jm.offer(append([]byte("MZ"), make([]byte, 62)...)), "the executable is built for windows"},
		{"unknown", unknown, "no artefact "},
		{"other content", lies, "the JobManager sent something else: artefact "},
		{"short", short, "the JobManager announced 9 bytes, but sent 4"},
		{"long", long, "the JobManager announced 3 bytes, but sends more"},
		{"large", large, "it has 1099511627776 bytes: this TaskManager takes at most"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g.t = t
			done := g.plan(&tmv1.RunPlan{Sha256: test.digest[:]})
			if done.GetPlan() != nil || done.GetExitCode() != -1 || !strings.Contains(done.GetError(), test.err) {
				t.Errorf("a plan: got %q: want %q", done.GetError(), test.err)
			}
			g.startWorker(ids.NewJobID(), 1, test.digest, 1)
			if exit := g.expectExit(); !strings.Contains(exit.GetError(), test.err) || exit.GetExitCode() != -1 {
				t.Errorf("a worker: got %q: want %q", exit.GetError(), test.err)
			}
		})
	}
	if done := g.plan(&tmv1.RunPlan{Sha256: []byte("short")}); !strings.Contains(done.GetError(), "SHA-256 has 5 bytes: want 32") {
		t.Errorf("got %v", done)
	}
}

// An artefact is fetched once, also if it is wanted twice at the same time.
func TestArtefactIsFetchedOnce(t *testing.T) {
	jm := newJobManager(t)
	run(t, configure(jm.address, t.TempDir()))
	g := jm.accept(t)
	digest := jm.offerTestBinary()
	job := ids.NewJobID()
	for i := range 2 {
		g.send(&tmv1.ConnectResponse{Message: &tmv1.ConnectResponse_RunPlan{RunPlan: &tmv1.RunPlan{
			PlanId: strconv.Itoa(i), JobId: job[:], Sha256: digest[:], Arguments: []string{"plan", "m"}, Run: uint32(i + 1),
		}}})
	}
	for range 2 {
		if done := expect(g, (*tmv1.ConnectRequest).GetPlanDone); done.GetError() != "" {
			t.Errorf("got %v", done)
		}
	}
	g.startWorker(job, 1, digest, 1, "work")
	g.expectReady()
	if n := jm.fetched(); n != 1 {
		t.Errorf("it was fetched %d times", n)
	}
}
