package config_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/config"
)

// drawSamples draws values for some keys that do not contradict each other.
func drawSamples(t *rapid.T) map[string]sample {
	names := rapid.SliceOfNDistinct(rapid.SampledFrom(slices.Sorted(maps.Keys(samples))), 0, 20, rapid.ID[string]).Draw(t, "keys")
	drawn := map[string]sample{}
	for _, name := range names {
		// These have rules with others.
		if strings.HasPrefix(name, "heartbeat.") || strings.HasPrefix(name, "cluster.registration.") {
			continue
		}
		drawn[name] = rapid.SampledFrom(samples[name]).Draw(t, name)
	}
	return drawn
}

// TestMapRoundTrip is C3: what Map returns, FromMap and Decode read as the same
// values.
func TestMapRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		written, want := map[string]string{}, map[string]string{}
		for name, s := range drawSamples(t) {
			written[name], want[name] = s.text, s.want
		}
		c, _, err := config.FromMap("test", written)
		if err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(c.Map(), want) {
			t.Fatalf("Map() = %v, want %v", c.Map(), want)
		}
		again, _, err := config.FromMap("again", c.Map())
		if err != nil || !maps.Equal(again.Map(), want) {
			t.Fatalf("FromMap(Map()) = %v, %v, want %v", again, err, want)
		}
		decoded, warnings, err := config.Default().Decode("again", c.Map())
		if err != nil || len(warnings) > 0 || !maps.Equal(decoded.Map(), want) {
			t.Fatalf("Decode(Map()) = %v, %v, want %v", decoded, err, want)
		}
	})
}

// TestAnyNesting: however the keys of a file are nested, and in whatever order,
// the same values come out as from a map.
func TestAnyNesting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		root, want := map[string]any{}, map[string]string{}
		for name, s := range drawSamples(t) {
			want[name] = s.want
			nest(t, root, name, s.text)
		}
		data, err := yaml.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		c, warnings, err := config.Parse("x", data, nil)
		if err != nil || len(warnings) > 0 || !maps.Equal(c.Map(), want) {
			t.Fatalf("%s\nis read as %v, %v, %v\nwant %v", data, c, warnings, err, want)
		}
	})
}

// nest puts a value into the tree under its key, cut into nested parts at
// random.
func nest(t *rapid.T, node map[string]any, key, value string) {
	for from := 0; ; {
		dot := strings.IndexByte(key[from:], '.')
		if dot < 0 {
			node[key] = value
			return
		}
		if rapid.Bool().Draw(t, "cut") {
			head := key[:from+dot]
			child, ok := node[head].(map[string]any)
			if !ok {
				child = map[string]any{}
				node[head] = child
			}
			nest(t, child, key[from+dot+1:], value)
			return
		}
		from += dot + 1
	}
}

// FuzzParse: no file makes the reader panic or take long; an error is a list of
// problems that name their source; what is accepted survives a round trip.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "~", "- a", "a: b: c", "parallelism.default: 4", "taskmanager:\n  memory:\n    process.size: 1g\n",
		"x: &x {heartbeat.interval: 1}\n<<: *x", "a: &a {b: *a}", "io.tmp.dirs: [/a, '/b;c']", "---\n---\n",
		"execution.buffer-timeout: -1", "? [a]\n: b", "!!binary a: !!float b", "taskmanager.data.port: 1-2,3",
		"%YAML 1.1\n--- !!map\n{}", "a: |\n  b\n", "\xef\xbb\xbfparallelism.default: 4", "security.ssl.internal.enabled: true",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, warnings, err := config.Parse("x", data, nil)
		for _, w := range warnings {
			if w.Source.String() != "file x" && !strings.HasPrefix(w.Source.String(), "file x line ") || len(w.String()) > 1500 {
				t.Errorf("warning %q of %q", w, w.Source.Name)
			}
		}
		if err != nil {
			var problems config.Problems
			if !errors.As(err, &problems) || len(problems) == 0 || c != nil {
				t.Fatalf("error %v of type %T", err, err)
			}
			for _, p := range problems {
				if p.Source.String() != "file x" && !strings.HasPrefix(p.Source.String(), "file x line ") || len(p.Error()) > 2000 {
					t.Errorf("problem %q of %q", p, p.Source.Name)
				}
			}
			return
		}
		again, _, err := config.FromMap("again", c.Map())
		if err != nil || !maps.Equal(again.Map(), c.Map()) {
			t.Errorf("%q\nis read as %v, again as %v, %v", data, c, again, err)
		}
	})
}
