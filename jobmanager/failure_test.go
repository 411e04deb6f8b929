package jobmanager_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
)

// running starts a job on one TaskManager and lets its tasks run.
func (c *cluster) running(tm *taskManager) (id string, start *tmv1.StartWorker) {
	c.t.Helper()
	id = c.run(tm, submission{})
	start = startWorker(tm)
	tm.ready(start)
	command(tm, (*workerv1.SessionResponse).GetStartTasks)
	command(tm, (*workerv1.SessionResponse).GetEnumerateSplits)
	for _, task := range [][2]uint32{{0, 0}, {0, 1}, {1, 0}} {
		tm.state(start, task[0], task[1], workerv1.TaskState_TASK_STATE_RUNNING)
	}
	return id, start
}

func TestFailedTask(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		id, start := c.running(tm)
		tm.fail(start, 0, 1, "row 7 of a.csv has 3 fields, want 4", "goroutine 7 [running]")
		command(tm, (*workerv1.SessionResponse).GetCancelTasks)
		command(tm, (*workerv1.SessionResponse).GetShutdown)
		if s := c.state(id); s != "FAILING" {
			t.Errorf("job is %s", s)
		}
		tm.exited(start, &tmv1.WorkerExited{ExitCode: 0, LogFile: "/var/log/weir/a.log"})
		if s := c.state(id); s != "FAILED" {
			t.Errorf("job is %s", s)
		}
		want := &clientv1.JobFailure{
			Message: "row 7 of a.csv has 3 fields, want 4", Task: "Source: flights (2/2)", TaskManager: "tm-1",
			Stack: "goroutine 7 [running]", TimeMs: 1234, LogFile: "/var/log/weir/a.log",
		}
		d := c.describe(id)
		if got := d.GetFailure(); got.String() != want.String() {
			t.Errorf("failure %v, want %v", got, want)
		}
		if s := d.GetSummary().GetStatusMessage(); s != "Source: flights (2/2): row 7 of a.csv has 3 fields, want 4 (on TaskManager tm-1)" {
			t.Errorf("status %q", s)
		}
		if n := d.GetSummary().GetTasks(); n["FAILED"] != 1 || n["CANCELED"] != 2 {
			t.Errorf("tasks %v", n)
		}
	})
}

// A worker that cannot do its part says why itself.
func TestWorkerThatFailsBeforeItIsReady(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		id := c.run(tm, submission{})
		start := startWorker(tm)
		tm.worker(start, &workerv1.SessionRequest{Message: &workerv1.SessionRequest_Failed{Failed: &workerv1.Failed{
			Failure: &workerv1.Failure{Message: "prepare worker 0: bind: address already in use", Stack: "goroutine 1", TimeMs: 1234},
		}}})
		hear(tm, (*tmv1.ConnectResponse).GetKillWorker)
		tm.exited(start, &tmv1.WorkerExited{ExitCode: 1, Error: "it says so again", LogFile: "/l"})
		want := &clientv1.JobFailure{
			Message: "prepare worker 0: bind: address already in use", TaskManager: "tm-1", Stack: "goroutine 1", TimeMs: 1234, LogFile: "/l",
		}
		if s := c.state(id); s != "FAILED" {
			t.Errorf("job is %s", s)
		}
		if got := c.describe(id).GetFailure(); got.String() != want.String() {
			t.Errorf("failure %v, want %v", got, want)
		}
	})
}

func TestCrashedWorker(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		id, start := c.running(tm)
		tm.exited(start, &tmv1.WorkerExited{ExitCode: 2, StderrTail: []byte("panic: boom\n\ngoroutine 1\n\xff"), LogFile: "/l"})
		if s := c.state(id); s != "FAILED" {
			t.Errorf("job is %s", s)
		}
		f := c.describe(id).GetFailure()
		if f.GetMessage() != "the worker exited with code 2: panic: boom" || f.GetStack() != "panic: boom\n\ngoroutine 1\n\uFFFD" || f.GetLogFile() != "/l" {
			t.Errorf("failure %v", f)
		}
		if list := c.taskManagers(); list[0] != "tm-1 2/2" {
			t.Errorf("TaskManagers %v", list)
		}
	})
}

func TestCancelAsksThenKills(t *testing.T) {
	inCluster(t, map[string]string{"task.cancellation.timeout": "30 s"}, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		id, start := c.running(tm)
		if err := c.cancel(id); err != nil {
			t.Fatal(err)
		}
		command(tm, (*workerv1.SessionResponse).GetCancelTasks)
		command(tm, (*workerv1.SessionResponse).GetShutdown)
		if err := c.cancel(id); err != nil {
			t.Errorf("cancelling twice: %v", err)
		}
		before := time.Now()
		kill := hear(tm, (*tmv1.ConnectResponse).GetKillWorker)
		if d := time.Since(before); d != 30*time.Second {
			t.Errorf("killed after %s", d)
		}
		if kill.GetAttempt() != 1 || string(kill.GetJobId()) != string(start.GetJobId()) || !strings.Contains(kill.GetReason(), "task.cancellation.timeout") {
			t.Errorf("kill %v", kill)
		}
		if s := c.state(id); s != "CANCELLING" {
			t.Errorf("job is %s", s)
		}
		tm.exited(start, &tmv1.WorkerExited{ExitCode: -1, Signal: "killed"})
		if s := c.state(id); s != "CANCELED" {
			t.Errorf("job is %s", s)
		}
		err := c.cancel(id)
		if status.Code(err) != codes.FailedPrecondition || !strings.Contains(status.Convert(err).Message(), "CANCELED") {
			t.Errorf("cancelling a job that has ended: %v", err)
		}
	})
}

func TestUnknownJobs(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		for id, code := range map[string]codes.Code{
			"0123456789abcdef0123456789abcdef": codes.NotFound,
			"0123":                             codes.InvalidArgument,
			"":                                 codes.InvalidArgument,
		} {
			if err := c.cancel(id); status.Code(err) != code {
				t.Errorf("cancel %q: %v", id, err)
			}
			if _, err := c.client.DescribeJob(t.Context(), &clientv1.DescribeJobRequest{JobId: id}); status.Code(err) != code {
				t.Errorf("describe %q: %v", id, err)
			}
			watch, err := c.client.WatchJob(t.Context(), &clientv1.WatchJobRequest{JobId: id})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := watch.Recv(); status.Code(err) != code {
				t.Errorf("watch %q: %v", id, err)
			}
		}
	})
}

func TestJobsAreForgotten(t *testing.T) {
	inCluster(t, map[string]string{"jobstore.expiration-time": "10 min"}, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		id, start := c.running(tm)
		tm.exited(start, &tmv1.WorkerExited{ExitCode: 2})
		pass(10*time.Minute - time.Second)
		if s := c.state(id); s != "FAILED" {
			t.Errorf("job is %s", s)
		}
		pass(time.Second)
		if s := c.state(id); s != "unknown" {
			t.Errorf("job is %s", s)
		}
	})
}

func TestJobsAreListedByStart(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		var want []string
		for range 5 {
			id, start := c.running(tm)
			tm.exited(start, &tmv1.WorkerExited{ExitCode: 2})
			want = append(want, id)
			pass(time.Second)
		}
		list, err := c.client.ListJobs(t.Context(), &clientv1.ListJobsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for i, j := range list.GetJobs() {
			if j.GetJobId() != want[i] {
				t.Errorf("job %d is %s, want %s", i, j.GetJobId(), want[i])
			}
		}
	})
}

func TestWorkerOfAnotherProtocol(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		id := c.run(tm, submission{})
		start := startWorker(tm)
		tm.say(&tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_WorkerHello{WorkerHello: &tmv1.WorkerHello{
			JobId: start.GetJobId(), Attempt: 1, ProtocolVersion: 9, EngineVersion: "7.0.0",
		}}})
		hear(tm, (*tmv1.ConnectResponse).GetKillWorker)
		tm.exited(start, &tmv1.WorkerExited{ExitCode: -1, Signal: "killed"})
		if s := c.state(id); s != "FAILED" {
			t.Errorf("job is %s", s)
		}
		if m := c.describe(id).GetFailure().GetMessage(); !strings.Contains(m, "engine 7.0.0") || !strings.Contains(m, "protocol 9") {
			t.Errorf("failure %q", m)
		}
	})
}

// TestDataConnectionsAreEncryptedBeyondLoopback gives all workers of a job the
// same certificate if one of them is on another machine.
func TestDataConnectionsAreEncryptedBeyondLoopback(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm1 := c.taskManager("tm-1", 1)
		tm2 := c.taskManager("tm-2", 1, func(r *tmv1.Register) { r.Host = "10.0.0.9" })
		start := func() (*tmv1.StartWorker, *tmv1.StartWorker) {
			answer := c.start(t.Context(), submission{})
			tm1.plan(&tmv1.PlanDone{Plan: flightsPlan()})
			tm2.plan(&tmv1.PlanDone{Plan: flightsPlan()})
			if got := <-answer; got.err != nil {
				t.Fatal(got.err)
			}
			return startWorker(tm1), startWorker(tm2)
		}
		a, b := start()
		if len(a.GetDataCertificate()) == 0 || string(a.GetDataCertificate()) != string(b.GetDataCertificate()) || string(a.GetDataKey()) != string(b.GetDataKey()) {
			t.Fatal("the workers have no certificate, or not the same")
		}
		if _, err := tls.X509KeyPair(a.GetDataCertificate(), a.GetDataKey()); err != nil {
			t.Errorf("key and certificate: %v", err)
		}
		block, _ := pem.Decode(a.GetDataCertificate())
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if err := certificate.CheckSignatureFrom(certificate); err == nil {
			t.Error("the certificate may sign others")
		}
		if err := certificate.CheckSignature(certificate.SignatureAlgorithm, certificate.RawTBSCertificate, certificate.Signature); err != nil {
			t.Errorf("the certificate is not signed by itself: %v", err)
		}
		for i, tm := range []*taskManager{tm1, tm2} {
			tm.exited([]*tmv1.StartWorker{a, b}[i], &tmv1.WorkerExited{ExitCode: 1})
			if i == 0 {
				hear(tm2, (*tmv1.ConnectResponse).GetKillWorker)
			}
		}
		other, _ := start()
		if string(other.GetDataCertificate()) == string(a.GetDataCertificate()) || string(other.GetSecret()) == string(a.GetSecret()) {
			t.Error("two jobs have the same certificate or secret")
		}
	})
}

// TestDataConnectionsAreEncryptedWhereTLSIsEnabled does so also within one
// machine: the key says that all connections use TLS.
func TestDataConnectionsAreEncryptedWhereTLSIsEnabled(t *testing.T) {
	for _, enabled := range []bool{true, false} {
		settings := map[string]string{
			"security.ssl.internal.enabled": strconv.FormatBool(enabled),
			// The listener's files, which are not read here.
			"security.ssl.certificate-file": "certificate.pem", "security.ssl.key-file": "key.pem", "security.ssl.ca-file": "ca.pem",
		}
		inCluster(t, settings, func(c *cluster) {
			tm1, tm2 := c.taskManager("tm-1", 1), c.taskManager("tm-2", 1)
			answer := c.start(c.t.Context(), submission{})
			tm1.plan(&tmv1.PlanDone{Plan: flightsPlan()})
			tm2.plan(&tmv1.PlanDone{Plan: flightsPlan()})
			if got := <-answer; got.err != nil {
				c.t.Fatal(got.err)
			}
			for _, tm := range []*taskManager{tm1, tm2} {
				if got := len(startWorker(tm).GetDataCertificate()) > 0; got != enabled {
					c.t.Errorf("TLS is enabled: %t, and the worker of %s has a certificate: %t", enabled, tm.id, got)
				}
			}
		})
	}
}

func TestWorkerThatIsAloneHasNoListener(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2, func(r *tmv1.Register) { r.Host = "10.0.0.8" })
		c.run(tm, submission{})
		if start := startWorker(tm); len(start.GetDataCertificate()) != 0 || len(start.GetDataKey()) != 0 || start.GetDataListener() {
			t.Error("a worker that is alone has a certificate or a listener")
		}
	})
}
