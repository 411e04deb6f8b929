package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/leaktest"
	"github.com/weirstream/weir/internal/process"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// environment is what a TaskManager with these settings is started with.
func environment(t *testing.T, overrides ...string) (process.Environment, *strings.Builder) {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	c, _, err := config.Load("", overrides)
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	return process.Environment{Config: c, Log: slog.New(slog.NewTextHandler(&logged, nil)), Build: process.Build{Version: "1.2.3"}}, &logged
}

func TestSettings(t *testing.T) {
	e, logged := environment(t,
		"taskmanager.resource-id=tm-1", "taskmanager.host=127.0.0.2", "taskmanager.bind-host=127.0.0.1", "taskmanager.data.port=7000-7010,7020",
		"jobmanager.rpc.address=127.0.0.3", "jobmanager.rpc.port=7001", "taskmanager.numberOfTaskSlots=2",
		"taskmanager.memory.process.size=1728m", "taskmanager.memory.network.max=64m", "taskmanager.memory.segment-size=64k",
		"cluster.registration.initial-timeout=1s", "cluster.registration.max-timeout=2s", "cluster.registration.error-delay=3s",
		"taskmanager.job-logs.max-capacity=6", "taskmanager.job-logs.expiration-time=7s",
		"cluster.registration.refused-registration-delay=4s", "taskmanager.registration.timeout=5s")
	got, launcher, err := settingsOf(e)
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != "tm-1" || got.Host != "127.0.0.2" || got.DataBindHost != "127.0.0.1" || got.DataPorts.String() != "7000-7010,7020" || got.JobManager != "127.0.0.3:7001" ||
		got.Slots != 2 || got.Version != "1.2.3" {
		t.Errorf("got %+v", got)
	}
	// 64 MiB over two slots in buffers of 64 KiB.
	if got.NetworkMemoryPerSlot != 32<<20 || got.SegmentSize != 64<<10 {
		t.Errorf("network memory %d in segments of %d", got.NetworkMemoryPerSlot, got.SegmentSize)
	}
	// 1728 MiB without 192 MiB of overhead and 64 MiB of network, over two slots.
	if want := int64(1728-192-64) << 20 / 2; launcher.WorkerMemoryPerSlot != want {
		t.Errorf("worker memory %d, want %d", launcher.WorkerMemoryPerSlot, want)
	}
	if launcher.KeptJobLogs != 6 || launcher.JobLogAge != 7*time.Second {
		t.Errorf("the logs of %d jobs are kept for %v", launcher.KeptJobLogs, launcher.JobLogAge)
	}
	r := got.Registration
	if r.InitialTimeout != time.Second || r.MaxTimeout != 2*time.Second || r.ErrorDelay != 3*time.Second ||
		r.RefusedDelay != 4*time.Second || r.Timeout != 5*time.Second {
		t.Errorf("registration %+v", r)
	}
	if !strings.Contains(logged.String(), "each of 2 slots") {
		t.Errorf("the log does not show the memory:\n%s", logged)
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	for _, test := range []struct {
		override, want string
	}{
		{"security.credential.file=" + missing, missing},
		{"taskmanager.bind-host=0.0.0.0", "taskmanager.bind-host: listening on 0.0.0.0"},
		{"jobmanager.rpc.address=jobmanager.example", "security.ssl.internal.enabled"},
		{"taskmanager.memory.process.size=100m", "memory of the TaskManager"},
	} {
		e, _ := environment(t, test.override)
		if _, _, err := settingsOf(e); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.override, err, test.want)
		}
	}
}

func TestTheWorkingDirectoryOfAStableNameIsKept(t *testing.T) {
	base := t.TempDir()
	e, _ := environment(t, "process.working-dir="+base, "taskmanager.resource-id=tm/1")
	path, forget, err := workingDirectory(e.Config, "tm/1")
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(base, "tm_tm%2F1"); path != want {
		t.Errorf("got %s, want %s", path, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	if err := forget(filepath.Join(path, "log")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("it was removed: %v", err)
	}
}

func TestTheWorkingDirectoryOfOneRunIsRemovedButForLogs(t *testing.T) {
	for _, withLog := range []bool{true, false} {
		base := t.TempDir()
		e, _ := environment(t, "process.working-dir="+base)
		path, forget, err := workingDirectory(e.Config, "localhost:1-abcdef")
		if err != nil {
			t.Fatal(err)
		}
		logs := filepath.Join(path, "log")
		for _, dir := range []string{logs, filepath.Join(path, "artefacts", "x")} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if withLog {
			if err := os.WriteFile(filepath.Join(logs, "job.log"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := forget(logs); err != nil {
			t.Error(err)
		}
		left, err := filepath.Glob(filepath.Join(base, "*", "*"))
		if want := map[bool]int{true: 1, false: 0}[withLog]; err != nil || len(left) != want {
			t.Errorf("with a log %v: %v is left", withLog, left)
		}
	}
}

func TestADirectoryThatOthersCanWriteIsRefused(t *testing.T) {
	base := t.TempDir()
	path := filepath.Join(base, "tm_tm-1")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	e, _ := environment(t, "process.working-dir="+base, "taskmanager.resource-id=tm-1")
	if _, _, err := workingDirectory(e.Config, "tm-1"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestAHostThatNobodyCanReachIsWarnedOf(t *testing.T) {
	for address, want := range map[string]bool{"localhost": false, "jobmanager.example": true} {
		e, logged := environment(t, "jobmanager.rpc.address="+address)
		warnOfUnreachableHost(e.Log, e.Config)
		if got := strings.Contains(logged.String(), "level=WARN"); got != want {
			t.Errorf("%s: warned %v, want %v", address, got, want)
		}
	}
}

func TestTaskManagersThatShareALogDirectoryDoNotShareFiles(t *testing.T) {
	e, _ := environment(t)
	if got := logDirectory(e.Config, "/work/tm_a"); got != "/work/tm_a/log" {
		t.Errorf("by default: %s", got)
	}
	e, _ = environment(t, "env.log.dir=/var/log/weir")
	if got := logDirectory(e.Config, "/work/tm_a"); got != "/var/log/weir/tm_a" {
		t.Errorf("configured: %s", got)
	}
}
