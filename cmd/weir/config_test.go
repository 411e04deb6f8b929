package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/config"
)

// configured is a command with a value from each kind of place.
func configured(t *testing.T) (c *command, file string) {
	t.Helper()
	c = newCommand(t)
	dir := t.TempDir()
	file = filepath.Join(dir, "weir.yaml")
	writeFile(t, file, "# A cluster.\njobmanager:\n  rpc.address: jobs.example\n  rpc.port: 7000\nparallelism.default: 2\n")
	t.Setenv("WEIR_CONF_DIR", dir)
	t.Setenv("WEIR_PARALLELISM_DEFAULT", "3")
	t.Setenv("WEIR_CLIENT_TIMEOUT", "5s")
	return c, file
}

func TestConfigTellsWhereEachValueComesFrom(t *testing.T) {
	c, file := configured(t)
	if code := c.run([]string{"config", "-D", "client.timeout=7s"}); code != 0 || c.stderr.Len() > 0 {
		t.Fatalf("exit code %d\n%s", code, c.stderr)
	}
	lines := strings.Split(strings.TrimSuffix(c.stdout.String(), "\n"), "\n")
	got := map[string]string{}
	for _, line := range lines {
		columns := regexp.MustCompile(`  +`).Split(line, -1)
		if len(columns) != 3 {
			t.Fatalf("the line %q has %d columns", line, len(columns))
		}
		got[columns[0]] = columns[1] + "|" + columns[2]
	}
	if len(lines) != 1+len(config.Keys()) || got["KEY"] != "VALUE|SOURCE" {
		t.Errorf("%d lines\n%s", len(lines), c.stdout)
	}
	for key, want := range map[string]string{
		"client.timeout":           "7 s|-D",
		"parallelism.default":      "3|environment variable WEIR_PARALLELISM_DEFAULT",
		"jobmanager.rpc.address":   "jobs.example|" + file + ":3",
		"jobmanager.rpc.port":      "7000|" + file + ":4",
		"jobmanager.rpc.bind-port": "(jobmanager.rpc.port)|default",
		"heartbeat.interval":       "10 s|default",
	} {
		if got[key] != want {
			t.Errorf("%s: %q, want %q", key, got[key], want)
		}
	}
}

func TestConfigAsJSON(t *testing.T) {
	c, file := configured(t)
	if code := c.run([]string{"config", "-o", "json", "-D", "client.timeout=7s"}); code != 0 || c.stderr.Len() > 0 {
		t.Fatalf("exit code %d\n%s", code, c.stderr)
	}
	var document struct{ Configuration []entryJSON }
	if err := json.Unmarshal(c.stdout.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	got := map[string]entryJSON{}
	for _, e := range document.Configuration {
		got[e.Key] = e
	}
	for key, want := range map[string]sourceJSON{
		"client.timeout":      {Kind: "option"},
		"parallelism.default": {Kind: "environment", Variable: "WEIR_PARALLELISM_DEFAULT"},
		"jobmanager.rpc.port": {Kind: "file", File: file, Line: 4},
		"heartbeat.interval":  {Kind: "default"},
		"pipeline.name":       {Kind: "default"},
	} {
		e, none := got[key], key == "pipeline.name"
		if e.Source != want || (e.Value == nil) != none {
			t.Errorf("%s: %+v, want %+v", key, e, want)
		}
	}
	c.expect(t, 0, `{
  "key": "jobmanager.rpc.bind-port",
  "value": null,
  "source": {
    "kind": "default"
  },
  "default": "(jobmanager.rpc.port)",
  "allowed": "a whole number from 0 to 65535",
  "meaning": "The port that the JobManager listens on, if it differs from the one at which it is reached.",
  "read-by": [
    "JobManager"
  ],
  "variable": "WEIR_JOBMANAGER_RPC_BIND_PORT"
}
`, "", "config", "-o", "json", "jobmanager.rpc.bind-port")
}

func TestConfigOfOneKey(t *testing.T) {
	c, _ := configured(t)
	c.expect(t, 0, `parallelism.default: 3
  source      environment variable WEIR_PARALLELISM_DEFAULT
  default     1
  allowed     a whole number from 1 to 65536
  meaning     The parallelism of operators for which neither the job nor the command line says one.
  read by     weir, job
  variable    WEIR_PARALLELISM_DEFAULT
`, "", "config", "parallelism.default")
	if code := c.run([]string{"config", "security.ssl.enabled"}); code != 0 || !strings.HasPrefix(c.stdout.String()[c.stdout.Len()-1:], "\n") ||
		!strings.Contains(c.stdout.String(), "security.ssl.internal.enabled: false\n") ||
		c.stderr.String() != "Warning: \"security.ssl.enabled\" is a deprecated name of \"security.ssl.internal.enabled\"\n" {
		t.Errorf("a deprecated name: exit code %d\n%s%s", code, c.stdout, c.stderr)
	}
	for key, want := range map[string]string{
		"paralelism.default": `Unknown key "paralelism.default": did you mean "parallelism.default"?`,
		"nonsense":           `Unknown key "nonsense": docs/configuration.md lists all keys`,
		"state.backend.type": `Key "state.backend.type" has no effect: this version of Weir keeps state in memory only`,
	} {
		c.expect(t, 1, want+pointer, "", "config", key)
	}
	c.expect(t, 1, "Unexpected argument: b"+pointer, "", "config", "a", "b")
}

func TestConfigReportsWhatIsWrong(t *testing.T) {
	c, _ := configured(t)
	t.Setenv("WEIR_PARALLELISM_DEFAULT", "many")
	want := `environment variable WEIR_PARALLELISM_DEFAULT: key "parallelism.default" has the bad value "many": want a whole number from 1 to 65536`
	c.expect(t, 1, "", exception(want), "config")
	c.expect(t, 1, "", `{"error":{"message":`+quoteJSON(t, want)+`,"exit-code":1}}`+"\n", "config", "-o", "json")
	t.Setenv("WEIR_PARALLELISM_DEFAULT", "")
	t.Setenv("WEIR_PARALELISM_DEFAULT", "4")
	if code := c.run([]string{"config", "parallelism.default"}); code != 0 || !strings.HasSuffix(c.stderr.String(),
		"Warning: environment variable WEIR_PARALELISM_DEFAULT has no effect, since no key has this variable: did you mean WEIR_PARALLELISM_DEFAULT?\n") {
		t.Errorf("exit code %d\n%s", code, c.stderr)
	}
}

func quoteJSON(t *testing.T, text string) string {
	t.Helper()
	encoded, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

// A secret is masked in both forms, and a value cannot pass for a column or a line.
func TestConfigPrintsValuesSafely(t *testing.T) {
	key := config.Key{Name: "reporter.password", Default: "(none)"}
	e := config.Entry{Key: key.Name, Value: "hunter2", IsSet: true}
	if text := describeKey(e, key); strings.Contains(text, "hunter2") || !strings.Contains(text, config.Masked) {
		t.Errorf("the text is\n%s", text)
	}
	if j := entryToJSON(e, key); j.Value == nil || *j.Value != config.Masked {
		t.Errorf("the JSON is %+v", j)
	}
	if got := shownValue(config.Entry{Key: "env.log.dir", Value: "/a\tb\nc\x1b[1m", IsSet: true}, config.Key{}); got != "/a b c [1m" {
		t.Errorf("the value is %q", got)
	}
}

// The environment is there for what talks to a cluster, too.
func TestTheEnvironmentNamesTheJobManager(t *testing.T) {
	c := newCommand(t)
	j := new(jobManager).serve(t)
	_, port, _ := strings.Cut(j.address, ":")
	t.Setenv("WEIR_JOBMANAGER_RPC_ADDRESS", "127.0.0.1")
	t.Setenv("WEIR_JOBMANAGER_RPC_PORT", port)
	c.expect(t, 0, waiting+"No running jobs.\nNo scheduled jobs.\n", "", "list")
	if _, err := os.Stat("weir.yaml"); err == nil {
		t.Error("there is a file")
	}
}
