package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Scope says who reads a key. It is a set.
type Scope uint8

const (
	// JobManager is the JobManager daemon.
	JobManager Scope = 1 << iota
	// TaskManager is the TaskManager daemon, for itself and its workers.
	TaskManager
	// Client is the weir command line, and anyone else who talks to a JobManager.
	Client
	// Job is a single job: the key may be set for it, and travels with it.
	Job
)

// String lists the readers as the reference names them.
func (s Scope) String() string {
	var names []string
	for i, name := range []string{"JobManager", "TaskManager", "weir", "job"} {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// Key describes a key of the configuration, apart from the type of its values.
type Key struct {
	Name string
	// Default is the default as text, or says in parentheses what happens when
	// the key is not set.
	Default string
	// Allowed describes the values that are allowed.
	Allowed string
	// Doc says what the key means, in one or two sentences.
	Doc string
	// Deprecated are Flink's older names of the key, which are read as well.
	Deprecated []string
	// Scope is who reads it.
	Scope Scope
	// WeirOnly says that Flink has no such key.
	WeirOnly bool
	// Area is the heading that the reference lists the key under.
	Area string
}

// key is a Key with what the loader needs.
type key struct {
	Key
	hasDefault bool
	// parse checks a setting and returns the value and its text in the form that
	// is written.
	parse func(s setting) (value any, text string, err error)
	// renamed translates values of deprecated names whose values changed, too.
	renamed map[string]func(text string) (string, error)
}

// Option is a key whose values are of type T. The options are the variables of
// this package; their methods may be called concurrently.
type Option[T any] struct {
	key      *key
	kind     kind[T]
	fallback T
}

// Key returns the name of the key.
func (o Option[T]) Key() string { return o.key.Name }

// Get returns the value that was set, or else the default, or else, for a key
// that has none, the zero value. It is the caller's own.
func (o Option[T]) Get(c *Config) T {
	value := o.fallback
	if set, ok := c.values[o.key.Name]; ok {
		value = set.value.(T) // Checked when it was loaded (C1).
	}
	if o.kind.clone != nil {
		value = o.kind.clone(value)
	}
	return value
}

// IsSet reports whether the key was set anywhere: by a file, an override, or
// code.
func (o Option[T]) IsSet(c *Config) bool {
	_, ok := c.values[o.key.Name]
	return ok
}

// Source returns where the value comes from.
func (o Option[T]) Source(c *Config) Source { return c.source(o.key.Name) }

// area is a group of keys under one heading of the reference.
type area struct {
	title, intro string
	keys         []*key
}

// areas are all areas in the order of the reference.
var areas = []*area{
	clusterArea, jobManagerArea, taskManagerArea, memoryArea, networkArea, executionArea, checkpointArea, restartArea, securityArea, filesArea,
}

// detail changes a key while it is defined.
type detail func(*key)

// weirOnly marks a key that Flink does not have.
func weirOnly(k *key) { k.WeirOnly = true }

// deprecated gives a key older names.
func deprecated(names ...string) detail {
	return func(k *key) { k.Deprecated = append(k.Deprecated, names...) }
}

// replaces gives a key an older name whose values have to be translated.
func replaces(name string, translate func(text string) (string, error)) detail {
	return func(k *key) {
		k.Deprecated = append(k.Deprecated, name)
		k.renamed[name] = translate
	}
}

// define adds a key with a default to the area.
func (a *area) define[T any](name string, values kind[T], fallback T, scope Scope, doc string, details ...detail) Option[T] {
	o := a.defineUnset(name, values, values.format(fallback), scope, doc, details...)
	o.fallback = fallback
	o.key.hasDefault = true
	return o
}

// defineUnset adds a key without a default; unset says what happens when it is
// not set.
func (a *area) defineUnset[T any](name string, values kind[T], unset string, scope Scope, doc string, details ...detail) Option[T] {
	k := &key{
		Key:     Key{Name: name, Default: unset, Allowed: values.allowed, Doc: doc, Scope: scope, Area: a.title},
		renamed: map[string]func(string) (string, error){},
		parse:   func(s setting) (any, string, error) { return parseSetting(values, s) },
	}
	for _, d := range details {
		d(k)
	}
	a.keys = append(a.keys, k)
	return Option[T]{key: k, kind: values}
}

func parseSetting[T any](values kind[T], s setting) (any, string, error) {
	value, err := values.read(s)
	if err != nil {
		reason := ""
		if !errors.Is(err, errNotAllowed) {
			reason = " (" + err.Error() + ")"
		}
		return nil, "", fmt.Errorf("want %s%s", values.allowed, reason)
	}
	return value, values.format(value), nil
}

func (k kind[T]) read(s setting) (value T, err error) {
	if s.irregular {
		return value, errors.New("it is a list of lists or of maps")
	}
	if s.elements != nil {
		if k.list == nil {
			return value, errors.New("a list is not allowed here")
		}
		return k.list(s.elements)
	}
	text := strings.TrimSpace(s.text)
	if text == "" {
		return value, errors.New("it is empty")
	}
	return k.parse(text)
}

// registry finds keys by their names.
type registry struct {
	// names has every key by its name, deprecated by each of its older names.
	names, deprecated map[string]*key
	// sorted has every key once, by name.
	sorted []*key
}

// keys returns the registry of all keys. It is built once, after the variables
// of the package have been.
var keys = sync.OnceValue(func() *registry {
	r := &registry{names: map[string]*key{}, deprecated: map[string]*key{}}
	for _, a := range areas {
		for _, k := range a.keys {
			r.names[k.Name] = k
			r.sorted = append(r.sorted, k)
			for _, old := range k.Deprecated {
				r.deprecated[old] = k
			}
		}
	}
	slices.SortFunc(r.sorted, func(a, b *key) int { return cmp.Compare(a.Name, b.Name) })
	return r
})

// Keys describes all keys, sorted by name.
func Keys() []Key {
	all := make([]Key, 0, len(keys().sorted))
	for _, k := range keys().sorted {
		described := k.Key
		described.Deprecated = slices.Clone(k.Deprecated)
		all = append(all, described)
	}
	return all
}

// Find describes the key of that name, or of that deprecated name. The error
// wraps [ErrUnknownKey] and says which key it may have been, or why a key of
// Flink has no effect in Weir.
func Find(name string) (Key, error) {
	k, ok := keys().names[name]
	if !ok {
		k, ok = keys().deprecated[name]
	}
	if ok {
		found := k.Key
		found.Deprecated = slices.Clone(k.Deprecated)
		return found, nil
	}
	if reason := flinkOnly(name); reason != "" {
		return Key{}, markedf(ErrUnknownKey, "key %s has no effect: %s", quoted(name), reason)
	}
	return Key{}, markedf(ErrUnknownKey, "unknown key %s%s", quoted(name), suggestion(name))
}
