package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/weirstream/weir/internal/process"
	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
)

func TestCancelAsJSON(t *testing.T) {
	c := newCommand(t)
	j := (&jobManager{jobs: []*clientv1.JobDescription{
		runningJob(), job(otherID, "done", clientv1.JobState_JOB_STATE_FINISHED, startMs, startMs+1),
	}}).serve(t)
	c.expect(t, 0, "{\n  \"jid\": \""+jobID+"\",\n  \"cancel-requested\": true\n}\n", "", "cancel", "-o", "json", "-m", j.address, jobID)
	c.expect(t, 1, "", `{"error":{"message":"Could not cancel job `+otherID+`.","cause":"job `+otherID+` has ended","exit-code":1}}`+"\n",
		"cancel", "-m", j.address, otherID, "-o", "json")
}

func TestMistakesAsJSON(t *testing.T) {
	c := newCommand(t)
	for _, test := range []struct{ args, want string }{
		{"cancel -o json", "Missing JobID. Specify a JobID to cancel a job."},
		{"list --bogus -o json", "Unrecognized option: --bogus"},
		{"list -ojson x", "Unexpected argument: x"},
		{"run -output json", "Missing job. Specify a Go package or an executable."},
		{"local -o=json --taskmanagers 0", "The number of TaskManagers must be positive: 0"},
		{"version -o json x", "Unexpected argument: x"},
	} {
		c.expect(t, 1, "", `{"error":{"message":"`+test.want+`","exit-code":1}}`+"\n", strings.Fields(test.args)...)
	}
	// After the job it is an argument of the job's, and the last one counts.
	c.expect(t, 1, "", exception("./none: there is no such executable or Go package"), "info", "./none", "-o", "json")
	c.expect(t, 1, "", exception("./none: there is no such executable or Go package"), "info", "--", "./none", "-o", "json")
	c.expect(t, 1, "Missing JobID. Specify a JobID to cancel a job."+pointer, "", "cancel", "-o", "json", "-o", "text")
}

func TestVersionAsJSON(t *testing.T) {
	c := newCommand(t)
	build := process.ReadBuild()
	c.expect(t, 0, fmt.Sprintf("{\n  \"version\": %q,\n  \"commit-id\": %q\n}\n", build.Version, build.Commit), "", "version", "-o", "json")
}

func TestRunAsJSON(t *testing.T) {
	c := newCommand(t)
	done := described(clientv1.JobState_JOB_STATE_FINISHED, startMs+12345)
	planning := func(text string) *clientv1.SubmitJobResponse {
		return &clientv1.SubmitJobResponse{Message: &clientv1.SubmitJobResponse_PlanOutput_{PlanOutput: &clientv1.SubmitJobResponse_PlanOutput{Data: []byte(text)}}}
	}
	j := &jobManager{
		planning: []*clientv1.SubmitJobResponse{
			planning("plan"), planning("ning\n"),
			{Message: &clientv1.SubmitJobResponse_Warning{Warning: "an operator has no id"}},
		},
		watch: events(
			described(clientv1.JobState_JOB_STATE_CREATED, 0),
			printed(false, "{\"a\":1}\n{\"b\""), printed(true, "on <error> \xff\n"), printed(false, ":2}"),
			described(clientv1.JobState_JOB_STATE_RUNNING, 0),
			&clientv1.WatchJobResponse{Message: &clientv1.WatchJobResponse_Output_{Output: &clientv1.WatchJobResponse_Output{Dropped: 7}}},
			done,
		),
	}
	j.serve(t)
	c.expect(t, 0, strings.Join([]string{
		`{"event":"output","stream":"stdout","line":"planning"}`,
		`{"event":"submitted","jid":"` + jobID + `","name":"late departures"}`,
		`{"event":"progress","jid":"` + jobID + `","state":"CREATED","read-records":1200,"read-share":0.5}`,
		`{"event":"output","stream":"stdout","line":"{\"a\":1}"}`,
		`{"event":"output","stream":"stderr","line":"on <error> ` + "\uFFFD" + `"}`,
		`{"event":"progress","jid":"` + jobID + `","state":"RUNNING","read-records":1200,"read-share":0.5}`,
		`{"event":"output","stream":"stdout","line":"{\"b\":2}"}`,
		`{"event":"ended","jid":"` + jobID + `","state":"FINISHED","duration":12345,"read-records":1200}`,
	}, "\n")+"\n", strings.Join([]string{
		`{"warning":"an operator has no id"}`,
		`{"message":"(7 bytes of the job's output are left out here; its log file on the TaskManager has them)"}`,
	}, "\n")+"\n", "run", "-o", "json", "-m", j.address, tiny(t))

	j.planning = nil
	c.expect(t, 0, `{"event":"submitted","jid":"`+jobID+`","name":"late departures"}`+"\n", "", "run", "-d", "-o", "json", "-m", j.address, tiny(t))
}

func TestRunOfAJobThatFailsAsJSON(t *testing.T) {
	c := newCommand(t)
	failed := described(clientv1.JobState_JOB_STATE_FAILED, startMs+1)
	failed.GetJob().Failure = &clientv1.JobFailure{
		Message: "panic: seven\n", Task: "Source: flights (2/2)", TaskManager: "tm-2", LogFile: "/var/log/job.log", Stack: "goroutine 12 [running]:",
	}
	j := (&jobManager{watch: events(failed)}).serve(t)
	c.expect(t, 1, `{"event":"submitted","jid":"`+jobID+`","name":"late departures"}
{"event":"ended","jid":"`+jobID+`","state":"FAILED","duration":1,"read-records":1200,"failure":{"message":"panic: seven","task":"Source: flights (2/2)","taskmanager-id":"tm-2","log-file":"/var/log/job.log","stack":"goroutine 12 [running]:"}}
`, `{"error":{"message":"Job failed (JobID: `+jobID+`)","cause":"panic: seven\nTask: Source: flights (2/2)\nTaskManager: tm-2\nLog file: /var/log/job.log (on the TaskManager's host)\n\ngoroutine 12 [running]:","exit-code":1}}`+"\n",
		"run", "-o", "json", "-m", j.address, tiny(t))

	j.watch = events(described(clientv1.JobState_JOB_STATE_CANCELED, startMs+1))
	if code := c.run([]string{"run", "-o", "json", "-m", j.address, tiny(t)}); code != 1 || !strings.HasSuffix(c.stdout.String(),
		`{"event":"ended","jid":"`+jobID+`","state":"CANCELED","duration":1,"read-records":1200}`+"\n") {
		t.Errorf("a cancelled job: exit code %d\n%s", code, c.stdout)
	}

	j.watch = func(stream watchStream) error {
		c.signals <- syscall.SIGINT
		<-stream.Context().Done()
		return nil
	}
	c.expect(t, 130, `{"event":"submitted","jid":"`+jobID+`","name":"late departures"}`+"\n",
		`{"message":"Job `+jobID+` keeps running. Cancel it with: weir cancel `+jobID+`"}`+"\n"+
			`{"error":{"message":"interrupted","exit-code":130}}`+"\n", "run", "-o", "json", "-m", j.address, tiny(t))
}

// What is printed as JSON is one document, or one on each line, whatever the
// verb: the fields are documented, so their names may not change by accident.
func TestFieldsOfTheJSON(t *testing.T) {
	ms, share := int64(1), 0.5
	for _, test := range []struct {
		document any
		want     string
	}{
		{progressEvent{Event: "progress", StatusMessage: "m", Rate: &share, Share: &share, TimeLeft: &ms}, "event jid state status-message read-records read-records-per-second read-share time-left"},
		{outputEvent{TaskManager: "tm"}, "event taskmanager-id stream line"},
		{endedEvent{Failure: &jobFailureEvent{}}, "event jid state duration read-records failure"},
		{jobFailureEvent{Task: "t", TaskManager: "t", LogFile: "l", Stack: "s"}, "message task taskmanager-id log-file stack"},
		{localJSON{}, "jobmanager taskmanagers slots-total log-dir"},
		{entryJSON{}, "key value source default allowed meaning read-by variable"},
		{sourceJSON{File: "f", Line: 1, Variable: "v"}, "kind file line variable"},
		{failureJSON{Cause: "c"}, "message cause exit-code"},
	} {
		encoded, err := json.Marshal(test.document)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		decoder := json.NewDecoder(strings.NewReader(string(encoded)))
		for depth, name := 0, true; ; {
			token, err := decoder.Token()
			if err != nil {
				break
			}
			switch token {
			case json.Delim('{'), json.Delim('['):
				depth++
				name = true
				continue
			case json.Delim('}'), json.Delim(']'):
				depth--
				name = true
				continue
			}
			if depth == 1 && name {
				got = append(got, token.(string))
			}
			name = depth == 1 && !name
		}
		if want := strings.Fields(test.want); !reflect.DeepEqual(got, want) {
			t.Errorf("%T has the fields %q, want %q", test.document, got, want)
		}
	}
}
