package jobmanager_test

import (
	"context"
	"debug/elf"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/internal/dataflow"
	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
)

// refused checks that a submission was refused with a code and a text that has
// all the words.
func refused(t *testing.T, s *submission, code codes.Code, words ...string) {
	t.Helper()
	if s.accepted != nil || s.err == nil {
		t.Fatalf("not refused: %+v", s)
	}
	st := status.Convert(s.err)
	if st.Code() != code {
		t.Errorf("code %s, want %s: %s", st.Code(), code, st.Message())
	}
	for _, word := range words {
		if !strings.Contains(st.Message(), word) {
			t.Errorf("%q does not say %q", st.Message(), word)
		}
	}
	if strings.Contains(st.Message(), "rpc error") {
		t.Errorf("%q is no text for users", st.Message())
	}
}

// TestBadSubmissions has what is refused before main is run.
func TestBadSubmissions(t *testing.T) {
	other := [32]byte{1}
	tests := []struct {
		name  string
		s     submission
		words []string
	}{
		{"another digest", submission{digest: other}, []string{"SHA-256", "0100000000"}},
		{"more bytes", submission{size: 10}, []string{"announced with 10 bytes", "more were sent"}},
		{"fewer bytes", submission{size: 1 << 20}, []string{"announced with 1048576 bytes, but 73 were sent"}},
		{"too large", submission{size: 3 << 30}, []string{"3221225472 bytes"}},
		{"a large chunk", submission{executable: make([]byte, 1<<20+1), chunk: 1<<20 + 1}, []string{"1048577 bytes"}},
		{"a script", submission{executable: []byte("#!/bin/sh\necho\n"), fileName: "run.sh"}, []string{"run.sh", "script"}},
		{"a jar", submission{executable: []byte("PK\x03\x04....")}, []string{"jar"}},
		{"text", submission{executable: []byte("package main")}, []string{"Go source"}},
		{"anything", submission{executable: []byte("\x00\x01\x02\x03\x04")}, []string{"not an executable"}},
		{"an object file", submission{executable: elfFile(elf.ET_REL, elf.EM_X86_64)}, []string{"ET_REL", "link it"}},
		{"half a header", submission{executable: linuxExecutable[:20]}, []string{"damaged"}},
		{"another machine", submission{executable: elfFile(elf.ET_EXEC, elf.EM_AARCH64)}, []string{"linux/arm64", "linux/amd64", "GOOS=linux GOARCH=amd64"}},
		{"another system", submission{executable: machOFile()}, []string{"darwin/arm64", "linux/amd64"}},
		{"windows", submission{executable: peFile()}, []string{"windows/amd64", "linux/amd64"}},
		{"a zero byte", submission{arguments: []string{"a\x00b"}}, []string{"zero byte"}},
		{"many arguments", submission{arguments: []string{strings.Repeat("x", 1<<20)}}, []string{"arguments", "1048577 bytes"}},
		{"zero parallelism", submission{configuration: map[string]string{"parallelism.default": "0"}}, []string{"parallelism.default", `"0"`, "1 to 65536"}},
		{"negative parallelism", submission{configuration: map[string]string{"parallelism.default": "-3"}}, []string{"parallelism.default", `"-3"`}},
		{"huge parallelism", submission{configuration: map[string]string{"parallelism.default": "65537"}}, []string{"parallelism.default", "65537"}},
		{"unknown key", submission{configuration: map[string]string{"paralelism.default": "2"}}, []string{"paralelism.default", "parallelism.default"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inCluster(t, nil, func(c *cluster) {
				t := c.t
				tm := c.taskManager("tm-1", 2)
				refused(t, c.submit(test.s), codes.InvalidArgument, test.words...)
				tm.nothing()
				if list, err := c.client.ListJobs(t.Context(), &clientv1.ListJobsRequest{}); err != nil || len(list.GetJobs()) != 0 {
					t.Errorf("jobs %v, %v", list, err)
				}
			})
		})
	}
}

func TestSubmissionMustBeginWithStart(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		stream, err := c.client.SubmitJob(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&clientv1.SubmitJobRequest{Message: &clientv1.SubmitJobRequest_Chunk{}}); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("the answer is %v", err)
		}
	})
}

// TestRefusedPlans has what is refused because of what main does.
func TestRefusedPlans(t *testing.T) {
	tests := []struct {
		name          string
		first, second *tmv1.PlanDone
		code          codes.Code
		words         []string
		stderr        string
	}{
		{
			"main fails", &tmv1.PlanDone{Error: "main exited with code 2 before it built a graph", ExitCode: 2, Stderr: []byte("usage: job -topic\n")}, nil,
			codes.InvalidArgument,
			[]string{"flights", "tm-1", "code 2"},
			"usage: job -topic\n",
		},
		{
			"main fails, in fewer words", &tmv1.PlanDone{Error: "it wrote nothing", ExitCode: 3}, nil,
			codes.InvalidArgument,
			[]string{"code 3"},
			"",
		},
		{"no plan", &tmv1.PlanDone{}, nil, codes.InvalidArgument, []string{"no plan"}, ""},
		{
			"an invalid plan", &tmv1.PlanDone{Plan: flightsPlan(func(p *dataflow.Plan) { p.Exchanges[0].From = 1 })}, nil,
			codes.InvalidArgument,
			[]string{"topological order"},
			"",
		},
		{
			"mistakes", &tmv1.PlanDone{Plan: flightsPlan(func(p *dataflow.Plan) { p.Mistakes = []string{"a.go:1: one", "b.go:2: two"} })}, nil,
			codes.InvalidArgument,
			[]string{"2 mistakes", "\n  a.go:1: one\n  b.go:2: two"},
			"",
		},
		{
			"another graph", &tmv1.PlanDone{Plan: flightsPlan()}, &tmv1.PlanDone{Plan: flightsPlan(func(p *dataflow.Plan) {
				p.Vertices[0].Operators[0].OutputType = "main.Other"
				p.Fingerprint = [32]byte{2}
			})},
			codes.InvalidArgument,
			[]string{`source "flights"`, "late/main.go:12", "main.Other", "weir.Once"},
			"",
		},
		{
			"another graph, unseen", &tmv1.PlanDone{Plan: flightsPlan()}, &tmv1.PlanDone{Plan: flightsPlan(func(p *dataflow.Plan) { p.Fingerprint = [32]byte{2} })},
			codes.InvalidArgument,
			[]string{"fingerprints are not equal"},
			"",
		},
		{
			"mistakes the second time", &tmv1.PlanDone{Plan: flightsPlan()}, &tmv1.PlanDone{Plan: flightsPlan(func(p *dataflow.Plan) { p.Mistakes = []string{"a.go:1: one"} })},
			codes.InvalidArgument,
			[]string{"a.go:1: one", "where and when"},
			"",
		},
		{
			"main fails the second time", &tmv1.PlanDone{Plan: flightsPlan(), Stderr: []byte("once\n")}, &tmv1.PlanDone{Error: "main was killed", ExitCode: -1, Stderr: []byte("twice\n")},
			codes.InvalidArgument,
			[]string{"second time", "main was killed"},
			"once\ntwice\n",
		},
		{
			"an unknown setting in code", &tmv1.PlanDone{Plan: flightsPlan(func(p *dataflow.Plan) { p.Settings = map[string]string{"paralelism.default": "1"} })}, &tmv1.PlanDone{Plan: flightsPlan()},
			codes.InvalidArgument,
			[]string{"paralelism.default", "the job's code"},
			"",
		},
		{
			"more tasks than a job may have", &tmv1.PlanDone{Plan: flightsPlan(manyTasks)}, &tmv1.PlanDone{Plan: flightsPlan(manyTasks)},
			codes.FailedPrecondition,
			[]string{"327682 tasks"},
			"",
		},
		{
			"more buffers than there are", &tmv1.PlanDone{Plan: flightsPlan(wide)}, &tmv1.PlanDone{Plan: flightsPlan(wide)},
			codes.FailedPrecondition,
			[]string{"Insufficient number of network buffers", "needs 5003", "only 2048"},
			"",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inCluster(t, nil, func(c *cluster) {
				t := c.t
				tm := c.taskManager("tm-1", 2)
				answer := c.start(t.Context(), submission{})
				tm.plan(test.first)
				if test.second != nil {
					tm.plan(test.second)
				}
				got := <-answer
				refused(t, got, test.code, test.words...)
				if got.stderr != test.stderr {
					t.Errorf("the user saw %q, want %q", got.stderr, test.stderr)
				}
				tm.nothing()
				list, err := c.client.ListJobs(t.Context(), &clientv1.ListJobsRequest{})
				if err != nil || len(list.GetJobs()) != 1 || list.GetJobs()[0].GetState() != clientv1.JobState_JOB_STATE_FAILED {
					t.Errorf("jobs %v, %v", list, err)
				}
			})
		})
	}
}

// manyTasks gives a plan five more vertices, each as wide as possible.
func manyTasks(p *dataflow.Plan) {
	p.Vertices[1].Parallelism = dataflow.MaxParallelism
	for _, id := range []string{"a", "b", "c", "d"} {
		p.Vertices = append(p.Vertices, dataflow.Vertex{ID: id, Name: id, Parallelism: dataflow.MaxParallelism, Operators: []dataflow.Operator{{ID: id}}})
		p.Exchanges = append(p.Exchanges, dataflow.Exchange{From: 0, To: len(p.Vertices) - 1, Partitioning: dataflow.Rebalance})
	}
}

// wide gives the sink 2,500 subtasks, so that the source has as many channels.
func wide(p *dataflow.Plan) { p.Vertices[0].Parallelism, p.Vertices[1].Parallelism = 2500, 1 }

func TestPlanningWaitsForATaskManager(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		answer := c.start(t.Context(), submission{})
		pass(4 * time.Minute)
		tm := c.taskManager("tm-1", 2)
		tm.plan(&tmv1.PlanDone{Plan: flightsPlan()})
		tm.plan(&tmv1.PlanDone{Plan: flightsPlan()})
		got := <-answer
		if got.err != nil || len(got.warnings) != 1 || !strings.Contains(got.warnings[0], "no TaskManager is registered") || !strings.Contains(got.warnings[0], "5m0s") {
			t.Errorf("answer %+v", got)
		}
	})
}

func TestNobodyComesToPlan(t *testing.T) {
	inCluster(t, map[string]string{"slot.request.timeout": "2 min"}, func(c *cluster) {
		t := c.t
		before := time.Now()
		got := c.submit(submission{})
		refused(t, got, codes.FailedPrecondition, "no TaskManager", "slot.request.timeout (2m0s)")
		if d := time.Since(before); d != 2*time.Minute {
			t.Errorf("refused after %s", d)
		}
	})
}

// TestPlanningMovesOn loses TaskManagers during a planning: another one does
// it, and after the third the job itself is suspected.
func TestPlanningMovesOn(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		answer := c.start(t.Context(), submission{})
		for i := range 3 {
			tm := c.taskManager("tm-1", 2)
			hear(tm, (*tmv1.ConnectResponse).GetRunPlan)
			if i == 2 {
				synctest.Wait()
			}
			tm.hangUp()
			<-tm.ended
		}
		refused(t, <-answer, codes.InvalidArgument, "tm-1 was lost while it planned the job")
	})
}

// TestPlanningsAreSpread has two jobs planned at the same time on three
// TaskManagers, and one of these answer for another.
func TestPlanningsAreSpread(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm1, tm2, tm3 := c.taskManager("tm-1", 1), c.taskManager("tm-2", 1), c.taskManager("tm-3", 1)
		ctx, cancel := context.WithCancel(t.Context())
		a := c.start(ctx, submission{})
		first := hear(tm1, (*tmv1.ConnectResponse).GetRunPlan)
		b := c.start(ctx, submission{})
		hear(tm2, (*tmv1.ConnectResponse).GetRunPlan)

		done := &tmv1.PlanDone{PlanId: first.GetPlanId(), Plan: flightsPlan()}
		tm3.say(&tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_PlanDone{PlanDone: done}})
		tm3.nothing()
		tm1.say(&tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_PlanDone{PlanDone: done}})
		// Not on tm-1, where it ran, and not on tm-2, which is busy.
		if second := hear(tm3, (*tmv1.ConnectResponse).GetRunPlan); second.GetRun() != 2 {
			t.Errorf("run %v", second)
		}
		cancel()
		<-a
		<-b
	})
}

// TestSecondRunIsElsewhere also where the other TaskManager has more to do.
func TestSecondRunIsElsewhere(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm1, tm2 := c.taskManager("tm-1", 1), c.taskManager("tm-2", 1)
		ctx, cancel := context.WithCancel(t.Context())
		a := c.start(ctx, submission{})
		hear(tm1, (*tmv1.ConnectResponse).GetRunPlan)
		b := c.start(ctx, submission{})
		tm2.plan(&tmv1.PlanDone{Plan: flightsPlan()})
		if second := hear(tm1, (*tmv1.ConnectResponse).GetRunPlan); second.GetRun() != 2 {
			t.Errorf("run %v", second)
		}
		cancel()
		<-a
		<-b
	})
}

func TestPlanningThatIsNotAnswered(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		answer := c.start(t.Context(), submission{})
		run := hear(tm, (*tmv1.ConnectResponse).GetRunPlan)
		refused(t, <-answer, codes.DeadlineExceeded, "tm-1", "11m0s")
		if stop := hear(tm, (*tmv1.ConnectResponse).GetStopPlan); stop.GetPlanId() != run.GetPlanId() {
			t.Errorf("planning %s is stopped, want %s", stop.GetPlanId(), run.GetPlanId())
		}
	})
}

func TestClientGivesUp(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		ctx, cancel := context.WithCancel(t.Context())
		answer := c.start(ctx, submission{})
		run := hear(tm, (*tmv1.ConnectResponse).GetRunPlan)
		cancel()
		refused(t, <-answer, codes.Canceled)
		if stop := hear(tm, (*tmv1.ConnectResponse).GetStopPlan); stop.GetPlanId() != run.GetPlanId() {
			t.Errorf("planning %s is stopped, want %s", stop.GetPlanId(), run.GetPlanId())
		}
		// What comes too late changes nothing.
		tm.say(&tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_PlanDone{PlanDone: &tmv1.PlanDone{PlanId: run.GetPlanId(), Plan: flightsPlan()}}})
		tm.nothing()
		list, err := c.client.ListJobs(t.Context(), &clientv1.ListJobsRequest{})
		if err != nil || len(list.GetJobs()) != 1 || !strings.Contains(list.GetJobs()[0].GetStatusMessage(), "gave up") {
			t.Errorf("jobs %v, %v", list, err)
		}
	})
}

func TestCancelWhilePlanned(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		answer := c.start(t.Context(), submission{})
		run := hear(tm, (*tmv1.ConnectResponse).GetRunPlan)
		list, err := c.client.ListJobs(t.Context(), &clientv1.ListJobsRequest{})
		if err != nil || len(list.GetJobs()) != 1 || list.GetJobs()[0].GetState() != clientv1.JobState_JOB_STATE_INITIALIZING || list.GetJobs()[0].GetName() != "flights" {
			t.Fatalf("jobs %v, %v", list, err)
		}
		id := list.GetJobs()[0].GetJobId()
		if err := c.cancel(id); err != nil {
			t.Fatal(err)
		}
		refused(t, <-answer, codes.FailedPrecondition, "cancelled while it was being planned")
		if stop := hear(tm, (*tmv1.ConnectResponse).GetStopPlan); stop.GetPlanId() != run.GetPlanId() {
			t.Errorf("planning %s is stopped, want %s", stop.GetPlanId(), run.GetPlanId())
		}
		if s := c.state(id); s != "CANCELED" {
			t.Errorf("job is %s", s)
		}
		if text := c.log.String(); strings.Contains(text, "message dropped") {
			t.Errorf("the log has something of a dropped message:\n%s", text)
		}
	})
}

func TestSettingsHavePrecedence(t *testing.T) {
	const key = "pipeline.auto-watermark-interval"
	tests := []struct{ name, file, client, code, want string }{
		{"default", "", "", "", ""},
		{"file", "1 ms", "", "", "1 ms"},
		{"client over file", "1 ms", "2 ms", "", "2 ms"},
		{"code over client", "1 ms", "2 ms", "3 ms", "3 ms"},
	}
	set := func(value string) map[string]string {
		if value == "" {
			return nil
		}
		return map[string]string{key: value}
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inCluster(t, set(test.file), func(c *cluster) {
				t := c.t
				tm := c.taskManager("tm-1", 2)
				c.run(tm, submission{configuration: set(test.client)}, func(p *dataflow.Plan) { p.Settings = set(test.code) })
				if got := startWorker(tm).GetConfiguration()[key]; got != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
			})
		})
	}
}

func TestParallelismHasPrecedence(t *testing.T) {
	inCluster(t, map[string]string{"parallelism.default": "3"}, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 8)
		for _, test := range []struct {
			client, code map[string]string
			want         uint32
		}{
			{nil, nil, 3},
			{map[string]string{"parallelism.default": "4"}, nil, 4},
			{map[string]string{"parallelism.default": "4"}, map[string]string{"parallelism.default": "2"}, 2},
		} {
			id := c.run(tm, submission{configuration: test.client}, func(p *dataflow.Plan) { p.Settings = test.code })
			if got := startWorker(tm).GetDefaultParallelism(); got != test.want {
				t.Errorf("default parallelism %d, want %d", got, test.want)
			}
			d := c.describe(id)
			if d.GetVertices()[0].GetParallelism() != 2 || d.GetVertices()[1].GetParallelism() != test.want {
				t.Errorf("vertices %v", d.GetVertices())
			}
			if err := c.cancel(id); err != nil {
				t.Fatal(err)
			}
			kill := hear(tm, (*tmv1.ConnectResponse).GetKillWorker)
			tm.exited(&tmv1.StartWorker{JobId: kill.GetJobId(), Attempt: kill.GetAttempt()}, &tmv1.WorkerExited{ExitCode: -1, Signal: "killed"})
			synctest.Wait()
		}
	})
}

func TestSettingsOfDaemonsHaveNoEffect(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		answer := c.start(t.Context(), submission{configuration: map[string]string{
			"slot.request.timeout": "1 s", "pipeline.name": "a better name",
		}})
		tm.plan(&tmv1.PlanDone{Plan: flightsPlan()})
		tm.plan(&tmv1.PlanDone{Plan: flightsPlan()})
		got := <-answer
		if len(got.warnings) != 1 || !strings.Contains(got.warnings[0], "slot.request.timeout has no effect") {
			t.Errorf("warnings %q", got.warnings)
		}
		if got.accepted.GetJobName() != "a better name" || c.summary(got.accepted.GetJobId()).GetName() != "a better name" {
			t.Errorf("accepted %v", got.accepted)
		}
		if _, ok := startWorker(tm).GetConfiguration()["slot.request.timeout"]; ok {
			t.Error("a setting of the daemons travels with the job")
		}
	})
}

func TestDynamicExecutableIsAWarning(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		answer := c.start(t.Context(), submission{executable: dynamicExecutable()})
		tm.plan(&tmv1.PlanDone{Plan: flightsPlan()})
		tm.plan(&tmv1.PlanDone{Plan: flightsPlan()})
		if got := <-answer; len(got.warnings) != 1 || !strings.Contains(got.warnings[0], "CGO_ENABLED=0") {
			t.Errorf("warnings %q, %v", got.warnings, got.err)
		}
	})
}

// TestSlotsThatLack has a job that waits for slots, and one that waits in vain.
func TestSlotsThatLack(t *testing.T) {
	inCluster(t, map[string]string{"slot.request.timeout": "2 min"}, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 1)
		answer := c.start(t.Context(), submission{})
		tm.plan(&tmv1.PlanDone{Plan: flightsPlan()})
		tm.plan(&tmv1.PlanDone{Plan: flightsPlan()})
		const lacks = "needs 2 slots, 1 free of 1 in the cluster (tm-1: 1 of 1)"
		got := <-answer
		if len(got.warnings) != 1 || got.warnings[0] != "the job waits for slots: it "+lacks {
			t.Errorf("warnings %q, %v", got.warnings, got.err)
		}
		id := got.accepted.GetJobId()
		if s := c.summary(id); s.GetStatusMessage() != lacks || s.GetState() != clientv1.JobState_JOB_STATE_CREATED || s.GetTasks()["CREATED"] != 3 {
			t.Errorf("job %v", s)
		}
		tm.nothing()
		pass(2*time.Minute - time.Millisecond)
		if s := c.state(id); s != "CREATED" {
			t.Errorf("job is %s", s)
		}
		pass(time.Millisecond)
		s := c.summary(id)
		if s.GetState() != clientv1.JobState_JOB_STATE_FAILED || !strings.Contains(s.GetStatusMessage(), "NoResourceAvailable") || s.GetEndTimeMs() == 0 {
			t.Errorf("job %v", s)
		}

		id = c.run(tm, submission{})
		tm.nothing()
		tm2 := c.taskManager("tm-2", 1)
		startWorker(tm)
		startWorker(tm2)
		if s := c.summary(id); s.GetStatusMessage() != "" {
			t.Errorf("job %v", s)
		}
	})
}

func TestSubmissionsAreBounded(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var answers []<-chan *submission
		for range 64 {
			answers = append(answers, c.start(ctx, submission{}))
		}
		synctest.Wait()
		refused(t, c.submit(submission{}), codes.ResourceExhausted, "64 jobs")
		cancel()
		for _, answer := range answers {
			<-answer
		}
		synctest.Wait()
		ctx, cancel = context.WithCancel(t.Context())
		answer := c.start(ctx, submission{})
		tm := c.taskManager("tm-1", 2)
		hear(tm, (*tmv1.ConnectResponse).GetRunPlan)
		cancel()
		<-answer
	})
}
