package config_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/memory"
)

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
		"execution.checkpointing.unaligned":        "has no effect: this version of Weir aligns barriers in every case",
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
	_, warnings, err := config.Parse("x", []byte("pipeline.serialization-config: [{a: {type: kryo}}]"), nil)
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
		"taskmanager.network.memory.fraction: 0.2": {
			"taskmanager.memory.network.fraction", "0.2",
			`file x line 1: key "taskmanager.network.memory.fraction" is deprecated: write "taskmanager.memory.network.fraction"`,
		},
		"cluster.evenly-spread-out-slots: TRUE":  {"taskmanager.load-balance.mode", "SLOTS", `file x line 1: key "cluster.evenly-spread-out-slots" is deprecated: write "taskmanager.load-balance.mode"`},
		"cluster.evenly-spread-out-slots: false": {"taskmanager.load-balance.mode", "NONE", `file x line 1: key "cluster.evenly-spread-out-slots" is deprecated: write "taskmanager.load-balance.mode"`},
		"execution.buffer-timeout: -1":           {"execution.buffer-timeout.interval", "-1", `file x line 1: key "execution.buffer-timeout" is deprecated: write "execution.buffer-timeout.interval"`},
		"taskmanager.memory.jvm-overhead.min: 1m\ntaskmanager.memory.overhead.min: 2m": {
			"taskmanager.memory.overhead.min", "2 mb",
			"file x line 1: key \"taskmanager.memory.jvm-overhead.min\" is deprecated: write \"taskmanager.memory.overhead.min\"\n" +
				"file x line 1: key \"taskmanager.memory.jvm-overhead.min\" has no effect: \"taskmanager.memory.overhead.min\" is set as well",
		},
		"taskmanager.memory.overhead.min: 2m\ntaskmanager.memory.jvm-overhead.min: 1m": {
			"taskmanager.memory.overhead.min", "2 mb",
			"file x line 2: key \"taskmanager.memory.jvm-overhead.min\" is deprecated: write \"taskmanager.memory.overhead.min\"\n" +
				"file x line 2: key \"taskmanager.memory.jvm-overhead.min\" has no effect: \"taskmanager.memory.overhead.min\" is set as well",
		},
	} {
		got, warnings, err := config.Parse("x", []byte(text), nil)
		if err != nil || !maps.Equal(got.Map(), map[string]string{c.key: c.value}) || warnings.String() != c.warnings {
			t.Errorf("%s: %v, %v\nwarnings %s\nwant     %s", text, got, err, warnings, c.warnings)
		}
	}
	c, _, err := config.Parse("x", []byte("taskmanager.memory.overhead.min: 2m"), []string{"taskmanager.memory.jvm-overhead.min=1m"})
	if err != nil || config.OverheadMin.Get(c) != memory.MiB {
		t.Errorf("-D with a deprecated name: %v, %v", c, err)
	}
	if _, _, err := config.Parse("x", []byte("cluster.evenly-spread-out-slots: [true]"), nil); err == nil {
		t.Error("a list is accepted where a deprecated name wants true or false")
	}
}
