package config

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// layer is one source of settings.
type layer struct {
	kind     SourceKind
	source   string
	settings []setting
	// overrides are settings that are still of the form key=value. They may
	// repeat a key: the last one wins.
	overrides []string
	// lenient turns unknown keys into warnings.
	lenient bool
}

// sourceOf is where a setting of the layer was written.
func (l layer) sourceOf(s setting) Source {
	if s.variable != "" {
		return Source{Kind: l.kind, Name: s.variable}
	}
	return Source{Kind: l.kind, Name: l.source, Line: s.line}
}

// builder turns layers into values and collects what is wrong with them.
type builder struct {
	values   map[string]value
	warnings Warnings
	problems Problems
	// bad are the keys whose values are not known because of a problem.
	bad map[string]bool
	// unknown counts the unknown keys.
	unknown int
}

// suggested is how many unknown keys get a suggestion: to look for the nearest
// key takes a while, and nobody reads more messages at once.
const suggested = 100

// newBuilder returns a builder that puts layers above values; found are
// mistakes that are known already.
func newBuilder(below map[string]value, found Problems) *builder {
	b := &builder{values: map[string]value{}, problems: found, bad: map[string]bool{}}
	maps.Copy(b.values, below)
	return b
}

// build checks everything, and returns all mistakes: those that were found
// before and those of the layers.
func (b *builder) build() (*Config, Warnings, error) {
	c := &Config{values: b.values}
	b.check(c)
	if err := b.problems.errOrNil(); err != nil {
		return nil, b.warnings, err
	}
	return c, b.warnings, nil
}

// add puts one layer above the values.
func (b *builder) add(l layer) {
	settings := append(l.settings, b.overrides(l)...)
	set := map[string]setting{} // What this layer has set, by the key's present name.
	for _, s := range settings {
		source := l.sourceOf(s)
		k, current := keys().names[s.key]
		if !current {
			k = keys().deprecated[s.key]
		}
		switch {
		case k != nil:
			b.known(k, s, set, l)
		case b.useless(s, source):
		case s.null && isSection(s.key): // A section whose keys are all commented out.
		case l.lenient:
			b.warn(source, s.key, "has no effect: this version of Weir does not know it")
		default:
			hint := ""
			if b.unknown++; b.unknown <= suggested {
				hint = suggestion(s.key)
			}
			b.problem(source, s.key, ErrUnknownKey, "unknown key %q%s", clip(s.key), hint)
		}
	}
}

func (b *builder) warn(source Source, key, text string) {
	b.warnings = append(b.warnings, Warning{Source: source, Key: key, Text: text})
}

func (b *builder) problem(source Source, key string, kind error, format string, args ...any) {
	b.problems = append(b.problems, Problem{Source: source, Key: key, Err: markedf(kind, format, args...)})
}

// overrides splits the overrides of a layer.
func (b *builder) overrides(l layer) []setting {
	var settings []setting
	for _, o := range l.overrides {
		name, text, ok := strings.Cut(o, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			b.problem(Source{Kind: l.kind, Name: l.source}, name, ErrSyntax, "%q is not of the form key=value", clip(o))
			continue
		}
		settings = append(settings, setting{key: name, text: text})
	}
	return settings
}

// useless warns about a key that Flink knows and Weir has no use for, and
// reports whether it is one.
func (b *builder) useless(s setting, source Source) bool {
	reason := flinkOnly(s.key)
	if reason == "" {
		return false
	}
	b.warn(source, s.key, "has no effect: "+reason)
	return true
}

// known sets a key, under its present or a deprecated name. Within a layer the
// present name wins over a deprecated one.
func (b *builder) known(k *key, s setting, set map[string]setting, l layer) {
	source := l.sourceOf(s)
	if s.key != k.Name {
		b.warn(source, s.key, "is deprecated: write "+quoted(k.Name))
	}
	if earlier, ok := set[k.Name]; ok {
		switch {
		case earlier.key == k.Name && s.key != k.Name:
			b.warn(source, s.key, "has no effect: "+quoted(k.Name)+" is set as well")
			return
		case earlier.key != k.Name && s.key == k.Name:
			b.warn(l.sourceOf(earlier), earlier.key, "has no effect: "+quoted(k.Name)+" is set as well")
		case l.overrides == nil:
			b.problem(source, s.key, ErrDuplicate, "key %s is set twice: %s %s is another name of it", quoted(k.Name), quoted(earlier.key), earlier.place())
			return
		}
	}
	set[k.Name] = s
	b.set(k, s, source)
}

// place tells where in its layer a setting is.
func (s setting) place() string {
	if s.variable != "" {
		return "in " + s.variable
	}
	return "on line " + strconv.Itoa(s.line)
}

// set checks a value and puts it above what there is.
func (b *builder) set(k *key, s setting, source Source) {
	b.bad[k.Name] = false
	if s.null {
		b.bad[k.Name] = true
		b.problem(source, s.key, ErrBadValue, "key %s has no value: remove it, or write %s", quoted(s.key), k.Allowed)
		return
	}
	shown := s.text
	if s.elements != nil {
		shown = "[" + strings.Join(s.elements, ", ") + "]"
	}
	parsed, text, err := k.parseAs(s)
	switch {
	case err != nil && Sensitive(k.Name):
		// What is wrong with it may quote it as well.
		shown, err = Masked, errors.New("want "+k.Allowed)
	case err != nil && source.Kind == FromEnvironment && serviceLink.MatchString(s.text):
		err = fmt.Errorf("%w; Kubernetes sets such variables for a Service of that name: rename it, or set enableServiceLinks to false", err)
	}
	if err != nil {
		b.bad[k.Name] = true
		b.problem(source, s.key, ErrBadValue, "key %s has the bad value %q: %s", quoted(s.key), clip(shown), err)
		return
	}
	b.values[k.Name] = value{value: parsed, text: text, source: source}
}

// parseAs parses a setting under the name that it was written with.
func (k *key) parseAs(s setting) (any, string, error) {
	if translate, ok := k.renamed[s.key]; ok && s.elements == nil && !s.irregular {
		translated, err := translate(strings.TrimSpace(s.text))
		if err != nil {
			return nil, "", err
		}
		s.text = translated
	}
	return k.parse(s)
}

// check applies the checks that compare keys. A check of a key whose value is
// not known is left out: it would blame the default.
func (b *builder) check(c *Config) {
	for _, rule := range rules {
		known := true
		source := Source{Kind: FromDefault}
		for _, name := range rule.keys {
			known = known && !b.bad[name]
			if v, ok := c.values[name]; ok {
				source = v.source
			}
		}
		if !known {
			continue
		}
		if text := rule.check(c); text != "" {
			b.problem(source, rule.keys[0], ErrBadValue, "%s", text)
		}
	}
}

func quoted(name string) string { return `"` + clip(name) + `"` }
