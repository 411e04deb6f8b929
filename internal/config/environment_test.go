package config_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/config"
)

// TestEveryNameHasItsOwnVariable is C5, and each variable sets its key.
func TestEveryNameHasItsOwnVariable(t *testing.T) {
	seen := map[string]string{}
	for _, k := range config.Keys() {
		for _, name := range append([]string{k.Name}, k.Deprecated...) {
			variable := config.Variable(name)
			if other, ok := seen[variable]; ok {
				t.Errorf("%s and %s have the variable %s", name, other, variable)
			}
			seen[variable] = name
			if strings.Trim(variable, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" || !strings.HasPrefix(variable, "WEIR_") {
				t.Errorf("the variable of %s is %s", name, variable)
			}
		}
	}
	for name, all := range samples {
		for _, s := range all {
			c, warnings, err := config.Inputs{Environment: []string{config.Variable(name) + "=" + s.text}}.Load()
			if err != nil || len(warnings) > 0 {
				t.Errorf("%s: %q: %v, warnings %v", name, s.text, err, warnings)
				continue
			}
			got := entry(t, c, name)
			if got.Value != s.want || got.Source != (config.Source{Kind: config.FromEnvironment, Name: config.Variable(name)}) {
				t.Errorf("%s: %q is read as %q of %v", name, s.text, got.Value, got.Source)
			}
		}
	}
	for _, taken := range []string{"WEIR_CONF_DIR", "WEIR_TEST_DATA", "WEIR_REQUIRE_RACE", "WEIR_MODE", "WEIR_PLAN_FD", "WEIR_PLAN_RUN", "WEIR_SESSION_FD", "WEIR_INPUT_FD"} {
		if name, ok := seen[taken]; ok {
			t.Errorf("%s, which is something else, is the variable of %s", taken, name)
		}
	}
}

func TestVariablesAreWrittenAsDocumented(t *testing.T) {
	for key, want := range map[string]string{
		"taskmanager.numberOfTaskSlots": "WEIR_TASKMANAGER_NUMBEROFTASKSLOTS",
		"jobmanager.bind-host":          "WEIR_JOBMANAGER_BIND_HOST",
		"io.tmp.dirs":                   "WEIR_IO_TMP_DIRS",
	} {
		if got := config.Variable(key); got != want {
			t.Errorf("the variable of %s is %s, want %s", key, got, want)
		}
	}
}

// TestMessagesAboutVariables: what is wrong is said of the variable, by name.
func TestMessagesAboutVariables(t *testing.T) {
	for variable, want := range map[string]string{
		"WEIR_JOBMANAGER_RPC_PORT=high":                            `environment variable WEIR_JOBMANAGER_RPC_PORT: key "jobmanager.rpc.port" has the bad value "high": want a whole number from 0 to 65535`,
		"WEIR_JOBMANAGER_RPC_PORT=tcp://10.0.0.7:6123":             `environment variable WEIR_JOBMANAGER_RPC_PORT: key "jobmanager.rpc.port" has the bad value "tcp://10.0.0.7:6123": want a whole number from 0 to 65535; Kubernetes sets such variables for a Service of that name: rename it, or set enableServiceLinks to false`,
		"WEIR_HEARTBEAT_INTERVAL=50 s":                             `environment variable WEIR_HEARTBEAT_INTERVAL: heartbeat.interval 50 s (environment variable WEIR_HEARTBEAT_INTERVAL) must be less than heartbeat.timeout 50 s (default)`,
		"WEIR_CLUSTER_EVENLY_SPREAD_OUT_SLOTS=maybe":               `environment variable WEIR_CLUSTER_EVENLY_SPREAD_OUT_SLOTS: key "cluster.evenly-spread-out-slots" has the bad value "maybe": want true or false`,
		"WEIR_JOBMANAGER_RPC_PORT=1\x00WEIR_PARALLELISM_DEFAULT=x": `environment variable WEIR_PARALLELISM_DEFAULT: key "parallelism.default" has the bad value "x": want a whole number from 1 to 65536`,
	} {
		c, _, err := config.Inputs{Environment: strings.Split(variable, "\x00")}.Load()
		if err == nil || err.Error() != want || c != nil || !errors.Is(err, config.ErrBadValue) {
			t.Errorf("%s\n got %v\nwant %s", variable, err, want)
		}
	}
	for variable, want := range map[string]string{
		"WEIR_JOBMANAGER_RPC_PROT=1":                          "environment variable WEIR_JOBMANAGER_RPC_PROT has no effect, since no key has this variable: did you mean WEIR_JOBMANAGER_RPC_PORT?",
		"WEIR_taskmanager.numberOfTaskSlots=1":                "environment variable WEIR_taskmanager.numberOfTaskSlots has no effect, since no key has this variable: did you mean WEIR_TASKMANAGER_NUMBEROFTASKSLOTS?",
		"WEIR_JOBMANAGER_PORT=6123":                           "environment variable WEIR_JOBMANAGER_PORT has no effect, since no key has this variable: docs/configuration.md says which ones there are",
		"WEIR_HOME=/opt":                                      "environment variable WEIR_HOME has no effect, since no key has this variable: docs/configuration.md says which ones there are",
		"WEIR_=1":                                             "environment variable WEIR_ has no effect, since no key has this variable: docs/configuration.md says which ones there are",
		"WEIR_A\nB=1":                                         `environment variable "WEIR_A\nB" has no effect, since no key has this variable: docs/configuration.md says which ones there are`,
		"WEIR_STATE_BACKEND_TYPE=rocksdb":                     "environment variable WEIR_STATE_BACKEND_TYPE has no effect: this version of Weir keeps state in memory only",
		"WEIR_PIPELINE_OBJECT_REUSE=true":                     "environment variable WEIR_PIPELINE_OBJECT_REUSE has no effect: Weir passes batches of values and has no switch for copying",
		"WEIR_TASKMANAGER_MEMORY_SIZE=1g":                     `environment variable WEIR_TASKMANAGER_MEMORY_SIZE: key "taskmanager.memory.size" is deprecated: write "taskmanager.memory.managed.size"`,
		"WEIR_PARALLELISM_DEFAULT=":                           "",
		"WEIR_PARALLELISM_DEFAULT= ":                          "",
		"WEIR_UNKNOWN=":                                       "",
		"weir_parallelism_default=9":                          "",
		"PARALLELISM_DEFAULT=9":                               "",
		"nonsense":                                            "",
		"":                                                    "",
		"=C:=C:\\":                                            "",
		"WEIR_SERVICE_HOST=10.0.0.7":                          "",
		"WEIR_JOBMANAGER_SERVICE_PORT_RPC=6123":               "",
		"WEIR_JOBMANAGER_PORT=tcp://10.0.0.7:6123":            "",
		"WEIR_JOBMANAGER_PORT_6123_TCP=tcp://10.0.0.7:6123":   "",
		"WEIR_JOBMANAGER_PORT_6123_TCP_ADDR=10.0.0.7":         "",
		"WEIR_JOBMANAGER_PORT_6123_TCP_PROTO=tcp":             "",
		"WEIR_PARALLELISM_DEFAULT=4\x00WEIR_HEARTBEAT_A=9999": "environment variable WEIR_HEARTBEAT_A has no effect, since no key has this variable: docs/configuration.md says which ones there are",
	} {
		_, warnings, err := config.Inputs{Environment: strings.Split(variable, "\x00")}.Load()
		if err != nil || warnings.String() != want {
			t.Errorf("%q\n got %v, %v\nwant %s", variable, warnings, err, want)
		}
	}
}

// Two old names of one key contradict each other; the present one wins over both.
func TestTwoNamesOfOneKey(t *testing.T) {
	old, present := "WEIR_TASKMANAGER_MEMORY_JVM_OVERHEAD_MIN=1m", "WEIR_TASKMANAGER_MEMORY_OVERHEAD_MIN=2m"
	for _, environment := range [][]string{{old, present}, {present, old}} {
		c, warnings, err := config.Inputs{Environment: environment}.Load()
		if err != nil || entry(t, c, "taskmanager.memory.overhead.min").Value != "2 mb" || len(warnings) != 2 {
			t.Errorf("%v: %v, %v, %v", environment, c, warnings, err)
		}
	}
	// The first of a variable that is there twice is the one that getenv finds.
	c, _, err := config.Inputs{Environment: []string{"WEIR_PARALLELISM_DEFAULT=3", "WEIR_PARALLELISM_DEFAULT=4"}}.Load()
	if err != nil || config.DefaultParallelism.Get(c) != 3 {
		t.Errorf("%v, %v", c, err)
	}
}

// TestPrecedence: for any keys set in any of the layers, the highest layer wins
// and is named as the source.
func TestPrecedence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inFile, inEnvironment, inOverrides, inCode := drawSamples(t), drawSamples(t), drawSamples(t), drawSamples(t)
		var file strings.Builder
		var i config.Inputs
		for name, s := range inFile {
			file.WriteString(name + ": \"" + s.text + "\"\n")
		}
		for name, s := range inEnvironment {
			i.Environment = append(i.Environment, config.Variable(name)+"="+s.text)
		}
		for name, s := range inOverrides {
			i.Overrides = append(i.Overrides, name+"="+s.text)
		}
		i.File = fileOf(t, file.String())
		c, warnings, err := i.Load()
		if err != nil || len(warnings) > 0 {
			t.Fatal(err, warnings)
		}
		code := map[string]string{}
		for name, s := range inCode {
			code[name] = s.text
		}
		above, _, err := c.With("code", code)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range above.Entries() {
			want, kind := sample{}, config.FromDefault
			for _, l := range []struct {
				set  map[string]sample
				kind config.SourceKind
			}{
				{inCode, config.FromValues},
				{inOverrides, config.FromOverride},
				{inEnvironment, config.FromEnvironment},
				{inFile, config.FromFile},
			} {
				if s, ok := l.set[e.Key]; ok && kind == config.FromDefault {
					want, kind = s, l.kind
				}
			}
			if e.Source.Kind != kind || kind != config.FromDefault && e.Value != want.want {
				t.Fatalf("%s is %q from %v, want %q from %v", e.Key, e.Value, e.Source, want.want, kind)
			}
		}
	})
}

// TestAllLayersReportTheirMistakes is C2 over three layers.
func TestAllLayersReportTheirMistakes(t *testing.T) {
	file := writeFile(t, "parallelism.default: many\n")
	_, _, err := config.Inputs{
		File: file, Environment: []string{"WEIR_CLIENT_TIMEOUT=soon"}, Overrides: []string{"jobmanager.rpc.port=high"},
	}.Load()
	var problems config.Problems
	if !errors.As(err, &problems) || len(problems) != 3 {
		t.Fatalf("%v, want three problems", err)
	}
	for i, want := range []config.Source{
		{Kind: config.FromFile, Name: file, Line: 1}, {Kind: config.FromEnvironment, Name: "WEIR_CLIENT_TIMEOUT"}, {Kind: config.FromOverride},
	} {
		if problems[i].Source != want {
			t.Errorf("problem %d is of %v, want %v", i, problems[i].Source, want)
		}
	}
}

func TestFind(t *testing.T) {
	for name, want := range map[string]string{"parallelism.default": "parallelism.default", "security.ssl.enabled": "security.ssl.internal.enabled"} {
		if k, err := config.Find(name); err != nil || k.Name != want {
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
	for name, want := range map[string]string{
		"paralelism.default": `unknown key "paralelism.default": did you mean "parallelism.default"?`,
		"state.backend.type": `key "state.backend.type" has no effect: this version of Weir keeps state in memory only`,
		"x":                  `unknown key "x": docs/configuration.md lists all keys`,
	} {
		if _, err := config.Find(name); !errors.Is(err, config.ErrUnknownKey) || err.Error() != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}

func TestSensitive(t *testing.T) {
	for name, want := range map[string]bool{
		"s3.secret-key": true, "security.ssl.internal.key-password": true, "metrics.reporter.x.API-Key": true, "rest.auth.token": true,
		"security.credential.file": false, "security.ssl.key-file": false, "parallelism.default": false,
	} {
		if got := config.Sensitive(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	secret := config.Entry{Key: "a.password", Value: "hunter2"}
	if secret.Shown() != config.Masked || (config.Entry{Key: "a.password"}).Shown() != "" || (config.Entry{Key: "a", Value: "b"}).Shown() != "b" {
		t.Error("an entry shows the wrong thing")
	}
}

// FuzzEnvironment: no variable makes the reader panic or print without bound; a
// variable sets its key or nothing.
func FuzzEnvironment(f *testing.F) {
	for _, seed := range []string{
		"WEIR_PARALLELISM_DEFAULT=4", "WEIR_PARALLELISM_DEFAULT=x", "WEIR_=", "WEIR_A=b", "WEIR_\xff\x00=1", "=", "a", "WEIR_STATE_=1",
		"WEIR_STATE_BACKEND=1", "WEIR_SERVICE_HOST=x", "WEIR_JOBMANAGER_PORT=tcp://x", "WEIR_JOBMANAGER_RPC_PORT=tcp://x",
		"WEIR_IO_TMP_DIRS=/a,'/b;c'", "WEIR_PIPELINE_NAME=" + strings.Repeat("é", 200), "WEIR_" + strings.Repeat("A_", 5000) + "=1",
	} {
		f.Add(seed)
	}
	byVariable := map[string]string{}
	for _, k := range config.Keys() {
		for _, name := range append([]string{k.Name}, k.Deprecated...) {
			byVariable[config.Variable(name)] = k.Name
		}
	}
	f.Fuzz(func(t *testing.T, entry string) {
		c, warnings, err := config.Inputs{Environment: []string{entry}}.Load()
		name, value, _ := strings.Cut(entry, "=")
		key, known := byVariable[name]
		for _, w := range warnings {
			if w.Source.Kind != config.FromEnvironment || len(w.String()) > 800 || strings.ContainsAny(w.String(), "\n\x00\x1b") {
				t.Errorf("warning %q", w)
			}
		}
		if err != nil {
			if !known || len(err.Error()) > 2000 || !strings.Contains(err.Error(), "environment variable "+name) {
				t.Errorf("%q: error %v", entry, err)
			}
			return
		}
		want := 0
		if known && strings.TrimSpace(value) != "" {
			want = 1
		}
		set := slices.Collect(maps.Keys(c.Map()))
		if len(set) != want || want == 1 && set[0] != key {
			t.Errorf("%q sets %v, want %q", entry, set, key)
		}
	})
}
