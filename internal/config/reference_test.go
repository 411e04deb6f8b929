package config

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

// TestReferenceIsFresh keeps docs/configuration.md equal to the registry.
func TestReferenceIsFresh(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "configuration.md")
	want := reference()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the registry says: run go test ./internal/config -run TestReferenceIsFresh -update", file)
	}
}

const referenceIntro = `# Configuration

<!-- Generated from internal/config. To change it, change the registry and run
     go test ./internal/config -run TestReferenceIsFresh -update -->

The daemons and the command line read one YAML file with the keys of Apache Flink, flat or nested:

` + "```yaml" + `
jobmanager.rpc.address: jobs.example
taskmanager:
  numberOfTaskSlots: 4
  memory:
    process.size: 8g
` + "```" + `

A commented file to start from is [deploy/weir.yaml](../deploy/weir.yaml).

The file is the one of ` + "`--config`" + `, or else ` + "`weir.yaml`" + ` in the directory that ` + "`WEIR_CONF_DIR`" + ` names, or else ` + "`weir.yaml`" + ` in the current
directory. ` + "`weir config`" + ` prints the whole configuration with where each value comes from, and ` + "`weir config KEY`" + ` all about one key.

**Precedence.** What the job's code says about one operator wins; then what it says about its whole environment; then ` + "`-D key=value`" + ` on
the command line (the last one, if a key is repeated); then an environment variable; then the file; then the default. Keys that the tables
mark with *job* can be set for one job with ` + "`weir run -D`" + `.

**Environment variables.** Every key has one: ` + "`WEIR_`" + ` and the key in capitals, with an underscore for each dot and dash.

| key | variable |
|---|---|
| ` + "`taskmanager.numberOfTaskSlots` | `WEIR_TASKMANAGER_NUMBEROFTASKSLOTS`" + ` |
| ` + "`jobmanager.bind-host` | `WEIR_JOBMANAGER_BIND_HOST`" + ` |
| ` + "`io.tmp.dirs` | `WEIR_IO_TMP_DIRS`" + `, a list as one text |

No two keys have the same variable, and deprecated names have theirs. Daemons and command line read them alike; a job's own process sees
none of them. An empty variable counts as not set. A variable that begins with ` + "`WEIR_`" + ` and belongs to no key is a warning with the nearest
one; those that Kubernetes sets for a Service called ` + "`weir`" + ` or ` + "`weir-…`" + ` are passed over.

**Secrets.** The value of a key whose name says that it is a secret (` + "`password`, `secret`, `token`" + ` and the others by which Flink tells) is printed
as ` + "`******`" + ` everywhere. Weir's own keys name files in place of secrets.

**Values.**

| kind | written as |
|---|---|
| memory size | a whole number and a unit, ` + "`64 mb`, `1g`, `32kb`" + `: b, kb, mb, gb, tb and their first letters, always powers of 1024; without a unit bytes. ` + "`1.5g`" + ` is an error: write ` + "`1536m`" + `. |
| duration | a whole number and a unit, ` + "`10 s`, `100 ms`, `3 min`" + `: ns, µs, ms, s, min, h, d and their long forms; without a unit milliseconds. |
| list | a YAML list, or one text with separators; an element that contains a separator is put in quotes. |
| ports | ` + "`50100`, `50100-50200`, `50100-50200,50300`; `0`" + ` is any free port. |
| choice, true, false | in upper or lower case. |

**Mistakes.** All mistakes of the file, the environment and ` + "`-D`" + ` are reported at once, with their lines. An unknown key is a mistake, and the message
suggests the nearest key. A key that is set twice is a mistake, also when once nested and once flat. A key of Flink that Weir has no use
for is a warning that says why; [the last table](#keys-of-flink-that-have-no-effect) lists them. Names that Flink has deprecated are read, with a warning that
names the new one.
`

// reference renders the registry.
func reference() []byte {
	var b bytes.Buffer
	b.WriteString(referenceIntro)
	for _, a := range areas {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| key | default | read by | meaning |\n|---|---|---|---|\n", a.title, a.intro)
		for _, k := range slices.SortedFunc(slices.Values(a.keys), func(a, b *key) int { return strings.Compare(a.Name, b.Name) }) {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Name, code(k.Default), k.Scope, cell(meaning(k)))
		}
	}
	b.WriteString("\n## Keys of Flink that have no effect\n\n`x.*` stands for every key that begins with `x.`.\n\n| why | keys |\n|---|---|\n")
	for _, g := range flinkGroups {
		var names []string
		for name := range strings.FieldsSeq(g.keys) {
			if strings.HasSuffix(name, ".") {
				name += "*"
			}
			names = append(names, "`"+name+"`")
		}
		fmt.Fprintf(&b, "| %s | %s |\n", cell(upperFirst(g.reason)), strings.Join(names, ", "))
	}
	return b.Bytes()
}

func meaning(k *key) string {
	text := k.Doc + " Allowed: " + k.Allowed + "."
	if k.WeirOnly {
		text += " *Only in Weir.*"
	}
	if len(k.Deprecated) > 0 {
		text += " Older name: `" + strings.Join(k.Deprecated, "`, `") + "`."
	}
	return text
}

// code puts a default into backquotes unless it is an explanation.
func code(text string) string {
	if strings.HasPrefix(text, "(") {
		return cell(text)
	}
	return "`" + cell(text) + "`"
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func upperFirst(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// TestRegistry checks what the definitions of keys promise to each other.
func TestRegistry(t *testing.T) {
	seen := map[string]string{}
	claim := func(name, by string) {
		if other, ok := seen[name]; ok {
			t.Errorf("%q is claimed by %s and by %s", name, other, by)
		}
		seen[name] = by
	}
	for _, a := range areas {
		for _, k := range a.keys {
			claim(k.Name, "key "+k.Name)
			for _, old := range k.Deprecated {
				claim(old, "a deprecated name of "+k.Name)
			}
			checkDefinition(t, k)
		}
	}
	for _, g := range flinkGroups {
		for name := range strings.FieldsSeq(g.keys) {
			claim(name, "the group «"+g.reason+"»")
		}
	}
	for name, by := range seen {
		if reason := flinkOnly(name); reason != "" && !strings.HasPrefix(by, "the group") {
			t.Errorf("%s %q would have no effect: %s", by, name, reason)
		}
	}
}

func checkDefinition(t *testing.T, k *key) {
	t.Helper()
	if k.Scope == 0 || k.Doc == "" || !strings.HasSuffix(strings.TrimSuffix(k.Doc, ")"), ".") {
		t.Errorf("key %s needs a scope and a meaning that ends in a full stop", k.Name)
	}
	if !k.hasDefault {
		if !strings.HasPrefix(k.Default, "(") {
			t.Errorf("key %s has no default and does not say what happens: %q", k.Name, k.Default)
		}
		return
	}
	_, text, err := k.parse(setting{key: k.Name, text: k.Default})
	if err != nil || text != k.Default {
		t.Errorf("the default of key %s, %q, is read as %q, %v", k.Name, k.Default, text, err)
	}
}
