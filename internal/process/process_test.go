package process_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/leaktest"
	"github.com/weirstream/weir/internal/process"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestConfigFile(t *testing.T) {
	with, without := t.TempDir(), t.TempDir()
	file := filepath.Join(with, "weir.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, named, confDir, currentDir, want string }{
		{"named", "/x/y.yaml", with, with, "/x/y.yaml"},
		{"conf dir", "", with, without, file},
		{"current directory", "", "", with, "weir.yaml"},
		{"none", "", "", without, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(test.currentDir)
			t.Setenv("WEIR_CONF_DIR", test.confDir)
			if got, err := process.ConfigFile(test.named); got != test.want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
	t.Chdir(with)
	t.Setenv("WEIR_CONF_DIR", without)
	if got, err := process.ConfigFile(""); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "$WEIR_CONF_DIR") {
		t.Errorf("a conf dir without a file: got %q, %v", got, err)
	}
}

// alone keeps the configuration of whoever runs the tests out of them.
func alone(t *testing.T) {
	t.Helper()
	t.Setenv("WEIR_CONF_DIR", "")
	t.Chdir(t.TempDir())
}

func TestADaemonStopsAtASignal(t *testing.T) {
	alone(t)
	for _, sent := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		var stdout, stderr bytes.Buffer
		daemon := process.Daemon{Name: "jobmanager", Run: func(ctx context.Context, e process.Environment) error {
			if got := config.JobManagerPort.Get(e.Config); got != 7000 {
				t.Errorf("jobmanager.rpc.port is %d, want 7000", got)
			}
			e.Ready("127.0.0.1:7000")
			if err := syscall.Kill(os.Getpid(), sent); err != nil {
				t.Error(err)
			}
			<-ctx.Done()
			return ctx.Err()
		}}
		code := daemon.Main([]string{"-D", "jobmanager.rpc.port=1", "-Djobmanager.rpc.port=7000"}, &stdout, &stderr)
		if code != 0 || stdout.Len() > 0 {
			t.Errorf("%v: exit code %d, standard output %q", sent, code, &stdout)
		}
		var ready []string
		for line := range strings.Lines(stderr.String()) {
			if address, ok := process.ReadyAddress(line); ok {
				ready = append(ready, address)
			}
		}
		if len(ready) != 1 || ready[0] != "127.0.0.1:7000" {
			t.Errorf("%v: ready %v in\n%s", sent, ready, &stderr)
		}
		for _, want := range []string{"msg=starting daemon=jobmanager", "key=jobmanager.rpc.port value=7000 source=-D", "msg=stopped"} {
			if !strings.Contains(stderr.String(), want) {
				t.Errorf("%v: %q is missing in\n%s", sent, want, &stderr)
			}
		}
	}
}

func TestADaemonReadsItsEnvironment(t *testing.T) {
	alone(t)
	if err := os.WriteFile("weir.yaml", []byte("jobmanager.rpc.port: 7000\nparallelism.default: 2\nheartbeat.interval: 1 s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WEIR_JOBMANAGER_RPC_PORT", "7001")
	t.Setenv("WEIR_PARALLELISM_DEFAULT", "3")
	t.Setenv("WEIR_JOBMANAGER_RPC_PROT", "7002")
	t.Setenv("WEIR_TEST_DATA", "/data") // It is something else, and so is WEIR_CONF_DIR.
	var stdout, stderr bytes.Buffer
	daemon := process.Daemon{Name: "jobmanager", Run: func(_ context.Context, e process.Environment) error {
		if port, n := config.JobManagerPort.Get(e.Config), config.DefaultParallelism.Get(e.Config); port != 7001 || n != 4 {
			t.Errorf("the port is %d and the parallelism %d, want 7001 and 4", port, n)
		}
		return nil
	}}
	if code := daemon.Main([]string{"-D", "parallelism.default=4"}, &stdout, &stderr); code != 0 {
		t.Errorf("exit code %d\n%s", code, &stderr)
	}
	for _, want := range []string{
		`key=jobmanager.rpc.port value=7001 source="environment variable WEIR_JOBMANAGER_RPC_PORT"`,
		`key=heartbeat.interval value="1 s" source="file weir.yaml line 3"`,
		"environment variable WEIR_JOBMANAGER_RPC_PROT has no effect, since no key has this variable: did you mean WEIR_JOBMANAGER_RPC_PORT?",
	} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &stderr)
		}
	}
	if n := strings.Count(stderr.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings in\n%s", n, &stderr)
	}
	t.Setenv("WEIR_JOBMANAGER_RPC_PORT", "high")
	stderr.Reset()
	if code := daemon.Main(nil, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), "environment variable WEIR_JOBMANAGER_RPC_PORT: ") {
		t.Errorf("a bad variable: exit code %d\n%s", code, &stderr)
	}
}

func TestADaemonThatCannotStart(t *testing.T) {
	alone(t)
	if err := os.WriteFile("weir.yaml", []byte("jobmanager.rpc.prot: 7000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	failing := func(context.Context, process.Environment) error { return errors.New("the port is taken") }
	unreachable := func(context.Context, process.Environment) error {
		t.Error("it ran")
		return nil
	}
	if err := os.WriteFile("good.yaml", []byte("jobmanager.rpc.port: 7000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
		run  func(context.Context, process.Environment) error
		code int
		want []string
	}{
		{"an error", []string{"--config", "good.yaml"}, failing, 1, []string{"taskmanager: the port is taken\n"}},
		{"a bad file", nil, unreachable, 1, []string{"weir.yaml line 1", "jobmanager.rpc.prot", "jobmanager.rpc.port"}},
		{"no file", []string{"-c", "none.yaml"}, unreachable, 1, []string{"none.yaml"}},
		{"a bad setting", []string{"-c", "good.yaml", "-D", "nonsense"}, unreachable, 1, []string{"nonsense", "key=value"}},
		{"a bad option", []string{"--port", "7"}, unreachable, 2, []string{"--port", "taskmanager --help"}},
		{"a bad level", []string{"--log-level", "loud"}, unreachable, 2, []string{"loud"}},
		{"an argument", []string{"start"}, unreachable, 2, []string{"start"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			daemon := process.Daemon{Name: "taskmanager", Run: test.run}
			if code := daemon.Main(test.args, &stdout, &stderr); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			for _, want := range test.want {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("%q is missing in\n%s", want, &stderr)
				}
			}
			if stdout.Len() > 0 {
				t.Errorf("standard output %q", &stdout)
			}
		})
	}
}

func TestVersionAndHelp(t *testing.T) {
	alone(t)
	daemon := process.Daemon{Name: "jobmanager", Long: "Schedules jobs."}
	var stdout, stderr bytes.Buffer
	if code := daemon.Main([]string{"--version"}, &stdout, &stderr); code != 0 || !strings.HasPrefix(stdout.String(), "Version: ") ||
		!strings.Contains(stdout.String(), ", Commit ID: ") || stderr.Len() > 0 {
		t.Errorf("exit code %d, %q, %q", code, &stdout, &stderr)
	}
	stdout.Reset()
	if code := daemon.Main([]string{"--help"}, &stdout, &stderr); code != 0 || !strings.Contains(stdout.String(), "Schedules jobs.") ||
		!strings.Contains(stdout.String(), "-D, --define key=value") {
		t.Errorf("exit code %d\n%s", code, &stdout)
	}
}

func TestReadyAddress(t *testing.T) {
	for line, want := range map[string]string{
		"time=2026-01-01T00:00:00Z level=INFO msg=ready address=127.0.0.1:6123":      "127.0.0.1:6123",
		"time=2026-01-01T00:00:00Z level=INFO msg=ready address=[::1]:6123\n":        "[::1]:6123",
		"time=2026-01-01T00:00:00Z level=INFO msg=starting address=127.0.0.1:6123\n": "",
		"time=2026-01-01T00:00:00Z level=INFO msg=\"a job is ready\"\n":              "",
	} {
		if got, ok := process.ReadyAddress(line); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v", line, got, ok)
		}
	}
}
