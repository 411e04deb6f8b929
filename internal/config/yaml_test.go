package config_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/config"
)

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
		c, warnings, err := config.Parse(form, []byte(text), nil)
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
	c, warnings, err := config.Parse("weir.yaml", []byte(file), []string{"client.timeout", "taskmanager.numberOfTaskSlot=2", "=3"})
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
		c, _, err := config.Parse("x", []byte(text), nil)
		if err == nil || c != nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "file x") {
			t.Errorf("%.60q: error %v, want %s", text, err, want)
		}
		if err != nil && len(err.Error()) > 2000 {
			t.Errorf("%.60q: the error has %d bytes", text, len(err.Error()))
		}
	}
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "---\n# nothing\n...\n", "~", "{}", "taskmanager:\n", "state: {}\n"} {
		c, warnings, err := config.Parse("x", []byte(text), nil)
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
		_, _, err := config.Parse("x", []byte(c.text), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %.200v, want %s", name, err, c.want)
		}
	}
}

// TestDeployedFile: the sample of the distribution is right as it is, and also
// with all of its examples uncommented.
func TestDeployedFile(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "deploy", "weir.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c, warnings, err := config.Parse("weir.yaml", data, nil)
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
	c, warnings, err = config.Parse("weir.yaml", []byte(strings.Join(lines, "")), nil)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("uncommented: %v, warnings %v", err, warnings)
	}
	if got := len(c.Map()); got < plain+20 {
		t.Errorf("%d keys with the examples, %d without: the examples were not read", got, plain)
	}
}
