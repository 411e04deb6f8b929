package config

import (
	"maps"
	"slices"
	"strings"
)

// Config is the set of values that are not defaults, each with its source. It
// is immutable and may be used concurrently. Create one with [Inputs.Load],
// [Parse], [FromMap], [Config.Decode] or [Default].
type Config struct {
	values map[string]value
}

// value is a value that has passed its option's check.
type value struct {
	value  any
	text   string
	source Source
}

// Default returns a configuration in which every key has its default.
func Default() *Config { return &Config{} }

// Inputs are the places that a configuration is read from, the lowest first.
type Inputs struct {
	// File is the path of the YAML file; without it there is none.
	File string
	// Environment has variables as name=value, as [os.Environ] returns them.
	// Those whose names begin with WEIR_ override keys, see [Variable]; one that
	// no key has is a warning, others are not looked at.
	Environment []string
	// Overrides are of the form key=value. A later one wins over an earlier one.
	Overrides []string
}

// Load reads all inputs. All mistakes of all of them are in the error, which is
// [Problems]; the warnings are complete also when there is an error.
func (i Inputs) Load() (*Config, Warnings, error) {
	var settings []setting
	var problems Problems
	if i.File != "" {
		settings, problems = readSettings(i.File)
	}
	b := newBuilder(nil, problems)
	b.add(layer{kind: FromFile, source: i.File, settings: settings})
	b.addEnvironment(i.Environment)
	b.add(layer{kind: FromOverride, overrides: i.Overrides})
	return b.build()
}

// readSettings reads a YAML file as far as it can be read.
func readSettings(path string) ([]setting, Problems) {
	data, err := readFile(path)
	if err != nil {
		return nil, Problems{{Source: Source{Kind: FromFile, Name: path}, Err: err}}
	}
	return flattenYAML(path, data)
}

// Load is [Inputs.Load] without an environment.
func Load(path string, overrides []string) (*Config, Warnings, error) {
	return Inputs{File: path, Overrides: overrides}.Load()
}

// Parse is [Load] for a file that was read already; name is the file's in
// messages and in [Entry.Source].
func Parse(name string, data []byte, overrides []string) (*Config, Warnings, error) {
	settings, problems := flattenYAML(name, data)
	b := newBuilder(nil, problems)
	b.add(layer{kind: FromFile, source: name, settings: settings})
	b.add(layer{kind: FromOverride, overrides: overrides})
	return b.build()
}

// FromMap returns the configuration that sets the given keys to the given
// values in their text form; source names the map in messages and in
// [Entry.Source].
func FromMap(source string, values map[string]string) (*Config, Warnings, error) {
	return Default().With(source, values)
}

// With returns a configuration in which the given values are above those of c.
// With no values it is c.
func (c *Config) With(source string, values map[string]string) (*Config, Warnings, error) {
	return c.above(mapLayer(source, values))
}

// Decode is [Config.With] for values that another process of the cluster has
// checked and sent, perhaps one of another version: a key that is unknown here
// is a warning and not a mistake.
func (c *Config) Decode(source string, values map[string]string) (*Config, Warnings, error) {
	received := mapLayer(source, values)
	received.lenient = true
	return c.above(received)
}

// above returns a configuration with a layer on top of c.
func (c *Config) above(l layer) (*Config, Warnings, error) {
	b := newBuilder(c.values, nil)
	b.add(l)
	return b.build()
}

func mapLayer(source string, values map[string]string) layer {
	l := layer{source: source}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		l.settings = append(l.settings, setting{key: name, text: values[name]})
	}
	return l
}

// Map returns the values that were set, by key, as text that [FromMap] reads.
// Defaults are not in it.
func (c *Config) Map() map[string]string {
	m := make(map[string]string, len(c.values))
	for name, v := range c.values {
		m[name] = v.text
	}
	return m
}

// JobSettings returns the values of [Config.Map] that are set for each job and
// travel with it to the cluster. ignored are overrides that the sender of a
// job can set in vain: they are read by daemons only.
func (c *Config) JobSettings() (settings map[string]string, ignored []Entry) {
	settings = map[string]string{}
	for _, e := range c.Entries() {
		if !e.IsSet {
			continue
		}
		scope := keys().names[e.Key].Scope
		if scope&Job != 0 {
			settings[e.Key] = e.Value
		}
		if e.Source.Kind == FromOverride && scope&(Job|Client) == 0 {
			ignored = append(ignored, e)
		}
	}
	return settings, ignored
}

// Entry is a key with its value.
type Entry struct {
	Key string
	// Value is the value as text. For a key that is not set and has no default it
	// is empty.
	Value string
	// Source is where the value came from.
	Source Source
	// IsSet is false for defaults.
	IsSet bool
}

// Shown returns the value as it may be printed: [Masked] in place of a secret.
func (e Entry) Shown() string {
	if e.Value != "" && Sensitive(e.Key) {
		return Masked
	}
	return e.Value
}

// Entries returns all keys with their values, sorted by key.
func (c *Config) Entries() []Entry {
	entries := make([]Entry, 0, len(keys().sorted))
	for _, k := range keys().sorted {
		v, isSet := c.values[k.Name]
		e := Entry{Key: k.Name, Value: v.text, Source: c.source(k.Name), IsSet: isSet}
		if !isSet && k.hasDefault {
			e.Value = k.Default
		}
		entries = append(entries, e)
	}
	return entries
}

// String returns the values that were set, one "key: value (source)" a line.
func (c *Config) String() string {
	var b strings.Builder
	for _, e := range c.Entries() {
		if e.IsSet {
			b.WriteString(e.Key + ": " + e.Shown() + " (" + e.Source.String() + ")\n")
		}
	}
	return b.String()
}

func (c *Config) source(name string) Source {
	if v, ok := c.values[name]; ok {
		return v.source
	}
	return Source{Kind: FromDefault}
}
