package config

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// variablePrefix begins the name of every environment variable that overrides
// a key.
const variablePrefix = "WEIR_"

// Variable returns the environment variable that overrides a key: WEIR_ and
// the key in capitals, with an underscore in place of everything that is
// neither a letter nor a digit. No two keys have the same variable.
func Variable(key string) string { return variablePrefix + shell(key) }

// shell is a key as the shell can write it in a variable's name.
func shell(key string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
}

// variableTable finds what a variable stands for.
type variableTable struct {
	// keys has the key, by its present or a deprecated name, of each variable.
	keys map[string]string
	// useless has why a variable of a key of Flink has no effect; prefixes, the
	// same for all variables that begin in a way.
	useless, prefixes map[string]string
	// sorted are the variables of the present names.
	sorted []string
}

var variables = sync.OnceValue(func() *variableTable {
	t := &variableTable{keys: map[string]string{}, useless: map[string]string{}, prefixes: map[string]string{}}
	for name, reason := range flinkIndex().exact {
		t.useless[Variable(name)] = reason
	}
	for prefix, reason := range flinkIndex().prefixes {
		t.prefixes[Variable(prefix)] = reason
	}
	for old := range keys().deprecated {
		t.keys[Variable(old)] = old
	}
	for _, k := range keys().sorted {
		t.keys[Variable(k.Name)] = k.Name
		t.sorted = append(t.sorted, Variable(k.Name))
	}
	return t
})

// addEnvironment puts the variables of an environment above the values. A
// variable that is empty is taken for one that is not set, since a container's
// description has no other way to take one back.
func (b *builder) addEnvironment(environment []string) {
	values := map[string]string{}
	for _, entry := range environment {
		name, value, _ := strings.Cut(entry, "=")
		if _, repeated := values[name]; !repeated && strings.HasPrefix(name, variablePrefix) {
			values[name] = value // As in getenv, the first one counts.
		}
	}
	var settings []setting
	for name, value := range values {
		if strings.TrimSpace(value) == "" {
			continue
		}
		if key, ok := variables().keys[name]; ok {
			settings = append(settings, setting{key: key, text: value, variable: name})
			continue
		}
		settings = append(settings, setting{text: value, variable: name})
	}
	slices.SortFunc(settings, func(x, y setting) int { return cmp.Compare(x.variable, y.variable) })
	set := settings[:0]
	for _, s := range settings {
		if s.key == "" {
			b.strange(s.variable, s.text)
			continue
		}
		set = append(set, s)
	}
	b.add(layer{kind: FromEnvironment, settings: set})
}

// strange warns about a variable that stands for no key.
func (b *builder) strange(name, value string) {
	source := Source{Kind: FromEnvironment, Name: shownVariable(name)}
	if reason := uselessVariable(name); reason != "" {
		b.warn(source, "", "has no effect: "+reason)
		return
	}
	if fromKubernetes(name, value) {
		return
	}
	hint := ": docs/configuration.md says which ones there are"
	if b.unknown++; b.unknown <= suggested {
		if nearest := nearestVariable(name); nearest != "" {
			hint = ": did you mean " + nearest + "?"
		}
	}
	b.warn(source, "", "has no effect, since no key has this variable"+hint)
}

// shownVariable is a variable's name for a message: whoever starts a process
// may put anything into one.
func shownVariable(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		name = strconv.Quote(name)
	}
	return clip(name)
}

// uselessVariable returns why the variable of a key of Flink has no effect, or
// nothing where it is not one.
func uselessVariable(name string) string {
	t := variables()
	if reason, ok := t.useless[name]; ok {
		return reason
	}
	for end := min(len(name)-1, longestSuggested); end > len(variablePrefix); end-- {
		if name[end-1] != '_' {
			continue
		}
		if reason, ok := t.prefixes[name[:end]]; ok {
			return reason
		}
	}
	return ""
}

// nearestVariable returns the variable of a key that takes the fewest edits to
// reach; none where that would be more than a quarter of the name.
func nearestVariable(name string) string {
	if len(name) > longestSuggested {
		return ""
	}
	name = Variable(strings.TrimPrefix(name, variablePrefix))
	nearest, fewest := "", max(2, (len(name)-len(variablePrefix))/4)+1
	for _, candidate := range variables().sorted {
		if d := distance(name, candidate, fewest); d < fewest {
			nearest, fewest = candidate, d
		}
	}
	return nearest
}

// Kubernetes gives every container variables about each Service of its
// namespace. Those of a Service called weir, or weir-something, begin as ours do.
var (
	serviceName = regexp.MustCompile(`_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$|_PORT_[0-9]+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)$`)
	serviceLink = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

// fromKubernetes reports whether a variable tells about a Service.
func fromKubernetes(name, value string) bool {
	return serviceName.MatchString(name) || serviceLink.MatchString(value)
}
