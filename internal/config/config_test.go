package config_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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
		"buffers":       config.NetworkSettings(c) == memory.Settings{SegmentSize: 32 * memory.KiB, BuffersPerChannel: 2, FloatingPerGate: 8},
		"buffertimeout": config.BufferTimeout(c) == 100*time.Millisecond,
		"parallelism":   config.DefaultParallelism.Get(c) == 1,
		"temp":          slices.Equal(config.TempDirectories(c), []string{os.TempDir()}),
		"working":       config.JobManagerWorkingDirectory(c) == os.TempDir() && config.TaskManagerWorkingDirectory(c) == os.TempDir(),
		"log":           config.LogDirectory(c, "/work-dir") == filepath.Join("/work-dir", "log"),
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

// TestFlatAndNested: a file may write each key flat, nested, or half and half.
func TestFlatAndNested(t *testing.T) {
	want := map[string]string{
		"taskmanager.numberOfTaskSlots":       "4",
		"taskmanager.memory.process.size":     "2 gb",
		"taskmanager.memory.network.fraction": "0.2",
		"io.tmp.dirs":                         "/a,'/b,c'",
		"taskmanager.data.port":               "50100-50200,50300",
		"execution.buffer-timeout.interval":   "0 ms",
	}
	for form, text := range map[string]string{
		"flat": `
taskmanager.numberOfTaskSlots: 4
taskmanager.memory.process.size: 2g
taskmanager.memory.network.fraction: 0.2
io.tmp.dirs: /a,'/b,c'
taskmanager.data.port: 50100-50200,50300
execution.buffer-timeout.interval: 0
`,
		"nested": `
taskmanager:
  numberOfTaskSlots: 4
  memory:
    process: {size: 2g}
    network:
      fraction: 0.2
  data:
    port: [50100-50200, 50300]
io:
  tmp:
    dirs:
      - /a
      - /b,c
execution: {buffer-timeout: {interval: 0}}
`,
		"mixed": `
---
taskmanager.memory:
  process.size: "2 GB"
taskmanager:
  memory.network: {fraction: .20}
  numberOfTaskSlots: "4"
  data.port: 50100-50200, 50300
io.tmp:
  dirs: "/a;'/b,c'"
"execution.buffer-timeout":
  interval: 0 ms
parallelism:   # A section whose keys are all commented out.
heartbeat: {}
`,
		"anchors": `
pipeline.name: &slots 4
taskmanager: &tm
  numberOfTaskSlots: *slots
  memory: {process.size: 2g, network: {fraction: 0.2}}
  data.port: &list [50100-50200, 50300]
io.tmp.dirs: [/a, "/b,c"]
execution.buffer-timeout.interval: 0
`,
	} {
		c, warnings, err := config.Parse("file "+form, []byte(text), nil)
		if err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v, warnings %v", form, err, warnings)
			continue
		}
		got := c.Map()
		delete(got, "pipeline.name")
		if !maps.Equal(got, want) {
			t.Errorf("%s:\n got %v\nwant %v", form, got, want)
		}
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

// TestAllMistakesAtOnce is the whole text that a user sees (C2, C4).
func TestAllMistakesAtOnce(t *testing.T) {
	const file = `taskmanager:
  numberOfTaskSlots: none
  memory:
    segment-size: 33 kb
    netwrok.fraction: 0.2
paralelism.default: 4
parallelism.default: 4
parallelism:
  default: 5
heartbeat.interval:
cluster.evenly-spread-out-slots: true
state.backend.type: rocksdb
completely.made.up: 1
`
	c, warnings, err := config.Parse("file weir.yaml", []byte(file), []string{"client.timeout", "taskmanager.numberOfTaskSlot=2", "=3"})
	const want = `the configuration has 10 mistakes:
  file weir.yaml line 9: key "parallelism.default" is set twice: line 7 has it already
  file weir.yaml line 2: key "taskmanager.numberOfTaskSlots" has the bad value "none": want a whole number from 1 to 1024
  file weir.yaml line 4: key "taskmanager.memory.segment-size" has the bad value "33 kb": want a power of two from 4 kb to 16 mb
  file weir.yaml line 5: unknown key "taskmanager.memory.netwrok.fraction": did you mean "taskmanager.memory.network.fraction"?
  file weir.yaml line 6: unknown key "paralelism.default": did you mean "parallelism.default"?
  file weir.yaml line 10: key "heartbeat.interval" has no value: remove it, or write a duration such as 10 s, at least 1 ms
  file weir.yaml line 13: unknown key "completely.made.up": docs/configuration.md lists all keys
  -D: "client.timeout" is not of the form key=value
  -D: "=3" is not of the form key=value
  -D: unknown key "taskmanager.numberOfTaskSlot": did you mean "taskmanager.numberOfTaskSlots"?`
	if err == nil || err.Error() != want {
		t.Errorf("error\n got %v\nwant %s", err, want)
	}
	const wantWarnings = `file weir.yaml line 11: key "cluster.evenly-spread-out-slots" is deprecated: write "taskmanager.load-balance.mode"
file weir.yaml line 12: key "state.backend.type" has no effect: this version of Weir keeps state in memory only`
	if warnings.String() != wantWarnings {
		t.Errorf("warnings\n got %s\nwant %s", warnings, wantWarnings)
	}
	if c != nil {
		t.Error("there is a configuration beside the error")
	}
	for _, kind := range []error{config.ErrBadValue, config.ErrDuplicate, config.ErrSyntax, config.ErrUnknownKey} {
		if !errors.Is(err, kind) {
			t.Errorf("the error is not %v", kind)
		}
	}
	var first config.Problem
	if !errors.As(err, &first) || first.Source.Line != 9 {
		t.Errorf("errors.As finds %+v, want the first problem", first)
	}
}

// TestManyMistakes: the text stays readable however many there are; the list
// is complete.
func TestManyMistakes(t *testing.T) {
	var file strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&file, "made.up.%d: 1\n", i)
	}
	_, _, err := config.Parse("file many", []byte(file.String()), nil)
	var problems config.Problems
	if !errors.As(err, &problems) || len(problems) != 1000 {
		t.Fatalf("%d problems, want 1000", len(problems))
	}
	if lines := strings.Count(err.Error(), "\n"); lines != 101 || !strings.HasSuffix(err.Error(), "\n  and 900 more") {
		t.Errorf("the text has %d lines and ends in %q", lines, err.Error()[len(err.Error())-40:])
	}
}

func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.yaml")
	_, _, err := config.Load(missing, []string{"parallelism.default=x"})
	if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, config.ErrBadValue) || !strings.Contains(err.Error(), "file "+missing+": cannot read the configuration: ") {
		t.Errorf("a missing file and a bad override: %v", err)
	}
	if _, _, err := config.Load(dir, nil); err == nil || !strings.Contains(err.Error(), "file "+dir+": cannot read the configuration: ") {
		t.Errorf("a directory: %v", err)
	}
	large := writeFile(t, strings.Repeat("# comment\n", 110_000))
	if _, _, err := config.Load(large, nil); err == nil || !strings.HasSuffix(err.Error(), "larger than 1048576 bytes: not a configuration") {
		t.Errorf("a file of 1.1 MB: %v", err)
	}
	c, warnings, err := config.Load("", []string{"parallelism.default=7"})
	if err != nil || len(warnings) != 0 || config.DefaultParallelism.Get(c) != 7 {
		t.Errorf("no file at all: %v, %v", warnings, err)
	}
}

// TestFilesThatAreNotOne has files that are not a YAML mapping, and the edges
// of those that are.
func TestFilesThatAreNotOne(t *testing.T) {
	for text, want := range map[string]string{
		"a: b: c":                        "not YAML: yaml:",
		"\tparallelism.default: 1":       "not YAML: yaml:",
		"- a\n- b":                       "line 1: the file is a list",
		"just text":                      "line 1: the file is plain text",
		"42":                             "line 1: the file is plain text",
		"a: 1\n---\nb: 2":                "more than one YAML document",
		"parallelism.default: 1\n---":    "more than one YAML document",
		"a: 1\n---\n}":                   "not YAML: yaml:",
		"? [a, b]\n: 1":                  `line 1: a key below "" is not plain text`,
		"io:\n  ? {a: b}\n  : 1":         `line 2: a key below "io" is not plain text`,
		"\"\": 1":                        `line 1: a key below "" is empty`,
		"~: 1":                           `line 1: a key below "" is empty`,
		"x: &x {}\n<<: *x":               `the merge key << below "" is not supported`,
		"io.tmp.dirs: [[a]]":             `key "io.tmp.dirs" has the bad value "[]": want paths separated by commas, or a YAML list of paths (it is a list of lists or of maps)`,
		"io.tmp.dirs: []":                `key "io.tmp.dirs" has the bad value "[]": want paths`,
		"io.tmp.dirs: [a, ~]":            `("" is not a path)`,
		"parallelism.default: [1, 2]":    `key "parallelism.default" has the bad value "[1, 2]": want a whole number from 1 to 65536 (a list is not allowed here)`,
		"parallelism.default: {}":        `key "parallelism.default" has no value`,
		"parallelism.default.x: 1":       `unknown key "parallelism.default.x": did you mean "parallelism.default"?`,
		"parallelism: {default: {x: 1}}": `unknown key "parallelism.default.x"`,
		"nonsense:":                      `unknown key "nonsense"`,
		"parallelism.default: 1\nparallelism.default: 1": `line 2: key "parallelism.default" is set twice: line 1 has it already`,
		"state.backend: a\nstate:\n  backend: b":         `line 3: key "state.backend" is set twice: line 1 has it already`,
		"pipeline.name: \"\\0\"":                         `key "pipeline.name" has the bad value "\x00"`,
		"? " + strings.Repeat("k", 2000) + "\n: 1":       "a key is longer than 1024 bytes",
		strings.Repeat("k", 999) + ": 1":                 "unknown key",
	} {
		c, _, err := config.Parse("file x", []byte(text), nil)
		if err == nil || c != nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "file x") {
			t.Errorf("%.60q: error %v, want %s", text, err, want)
		}
		if err != nil && len(err.Error()) > 2000 {
			t.Errorf("%.60q: the error has %d bytes", text, len(err.Error()))
		}
	}
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "---\n# nothing\n...\n", "~", "{}", "taskmanager:\n", "state: {}\n"} {
		c, warnings, err := config.Parse("file x", []byte(text), nil)
		if err != nil || len(warnings) != 0 || len(c.Map()) != 0 {
			t.Errorf("%q: %v, warnings %v, want an empty configuration", text, err, warnings)
		}
	}
}

// TestHostileYAML: files that would take a careless reader's memory or time.
func TestHostileYAML(t *testing.T) {
	var bomb, deep strings.Builder
	bomb.WriteString("a0: &a0 {x: 1}\n")
	for i := 1; i < 40; i++ {
		fmt.Fprintf(&bomb, "a%d: &a%d {l: *a%d, r: *a%d}\n", i, i, i-1, i-1)
	}
	for range 500 {
		deep.WriteString("{d: ")
	}
	deep.WriteString("1" + strings.Repeat("}", 500))
	for name, c := range map[string]struct{ text, want string }{
		"aliases of aliases":   {bomb.String(), "more than 100000 keys and values"},
		"deep":                 {deep.String(), "nested deeper than 100 levels"},
		"alias of itself":      {"a: &a {b: *a}", "nested deeper than 100 levels"},
		"list alias of itself": {"io.tmp.dirs: &a [*a]", "it is a list of lists or of maps"},
		"long prefix":          {strings.Repeat("p", 1000) + ": {" + strings.Repeat("k", 100) + ": 1}", "longer than 1024 bytes"},
	} {
		_, _, err := config.Parse("file x", []byte(c.text), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %.200v, want %s", name, err, c.want)
		}
	}
}

// TestFlinkKeysAreKnown: no key of Flink's documentation is called unknown,
// and what has no effect says why.
func TestFlinkKeysAreKnown(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "flink-keys.txt"))
	if err != nil {
		t.Fatal(err)
	}
	supported := 0
	for line := range strings.Lines(string(data)) {
		key := strings.TrimSpace(line)
		if strings.HasPrefix(key, "#") {
			continue
		}
		_, warnings, err := config.FromMap("test", map[string]string{key: "1"})
		switch {
		case errors.Is(err, config.ErrUnknownKey):
			t.Error(err)
		case err != nil || len(warnings) == 0 || strings.Contains(warnings[0].Text, "deprecated"):
			supported++ // Perhaps with a value that 1 is not.
		case len(warnings) != 1 || !strings.HasPrefix(warnings[0].Text, "has no effect: ") || warnings[0].Key != key:
			t.Errorf("%s: warnings %v", key, warnings)
		}
	}
	if supported < 45 {
		t.Errorf("only %d of Flink's keys have an effect", supported)
	}
}

func TestReasons(t *testing.T) {
	for key, want := range map[string]string{
		"taskmanager.memory.jvm-metaspace.size":    "has no effect: Weir has no JVM: what Flink sets apart for metaspace is heap",
		"execution.checkpointing.interval":         "has no effect: this version of Weir takes no checkpoints and no savepoints",
		"state.backend.rocksdb.localdir":           "has no effect: this version of Weir keeps state in memory only",
		"metrics.reporter.prom.port":               "has no effect: this version of Weir has no metrics reporters",
		"pipeline.max-parallelism":                 "has no effect: Weir always has 65536 key groups, so any parallelism can be reached",
		"security.ssl.internal.keystore":           "has no effect: Weir reads certificates and keys from PEM files: see security.ssl.certificate-file, .key-file and .ca-file",
		"pipeline.global-job-parameters.some.name": "has no effect: a job of Weir has command line arguments",
	} {
		_, warnings, err := config.FromMap("test", map[string]string{key: "x"})
		if err != nil || len(warnings) != 1 || warnings[0].Text != want {
			t.Errorf("%s: %v, %v, want %s", key, warnings, err, want)
		}
	}
	// A list of maps is read past where the key has no effect.
	_, warnings, err := config.Parse("file x", []byte("pipeline.serialization-config: [{a: {type: kryo}}]"), nil)
	if err != nil || len(warnings) != 1 {
		t.Errorf("a list of maps: %v, %v", warnings, err)
	}
}

func TestSuggestions(t *testing.T) {
	for key, want := range map[string]string{
		"Parallelism.Default":                   `: did you mean "parallelism.default"?`,
		"taskmanager.numberOfTaskslots":         `: did you mean "taskmanager.numberOfTaskSlots"?`,
		"jobmanager.rcp.port":                   `: did you mean "jobmanager.rpc.port"?`,
		"taskmanager.memory.jvm-metaspace.sise": `: did you mean "taskmanager.memory.jvm-metaspace.size"?`,
		"pipeline.preaggregation.enabled":       `: did you mean "pipeline.pre-aggregation.enabled"?`,
		"foo":                                   ": docs/configuration.md lists all keys",
		strings.Repeat("x", 500):                ": docs/configuration.md lists all keys",
	} {
		_, _, err := config.FromMap("test", map[string]string{key: "1"})
		if err == nil || !strings.HasSuffix(err.Error(), want) || !errors.Is(err, config.ErrUnknownKey) || len(err.Error()) > 300 {
			t.Errorf("%.40s: %v, want … %s", key, err, want)
		}
	}
}

// TestDeprecatedNames: they are read; in one layer the present name wins, and
// a later layer wins whatever name it uses.
func TestDeprecatedNames(t *testing.T) {
	for text, c := range map[string]struct{ key, value, warnings string }{
		"taskmanager.network.memory.fraction: 0.2": {"taskmanager.memory.network.fraction", "0.2",
			`file x line 1: key "taskmanager.network.memory.fraction" is deprecated: write "taskmanager.memory.network.fraction"`},
		"cluster.evenly-spread-out-slots: TRUE":  {"taskmanager.load-balance.mode", "SLOTS", `file x line 1: key "cluster.evenly-spread-out-slots" is deprecated: write "taskmanager.load-balance.mode"`},
		"cluster.evenly-spread-out-slots: false": {"taskmanager.load-balance.mode", "NONE", `file x line 1: key "cluster.evenly-spread-out-slots" is deprecated: write "taskmanager.load-balance.mode"`},
		"execution.buffer-timeout: -1":           {"execution.buffer-timeout.interval", "-1", `file x line 1: key "execution.buffer-timeout" is deprecated: write "execution.buffer-timeout.interval"`},
		"taskmanager.memory.jvm-overhead.min: 1m\ntaskmanager.memory.overhead.min: 2m": {"taskmanager.memory.overhead.min", "2 mb",
			"file x line 1: key \"taskmanager.memory.jvm-overhead.min\" is deprecated: write \"taskmanager.memory.overhead.min\"\n" +
				"file x line 1: key \"taskmanager.memory.jvm-overhead.min\" has no effect: \"taskmanager.memory.overhead.min\" is set as well"},
		"taskmanager.memory.overhead.min: 2m\ntaskmanager.memory.jvm-overhead.min: 1m": {"taskmanager.memory.overhead.min", "2 mb",
			"file x line 2: key \"taskmanager.memory.jvm-overhead.min\" is deprecated: write \"taskmanager.memory.overhead.min\"\n" +
				"file x line 2: key \"taskmanager.memory.jvm-overhead.min\" has no effect: \"taskmanager.memory.overhead.min\" is set as well"},
	} {
		got, warnings, err := config.Parse("file x", []byte(text), nil)
		if err != nil || !maps.Equal(got.Map(), map[string]string{c.key: c.value}) || warnings.String() != c.warnings {
			t.Errorf("%s: %v, %v\nwarnings %s\nwant     %s", text, got, err, warnings, c.warnings)
		}
	}
	c, _, err := config.Parse("file x", []byte("taskmanager.memory.overhead.min: 2m"), []string{"taskmanager.memory.jvm-overhead.min=1m"})
	if err != nil || config.OverheadMin.Get(c) != memory.MiB {
		t.Errorf("-D with a deprecated name: %v, %v", c, err)
	}
	if _, _, err := config.Parse("file x", []byte("cluster.evenly-spread-out-slots: [true]"), nil); err == nil {
		t.Error("a list is accepted where a deprecated name wants true or false")
	}
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
		_, _, err := config.Parse("file x", []byte(text), nil)
		if err == nil || err.Error() != want || !errors.Is(err, config.ErrBadValue) {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
	const tls = "security.ssl: {internal.enabled: true, key-file: k, certificate-file: c, ca-file: a}"
	if c, _, err := config.Parse("file x", []byte(tls), nil); err != nil || !config.TLSEnabled.Get(c) {
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
		c, _, err := config.Parse("file x", []byte(text), nil)
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
		c, _, err := config.Parse("file x", []byte(text), nil)
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

// TestDeployedFile: the sample of the distribution is right as it is, and also
// with all of its examples uncommented.
func TestDeployedFile(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "deploy", "weir.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c, warnings, err := config.Parse("file weir.yaml", data, nil)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, warnings %v", err, warnings)
	}
	plain := len(c.Map())
	known := map[string]bool{}
	for _, k := range config.Keys() {
		known[k.Name] = true
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		if example, ok := strings.CutPrefix(line, "# "); ok && known[strings.SplitN(example, ":", 2)[0]] {
			line = example
		}
		lines = append(lines, line)
	}
	c, warnings, err = config.Parse("file weir.yaml", []byte(strings.Join(lines, "")), nil)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("uncommented: %v, warnings %v", err, warnings)
	}
	if got := len(c.Map()); got < plain+20 {
		t.Errorf("%d keys with the examples, %d without: the examples were not read", got, plain)
	}
}
