package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
)

const submittedLine = "Job has been submitted with JobID " + jobID + "\n"

// tiny is a file that passes for an executable until somebody runs it.
func tiny(t *testing.T) string {
	t.Helper()
	return header(t, filepath.Join(t.TempDir(), "clicks"), elf.EM_X86_64, elf.ET_EXEC)
}

// self is this test binary, an executable that plays a job.
func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func described(state clientv1.JobState, end int64) *clientv1.WatchJobResponse {
	job := runningJob()
	job.Summary.State, job.Summary.EndTimeMs = state, end
	return &clientv1.WatchJobResponse{Message: &clientv1.WatchJobResponse_Job{Job: job}}
}

func printed(standardError bool, text string) *clientv1.WatchJobResponse {
	return &clientv1.WatchJobResponse{Message: &clientv1.WatchJobResponse_Output_{
		Output: &clientv1.WatchJobResponse_Output{StandardError: standardError, Data: []byte(text)},
	}}
}

// events makes a WatchJob that sends these and ends.
func events(all ...*clientv1.WatchJobResponse) func(watchStream) error {
	return func(stream watchStream) error {
		for _, e := range all {
			if err := stream.Send(e); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestRunDetached(t *testing.T) {
	c := newCommand(t)
	j := (&jobManager{planning: []*clientv1.SubmitJobResponse{
		{Message: &clientv1.SubmitJobResponse_PlanOutput_{PlanOutput: &clientv1.SubmitJobResponse_PlanOutput{Data: []byte("planning")}}},
		{Message: &clientv1.SubmitJobResponse_PlanOutput_{PlanOutput: &clientv1.SubmitJobResponse_PlanOutput{StandardError: true, Data: []byte("careful\n")}}},
		{Message: &clientv1.SubmitJobResponse_Warning{Warning: "an operator has no id"}},
	}}).serve(t)
	c.expect(t, 0, "planning\n"+submittedLine, "careful\nWarning: an operator has no id\n",
		"run", "-m", j.address, "-detached", "-p", "4", "-Dpipeline.name=clicks", tiny(t), "--topic", "clicks", "-p", "9", "-d")
	start := <-j.submitted
	if want := []string{"--topic", "clicks", "-p", "9", "-d"}; !reflect.DeepEqual(start.GetArguments(), want) {
		t.Errorf("arguments %q, want %q", start.GetArguments(), want)
	}
	if want := map[string]string{"parallelism.default": "4", "pipeline.name": "clicks"}; !reflect.DeepEqual(start.GetConfiguration(), want) {
		t.Errorf("configuration %v, want %v", start.GetConfiguration(), want)
	}
	if start.GetFileName() != "clicks" {
		t.Errorf("file name %s, want clicks", start.GetFileName())
	}
}

func TestRunSaysWhichSettingsHaveNoEffect(t *testing.T) {
	c := newCommand(t)
	j := new(jobManager).serve(t)
	c.expect(t, 0, submittedLine, "Warning: -D taskmanager.numberOfTaskSlots has no effect for one job: it is a setting of the daemons.\n",
		"run", "-m", j.address, "-D", "execution.attached=false", "-D", "taskmanager.numberOfTaskSlots=3", tiny(t))
}

func TestRunAttached(t *testing.T) {
	c := newCommand(t)
	j := &jobManager{watch: events(
		described(clientv1.JobState_JOB_STATE_CREATED, 0),
		printed(false, "{\"origin\":"),
		printed(true, "a warning of the job\n"),
		printed(false, "\"JFK\"}"),
		described(clientv1.JobState_JOB_STATE_RUNNING, 0),
		&clientv1.WatchJobResponse{Message: &clientv1.WatchJobResponse_Output_{Output: &clientv1.WatchJobResponse_Output{Dropped: 7}}},
		described(clientv1.JobState_JOB_STATE_FINISHED, startMs+12345),
	)}
	j.serve(t)
	c.expect(t, 0, submittedLine+"{\"origin\":\"JFK\"}\nProgram execution finished\nJob with JobID "+jobID+" has finished.\nJob Runtime: 12345 ms\n",
		"Job is CREATED, 50% read\na warning of the job\nJob is RUNNING, 50% read\n"+
			"(7 bytes of the job's output are left out here; its log file on the TaskManager has them)\n"+
			"Job is FINISHED: 1200 records read in 12.345s, 97 records/s\n",
		"run", "-m", j.address, tiny(t))
}

func TestRunAttachedToAJobThatFails(t *testing.T) {
	c := newCommand(t)
	failed := described(clientv1.JobState_JOB_STATE_FAILED, startMs+1)
	failed.GetJob().Failure = &clientv1.JobFailure{
		Message: "panic: index out of range [7] with length 3", Task: "Source: flights -> departed (2/2)", TaskManager: "tm-2",
		LogFile: "/var/log/weir/job.log", Stack: "goroutine 12 [running]:\nmain.departed()\n",
	}
	j := (&jobManager{watch: events(failed)}).serve(t)
	c.expect(t, 1, submittedLine, exception(`Job failed (JobID: `+jobID+`)
Caused by: panic: index out of range [7] with length 3
Task: Source: flights -> departed (2/2)
TaskManager: tm-2
Log file: /var/log/weir/job.log (on the TaskManager's host)

goroutine 12 [running]:
main.departed()`), "run", "-m", j.address, tiny(t))
}

func TestRunAttachedToAJobThatDoesNotFinish(t *testing.T) {
	c := newCommand(t)
	j := new(jobManager).serve(t)
	waits := described(clientv1.JobState_JOB_STATE_FAILED, startMs+1)
	waits.GetJob().Summary.StatusMessage = "there are 2 slots and it needs 4"
	for _, test := range []struct {
		watch func(watchStream) error
		want  string
	}{
		{events(described(clientv1.JobState_JOB_STATE_CANCELED, startMs+1)), "Job was cancelled (JobID: " + jobID + ")"},
		{events(waits), "Job failed (JobID: " + jobID + ")\nCaused by: there are 2 slots and it needs 4"},
		{events(), "the JobManager told nothing about job " + jobID},
		{
			func(watchStream) error { return status.Error(codes.Unavailable, "the transport is closing") },
			"lost sight of job " + jobID + ", which may still be running: cannot reach the JobManager at " + j.address + ": the transport is closing",
		},
	} {
		j.watch = test.watch
		c.expect(t, 1, submittedLine, exception(test.want), "run", "-m", j.address, tiny(t))
	}
}

func TestAnInterruptLeavesTheJobRunning(t *testing.T) {
	c := newCommand(t)
	j := &jobManager{jobs: []*clientv1.JobDescription{runningJob()}, watch: func(stream watchStream) error {
		c.signals <- syscall.SIGINT
		<-stream.Context().Done()
		return nil
	}}
	j.serve(t)
	c.expect(t, 130, submittedLine, "Job "+jobID+" keeps running. Cancel it with: weir cancel "+jobID+"\n", "run", "-m", j.address, tiny(t))
	if len(j.cancelled) > 0 {
		t.Error("the job was cancelled")
	}
}

func TestAnInterruptCancelsTheJobWithSae(t *testing.T) {
	c := newCommand(t)
	j := &jobManager{jobs: []*clientv1.JobDescription{runningJob()}}
	j.watch = func(stream watchStream) error {
		c.signals <- syscall.SIGTERM
		select {
		case id := <-j.cancelled:
			if id != jobID {
				t.Errorf("cancelled %s", id)
			}
		case <-stream.Context().Done():
			t.Error("the job was left")
		}
		return stream.Send(described(clientv1.JobState_JOB_STATE_CANCELED, startMs+1))
	}
	j.serve(t)
	c.expect(t, 1, submittedLine, "Cancelling job "+jobID+".\n"+exception("Job was cancelled (JobID: "+jobID+")"),
		"run", "-sae", "-m", j.address, tiny(t))
}

func TestASecondInterruptLeavesTheJob(t *testing.T) {
	c := newCommand(t)
	j := &jobManager{jobs: []*clientv1.JobDescription{runningJob()}, watch: func(stream watchStream) error {
		c.signals <- syscall.SIGINT
		c.signals <- syscall.SIGINT
		<-stream.Context().Done()
		return nil
	}}
	j.serve(t)
	c.expect(t, 130, submittedLine, "Cancelling job "+jobID+".\n", "run", "--shutdownOnAttachedExit", "-m", j.address, tiny(t))
}

func TestRunOfAJobThatIsRefused(t *testing.T) {
	c := newCommand(t)
	j := (&jobManager{refusal: status.Error(codes.InvalidArgument, "main of clicks exited with code 2 while it was planned")}).serve(t)
	c.expect(t, 1, "", exception("main of clicks exited with code 2 while it was planned"), "run", "-m", j.address, tiny(t))
}

// header writes a file that begins like an executable for an architecture.
func header(t *testing.T, path string, machine elf.Machine, kind elf.Type) string {
	t.Helper()
	h := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(kind), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Ehsize: 64, Phentsize: 56, Shentsize: 64,
	}
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, &h); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, b.String())
	return path
}

func TestFilesThatAreNoJobs(t *testing.T) {
	c := newCommand(t)
	j := (&jobManager{platforms: []string{"linux/amd64", "linux/amd64"}}).serve(t)
	file := func(name, content string) string {
		path := filepath.Join(t.TempDir(), name)
		writeFile(t, path, content)
		return path
	}
	text, empty := file("job.txt", "hello"), file("empty", "")
	script, windows := file("job.sh", "#!/bin/sh\n"), file("job.exe", "MZ\x90\x00")
	mac, jar := file("job", "\xcf\xfa\xed\xfe"), file("job.jar", "PK\x03\x04")
	arm := header(t, filepath.Join(t.TempDir(), "arm"), elf.EM_AARCH64, elf.ET_EXEC)
	object := header(t, filepath.Join(t.TempDir(), "job.o"), elf.EM_X86_64, elf.ET_REL)
	for _, test := range []struct{ path, want string }{
		{text, text + " is not an executable for Linux"},
		{empty, empty + " is not an executable for Linux: it is empty"},
		{script, script + " is not an executable for Linux: it is a script"},
		{windows, windows + " is not an executable for Linux: it is one for Windows; build it with GOOS=linux"},
		{mac, mac + " is not an executable for Linux: it is one for macOS; build it with GOOS=linux"},
		{jar, jar + " is not an executable for Linux: it is a jar or zip file; a job of Weir is an executable"},
		{arm, arm + " is built for linux/arm64, and the cluster's TaskManagers are linux/amd64: build it with GOOS and GOARCH set to that"},
		{object, object + " is not an executable: it is an ELF file of type ET_REL"},
		{"./none", "./none: there is no such executable or Go package"},
		{"/dev/null", "/dev/null is neither an executable nor a Go package (Dcrw-rw-rw-)"},
	} {
		c.expect(t, 1, "", exception(test.want), "run", "-m", j.address, test.path)
	}
	if len(j.submitted) > 0 {
		t.Error("something was submitted")
	}
	if err := checkExecutable(arm, []string{"linux/arm64"}); err != nil {
		t.Error(err)
	}
	if err := checkExecutable(arm, nil); err != nil {
		t.Errorf("while no platform is known: %v", err)
	}
}

// module writes a Go module with files and makes it the current directory.
func module(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("GOFLAGS", "")
	t.Setenv("GOWORK", "off")
	files["go.mod"] = "module example.com/clicks\n\ngo 1.27\n"
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, content)
	}
}

func TestRunBuildsAPackage(t *testing.T) {
	c := newCommand(t)
	j := (&jobManager{platforms: []string{"linux/" + runtime.GOARCH}}).serve(t)
	module(t, map[string]string{"cmd/job/main.go": "package main\n\nfunc main() {}\n"})
	for _, name := range []string{"./cmd/job", "example.com/clicks/cmd/job", "cmd/job/main.go"} {
		c.expect(t, 0, submittedLine, "Building "+name+" for linux/"+runtime.GOARCH+".\n", "run", "-m", j.address, "-d", name, "-v")
		want := "job"
		if strings.HasSuffix(name, ".go") {
			want = "main"
		}
		if start := <-j.submitted; start.GetFileName() != want || start.GetSize() < 100_000 || !reflect.DeepEqual(start.GetArguments(), []string{"-v"}) {
			t.Errorf("%s: submitted %s of %d bytes with %q", name, start.GetFileName(), start.GetSize(), start.GetArguments())
		}
	}
}

func TestPackagesThatAreNoJobs(t *testing.T) {
	c := newCommand(t)
	j := (&jobManager{platforms: []string{"linux/" + runtime.GOARCH}}).serve(t)
	module(t, map[string]string{
		"broken/main.go": "package main\n\nfunc main() { undefined() }\n",
		"lib/lib.go":     "package lib\n",
		"a/main.go":      "package main\n\nfunc main() {}\n",
		"empty/README":   "nothing",
	})
	for _, test := range []struct{ name, want string }{
		{"./broken", "could not build ./broken (exit status 1):\n# example.com/clicks/broken\n./main.go:3:15: undefined: undefined"},
		{"./lib", "./lib is package lib: a job is a program, package main"},
		{"example.com/clicks/...", "example.com/clicks/... is 3 packages: a job is one"},
		{"./empty", "could not build ./empty (exit status 1):\nno Go files in"},
		{"example.com/clicks/none", "could not build example.com/clicks/none (exit status 1):\n"},
	} {
		code := c.run([]string{"run", "-m", j.address, test.name})
		if got := c.stderr.String(); code != 1 || !strings.Contains(got, test.want) {
			t.Errorf("%s: exit code %d\n%s\nwant %s", test.name, code, got, test.want)
		}
		c.stderr.Reset()
	}
	j.platforms = []string{"linux/arm64", "linux/amd64"}
	if c.run([]string{"run", "-m", j.address, "./a"}); !strings.Contains(c.stderr.String(), "several platforms (linux/amd64, linux/arm64)") {
		t.Errorf("several platforms:\n%s", c.stderr)
	}
	if len(j.submitted) > 0 {
		t.Error("something was submitted")
	}
}

func TestRunNeedsGoForAPackageOnly(t *testing.T) {
	c := newCommand(t)
	j := new(jobManager).serve(t)
	t.Setenv("PATH", t.TempDir())
	code := c.run([]string{"run", "-m", j.address, "."})
	if code != 1 || !strings.Contains(c.stderr.String(), "install Go, or give an executable") {
		t.Errorf("exit code %d\n%s", code, c.stderr)
	}
	c.expect(t, 0, submittedLine, "", "run", "-d", "-m", j.address, tiny(t))
}
