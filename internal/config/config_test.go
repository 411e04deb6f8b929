package config_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/memory"
)

func quote(text string) string { return strconv.Quote(text) }

func hasPrefixAndSuffix(text, prefix, suffix string) bool {
	return strings.HasPrefix(text, prefix) && strings.HasSuffix(text, suffix)
}

func onlyProblem(t *testing.T, err error) config.Problem {
	t.Helper()
	var problems config.Problems
	if !errors.As(err, &problems) || len(problems) != 1 {
		t.Fatalf("error %v, want one problem", err)
	}
	return problems[0]
}

func mustMap(t *testing.T, values map[string]string) *config.Config {
	t.Helper()
	c, _, err := config.FromMap("test", values)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fileOf is writeFile for a test that draws many files: they are removed at its
// end.
func fileOf(t *rapid.T, text string) string {
	t.Helper()
	file, err := os.CreateTemp("", "weir-*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(file.Name()) })
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestDefaults(t *testing.T) {
	c := config.Default()
	for what, ok := range map[string]bool{
		"address":       config.JobManagerEndpoint(c) == "localhost:6123",
		"listen":        config.JobManagerListenAddress(c) == "localhost:6123",
		"bind host":     config.TaskManagerBindHost.Get(c) == "localhost",
		"slots":         config.NumberOfTaskSlots.Get(c) == 1,
		"heartbeat":     config.HeartbeatInterval.Get(c) == 10*time.Second && config.HeartbeatTimeout.Get(c) == 50*time.Second,
		"slot timeout":  config.SlotRequestTimeout.Get(c) == 5*time.Minute,
		"buffers":       config.NetworkSettings(c) == memory.Settings{SegmentSize: 32 * memory.KiB, BuffersPerChannel: 2, FloatingPerGate: 32},
		"buffertimeout": config.BufferTimeout(c) == 100*time.Millisecond,
		"parallelism":   config.DefaultParallelism.Get(c) == 1,
		"temp":          slices.Equal(config.TempDirectories(c), []string{os.TempDir()}),
		"working":       config.JobManagerWorkingDirectory(c) == os.TempDir() && config.TaskManagerWorkingDirectory(c) == os.TempDir(),
		"log":           config.LogDirectory(c, "/var/weir") == filepath.Join("/var/weir", "log"),
		"unset":         config.PipelineName.Get(c) == "" && !config.PipelineName.IsSet(c),
		"source":        config.PipelineName.Source(c).String() == "default",
		"map":           len(c.Map()) == 0,
		"preaggregate":  config.PreAggregation.Get(c),
		"string":        c.String() == "",
	} {
		if !ok {
			t.Errorf("the default of %s is wrong", what)
		}
	}
	// The parts of Flink's own example, without its parts for a JVM.
	m, err := memory.Divide(config.TaskManagerMemory(c))
	if err != nil || m.Process != 1728*memory.MiB || m.Overhead != 192*memory.MiB || m.Network != 161061273 {
		t.Errorf("the default division is %v, %v", m, err)
	}
}

func TestPrecedenceAndSources(t *testing.T) {
	file := writeFile(t, "parallelism.default: 2\nheartbeat:\n  interval: 1 s\n  timeout: 9 s\n")
	c, warnings, err := config.Load(file, []string{"parallelism.default=3", "heartbeat.timeout = 8 s", "heartbeat.timeout=7 s"})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	above, _, err := c.With("environment in code", map[string]string{"parallelism.default": "5"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []struct {
		c                  *config.Config
		key, value, source string
	}{
		{c, "parallelism.default", "3", "-D"},
		{c, "heartbeat.interval", "1 s", "file " + file + " line 3"},
		{c, "heartbeat.timeout", "7 s", "-D"},
		{c, "slot.request.timeout", "5 min", "default"},
		{c, "pipeline.name", "", "default"},
		{above, "parallelism.default", "5", "environment in code"},
		{above, "heartbeat.interval", "1 s", "file " + file + " line 3"},
	} {
		got := entry(t, e.c, e.key)
		if got.Value != e.value || got.Source.String() != e.source || got.IsSet != (e.source != "default") {
			t.Errorf("%s is %q from %s, want %q from %s", e.key, got.Value, got.Source, e.value, e.source)
		}
	}
	if config.DefaultParallelism.Get(c) != 3 || config.DefaultParallelism.Source(above).Name != "environment in code" {
		t.Error("With has changed the configuration below it")
	}
	want := "heartbeat.interval: 1 s (file " + file + " line 3)\nheartbeat.timeout: 7 s (-D)\nparallelism.default: 3 (-D)\n"
	if c.String() != want {
		t.Errorf("String() = %q, want %q", c, want)
	}
	entries := c.Entries()
	if len(entries) != len(config.Keys()) || !slices.IsSortedFunc(entries, func(a, b config.Entry) int { return strings.Compare(a.Key, b.Key) }) {
		t.Errorf("Entries() has %d of %d keys, or is not sorted", len(entries), len(config.Keys()))
	}
}

func entry(t *testing.T, c *config.Config, key string) config.Entry {
	t.Helper()
	for _, e := range c.Entries() {
		if e.Key == key {
			return e
		}
	}
	t.Fatalf("no entry for %s", key)
	return config.Entry{}
}

func TestRules(t *testing.T) {
	for text, want := range map[string]string{
		"taskmanager.memory.network.min: 2g\ntaskmanager.memory.network.max: 1g": `file x line 2: taskmanager.memory.network.min 2 gb (file x line 1) must not be more than taskmanager.memory.network.max 1 gb (file x line 2)`,
		"taskmanager.memory.network.max: 1m":                                     `file x line 1: taskmanager.memory.network.min 64 mb (default) must not be more than taskmanager.memory.network.max 1 mb (file x line 1)`,
		"taskmanager.memory.overhead.min: 2g":                                    `file x line 1: taskmanager.memory.overhead.min 2 gb (file x line 1) must not be more than taskmanager.memory.overhead.max 1 gb (default)`,
		"heartbeat.interval: 50 s":                                               `file x line 1: heartbeat.interval 50 s (file x line 1) must be less than heartbeat.timeout 50 s (default)`,
		"cluster.registration.max-timeout: 1 ms":                                 `file x line 1: cluster.registration.initial-timeout 100 ms (default) must not be more than cluster.registration.max-timeout 1 ms (file x line 1)`,
		"security.ssl.internal.enabled: true\nsecurity.ssl.key-file: k":          `file x line 2: security.ssl.internal.enabled is true, but security.ssl.certificate-file, security.ssl.ca-file is not set`,
		// A key whose value is bad is not blamed once more, on its default.
		"heartbeat.interval: 50 s\nheartbeat.timeout: never": `file x line 2: key "heartbeat.timeout" has the bad value "never": want a duration such as 10 s, at least 1 ms ("never" does not start with a whole number)`,
	} {
		_, _, err := config.Parse("x", []byte(text), nil)
		if err == nil || err.Error() != want || !errors.Is(err, config.ErrBadValue) {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
	const tls = "security.ssl: {internal.enabled: true, key-file: k, certificate-file: c, ca-file: a}"
	if c, _, err := config.Parse("x", []byte(tls), nil); err != nil || !config.TLSEnabled.Get(c) {
		t.Errorf("%s: %v", tls, err)
	}
}

// TestDecode: what another version of Weir has sent may have keys that this one
// does not know; it may not have bad values.
func TestDecode(t *testing.T) {
	base := mustMap(t, map[string]string{"parallelism.default": "2"})
	c, warnings, err := base.Decode("the JobManager", map[string]string{"key.of.the.future": "1", "execution.buffer-timeout.interval": "5 ms"})
	if err != nil || config.BufferTimeout(c) != 5*time.Millisecond || config.DefaultParallelism.Get(c) != 2 {
		t.Errorf("Decode: %v, %v", c, err)
	}
	if want := `the JobManager: key "key.of.the.future" has no effect: this version of Weir does not know it`; warnings.String() != want {
		t.Errorf("warnings %s, want %s", warnings, want)
	}
	if _, _, err := base.Decode("the JobManager", map[string]string{"parallelism.default": "x"}); !errors.Is(err, config.ErrBadValue) {
		t.Errorf("Decode of a bad value: %v", err)
	}
}

func TestJobSettings(t *testing.T) {
	file := writeFile(t, "taskmanager.numberOfTaskSlots: 2\nexecution.buffer-timeout.interval: 0\n")
	c, _, err := config.Load(file, []string{"pipeline.name=x", "heartbeat.interval=1 s", "client.timeout=1 s", "jobmanager.rpc.port=1"})
	if err != nil {
		t.Fatal(err)
	}
	settings, ignored := c.JobSettings()
	if want := map[string]string{"execution.buffer-timeout.interval": "0 ms", "pipeline.name": "x"}; !maps.Equal(settings, want) {
		t.Errorf("settings %v, want %v", settings, want)
	}
	if len(ignored) != 1 || ignored[0].Key != "heartbeat.interval" {
		t.Errorf("ignored %v, want the override that is for daemons", ignored)
	}
}

func TestBufferTimeout(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"execution.buffer-timeout.interval: 7":                       7 * time.Millisecond,
		"execution.buffer-timeout.interval: -1":                      config.OnlyFullBuffers,
		"execution.buffer-timeout.enabled: false":                    config.OnlyFullBuffers,
		"execution.buffer-timeout: {interval: 0}":                    0,
		"execution.buffer-timeout: 0":                                0,
		"execution.buffer-timeout: {enabled: false, interval: 5 ms}": config.OnlyFullBuffers,
	} {
		c, _, err := config.Parse("x", []byte(text), nil)
		if err != nil || config.BufferTimeout(c) != want {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

func TestPlaces(t *testing.T) {
	c := mustMap(t, map[string]string{
		"io.tmp.dirs": "/t1,/t2", "process.taskmanager.working-dir": "/tm", "env.log.dir": "/logs",
		"jobmanager.rpc.address": "::1", "jobmanager.bind-host": "0.0.0.0", "jobmanager.rpc.bind-port": "0",
	})
	parent := mustMap(t, map[string]string{"process.working-dir": "/w"})
	for what, pair := range map[string][2]string{
		"endpoint":          {config.JobManagerEndpoint(c), "[::1]:6123"},
		"listen":            {config.JobManagerListenAddress(c), "0.0.0.0:0"},
		"JobManager's own":  {config.JobManagerWorkingDirectory(c), "/t1"},
		"TaskManager's own": {config.TaskManagerWorkingDirectory(c), "/tm"},
		"common":            {config.TaskManagerWorkingDirectory(parent), "/w"},
		"log":               {config.LogDirectory(c, "/w"), "/logs"},
		"second temporary":  {config.TempDirectories(c)[1], "/t2"},
		"key of an option":  {config.TempDirs.Key(), "io.tmp.dirs"},
		"source of a value": {config.TempDirs.Source(c).String(), "test"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %q, want %q", what, pair[0], pair[1])
		}
	}
}

func TestTaskManagerMemory(t *testing.T) {
	for text, want := range map[string]string{
		"taskmanager.memory.flink.size: 1280m": "process 1472 mb = overhead 192 mb + heap 640 mb + managed 512 mb + network 128 mb",
		"taskmanager.memory: {task.heap.size: 1000m, managed.size: 800m, overhead: {min: 200m, max: 200m}}": "process 2200 mb = overhead 200 mb + heap 1000 mb + managed 800 mb + network 200 mb",
		"taskmanager.memory: {process.size: 2g, network: {min: 96m, max: 96m}, managed.fraction: 0}":        "network 96 mb; each of 1 slots has 3072 buffers of 32 kb",
		"taskmanager: {memory: {task.heap.size: 384m, segment-size: 64k}, numberOfTaskSlots: 3}":            "heap 384 mb",
	} {
		c, _, err := config.Parse("x", []byte(text), nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		m, err := memory.Divide(config.TaskManagerMemory(c))
		if err != nil || !strings.Contains(m.String(), want) {
			t.Errorf("%s: %v, %v, want %s", text, m, err, want)
		}
	}
}

// TestGetIsTheCallersOwn: what a caller does to a list stays his.
func TestGetIsTheCallersOwn(t *testing.T) {
	c := mustMap(t, map[string]string{"io.tmp.dirs": "/a,/b"})
	config.TempDirs.Get(c)[0] = "/changed"
	config.TaskManagerDataPort.Get(c)[0] = config.PortRange{First: 1, Last: 1}
	c.Map()["io.tmp.dirs"] = "/changed"
	config.Keys()[0].Doc = "changed"
	if got := config.TempDirs.Get(c); got[0] != "/a" {
		t.Errorf("TempDirs.Get = %v", got)
	}
	if got := config.TaskManagerDataPort.Get(c).String(); got != "0" {
		t.Errorf("TaskManagerDataPort.Get = %v", got)
	}
	if got := c.Map()["io.tmp.dirs"]; got != "/a,/b" || config.Keys()[0].Doc == "changed" {
		t.Errorf("Map or Keys can be changed from outside: %q", got)
	}
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	c := mustMap(t, map[string]string{"io.tmp.dirs": "/a,/b", "parallelism.default": "3"})
	group := goroutine.New(t.Context())
	for range 8 {
		group.Go(func(context.Context) error {
			with, _, err := c.With("above", map[string]string{"parallelism.default": "4"})
			if err != nil {
				return err
			}
			if config.DefaultParallelism.Get(c) != 3 || config.DefaultParallelism.Get(with) != 4 || len(c.Entries()) == 0 {
				return errors.New("the configuration has changed")
			}
			config.TempDirs.Get(c)[0] = "/mine"
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	group.Stop()
}

func TestScopeString(t *testing.T) {
	if got := (config.JobManager | config.Client | config.Job).String(); got != "JobManager, weir, job" {
		t.Errorf("Scope.String() = %q", got)
	}
}
