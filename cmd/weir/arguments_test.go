package main

import (
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
)

func TestNormalise(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", ""},
		{"list", "list"},
		{"list -r -all", "list --running --all"},
		{"list -m host:1 -D a=b -Dc=d", "list --jobmanager=host:1 --define=a=b -Dc=d"},
		{"list -jobmanager host:1", "list --jobmanager=host:1"},
		{"list --m=host:1", "list --jobmanager=host:1"},
		{"list -unknown -r", "list -unknown --running"},
		{"list -ra", "list -ra"},
		{"list -help", "list --help"},
		{"list -m", "list --jobmanager"},
		{"cancel id -m host:1", "cancel id --jobmanager=host:1"},
		{"run -detached -p 4 ./job -p 5 -detached", "run --detached --parallelism=4 ./job -p 5 -detached"},
		{"run -p4 -sae ./job", "run -p4 --shutdownOnAttachedExit ./job"},
		{"run -p -1 ./job", "run --parallelism=-1 ./job"},
		{"run -- -job -p", "run -- -job -p"},
		{"run - -p", "run - -p"},
		{"info -p 2 ./job --help", "info --parallelism=2 ./job --help"},
		{"-version", "--version"},
		{"-h", "--help"},
	} {
		got, err := normalise(newCommand(t).rootCommand(), strings.Fields(test.args))
		if want := strings.Fields(test.want); err != nil || len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, %v, want %q", test.args, got, err, want)
		}
	}
}

func TestArgumentErrorsAreOnStandardOutput(t *testing.T) {
	c := newCommand(t)
	for _, test := range []struct{ args, want string }{
		{"cancel", "Missing JobID. Specify a JobID to cancel a job."},
		{"cancel 12", `Cannot parse JobID from "12". The expected format is [0-9a-fA-F]{32}, e.g. fd72014d4c864993a2e5a9287b4a9c5d.`},
		{"cancel " + jobID + " " + otherID, "Unexpected argument: " + otherID},
		{"list x", "Unexpected argument: x"},
		{"list -bogus", "Unrecognized option: -bogus"},
		{"list --bogus", "Unrecognized option: --bogus"},
		{"list -m", "Missing argument for option: jobmanager"},
		{"list -m host", "The JobManager's address must be host:port: host"},
		{"list -o yaml", "Unknown output format: yaml. It must be text or json."},
		{"list -t yarn-session", `The target "yarn-session" is not available: a job runs on the cluster that -m names ("remote").`},
		{"run", "Missing job. Specify a Go package or an executable."},
		{"run -p 0 ./job", "The parallelism must be a positive number: 0"},
		{"run -p -3 ./job", "The parallelism must be a positive number: -3"},
		{"run -p 65537 ./job", "The parallelism must be at most 65536: 65537"},
		{"run -p 99999999999999999999 ./job", "The parallelism must be at most 65536: 99999999999999999999"},
		{"run -p -99999999999999999999 ./job", "The parallelism must be a positive number: -99999999999999999999"},
		{"run -p many ./job", "The parallelism must be a positive number: many"},
		{"info", "Missing job. Specify a Go package or an executable."},
		{"info -p 0 ./job", "The parallelism must be a positive number: 0"},
		{"local --taskmanagers 0", "The number of TaskManagers must be positive: 0"},
		{"local --slots -1", "The number of slots must be positive: -1"},
		{"local job", "Unexpected argument: job"},
		{"stop", "\"stop\" is not a valid action.\n\nValid actions are \"cancel\", \"checkpoints\", \"completion\", \"config\", \"info\", \"list\", \"local\", \"run\" or \"version\".\n\n" +
			"Specify the version option (-v or --version) to print the version."},
	} {
		c.expect(t, 1, test.want+pointer, "", strings.Fields(test.args)...)
	}
}

func TestHelpAndVersion(t *testing.T) {
	c := newCommand(t)
	for _, args := range []string{"-h", "--help", "help", "list -h", "run --help", "help run", "completion bash", "version", "-v", "--version", "-version"} {
		c.stdout.Reset()
		if code := c.run(strings.Fields(args)); code != 0 || c.stdout.Len() == 0 || c.stderr.Len() > 0 {
			t.Errorf("weir %s: exit code %d, %d bytes of output, errors %s", args, code, c.stdout.Len(), c.stderr)
		}
	}
	if got := c.stdout.String(); !strings.HasPrefix(got, "Version: ") || !strings.Contains(got, ", Commit ID: ") || strings.Count(got, "\n") != 1 {
		t.Errorf("the version is %q", got)
	}
	c.stdout.Reset()
	if code := c.run(nil); code != 1 || !strings.Contains(c.stdout.String(), "\nPlease specify an action."+pointer) || !strings.Contains(c.stdout.String(), "\nJobs:\n") {
		t.Errorf("without an action: exit code %d\n%s", code, c.stdout)
	}
}

func TestTheOverview(t *testing.T) {
	c := newCommand(t)
	c.expect(t, 0, `Submit jobs to a Weir cluster, inspect and cancel them

Usage:
  weir <ACTION> [OPTIONS] [ARGUMENTS]

Jobs:
  cancel      Cancel a running job
  checkpoints Show the checkpoints of a job
  info        Show the execution plan of a job, without a cluster
  list        List running and scheduled jobs
  run         Submit a job, and stay until it has ended

Cluster:
  config      Print the configuration, with where each value comes from
  local       Start a cluster on this machine, until Ctrl-C

This command:
  completion  Print a script that completes commands in a shell
  version     Print the version

Options:
  -h, --help      help for weir
  -v, --version   version for weir

Use "weir <ACTION> --help" for what an action does and its options.
`, "", "--help")
	for _, command := range c.rootCommand().Commands() {
		c.stdout.Reset()
		if code := c.run([]string{command.Name(), "--help"}); code != 0 || strings.Count(c.stdout.String(), "\n  weir "+command.Name()) != 1 && command.Name() != "completion" {
			t.Errorf("weir %s --help: exit code %d\n%s", command.Name(), code, c.stdout)
		}
	}
}

func TestCancel(t *testing.T) {
	c := newCommand(t)
	j := (&jobManager{jobs: []*clientv1.JobDescription{
		runningJob(), job(otherID, "done", clientv1.JobState_JOB_STATE_FINISHED, startMs, startMs+1),
	}}).serve(t)
	c.expect(t, 0, "Cancelling job "+jobID+".\nCancelled job "+jobID+".\n", "", "cancel", strings.ToUpper(jobID), "-m", j.address)
	if got := <-j.cancelled; got != jobID {
		t.Errorf("cancelled %s", got)
	}
	c.expect(t, 1, "Cancelling job "+otherID+".\n",
		exception("Could not cancel job "+otherID+".\nCaused by: job "+otherID+" has ended"), "cancel", "-m", j.address, otherID)
	unknown := strings.Repeat("ab", 16)
	c.expect(t, 1, "Cancelling job "+unknown+".\n",
		exception("Could not cancel job "+unknown+".\nCaused by: job "+unknown+" is not known"), "cancel", "-m", j.address, unknown)
}

func TestAClusterThatCannotBeUsed(t *testing.T) {
	c := newCommand(t)
	j := new(jobManager).serve(t)
	closed, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	_ = closed.Close()

	c.expect(t, 1, waiting, exception("Failed to retrieve job list.\nCaused by: cannot reach the JobManager at "+nobody+
		": dial tcp "+nobody+": connect: connection refused"), "list", "-m", nobody)

	wrong := filepath.Join(t.TempDir(), "credential")
	writeFile(t, wrong, strings.Repeat("x", 32))
	c.expect(t, 1, waiting, exception("Failed to retrieve job list.\nCaused by: the JobManager at "+j.address+
		" refused the call: wrong credential; on the daemon's machine the credential is found by itself, elsewhere name its file with security.credential.file"),
		"list", "-m", j.address, "-D", "security.credential.file="+wrong)

	t.Setenv("XDG_STATE_HOME", t.TempDir())
	if code := c.run([]string{"list", "-m", j.address}); code != 1 || !strings.Contains(c.stderr.String(), "no credential for the cluster") {
		t.Errorf("without a credential: exit code %d, %s", code, c.stderr)
	}
}

func TestTheConfigurationIsRead(t *testing.T) {
	c := newCommand(t)
	j := new(jobManager).serve(t)
	_, port, err := net.SplitHostPort(j.address)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "weir.yaml"), "jobmanager.rpc.address: 127.0.0.1\njobmanager.rpc.port: "+port+"\nenv.java.opts.all: -Xmx1g\n")
	t.Setenv("WEIR_CONF_DIR", dir)
	code := c.run([]string{"list"})
	if want := waiting + "No running jobs.\nNo scheduled jobs.\n"; code != 0 || c.stdout.String() != want {
		t.Errorf("exit code %d\n%s%s", code, c.stdout, c.stderr)
	}
	if got := c.stderr.String(); !strings.HasPrefix(got, "Warning: ") || !strings.Contains(got, "env.java.opts.all") {
		t.Errorf("warnings: %s", got)
	}
	code = c.run([]string{"list", "-D", "jobmanager.rpc.prot=1"})
	if code != 1 || !strings.Contains(c.stderr.String(), "jobmanager.rpc.prot") {
		t.Errorf("an unknown key: exit code %d\n%s", code, c.stderr)
	}
}

func TestADefectIsNotTakenForAnError(t *testing.T) {
	c := newCommand(t)
	c.app.stdout = nil // Printing on it panics.
	if code := c.run([]string{"version"}); code != 31 || !strings.Contains(c.stderr.String(), "this is a defect of weir") {
		t.Errorf("exit code %d\n%s", code, c.stderr)
	}
	if _, err := os.Stat("core"); err == nil {
		t.Error("there is a core file")
	}
}
