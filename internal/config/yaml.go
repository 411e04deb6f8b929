package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"
)

// Bounds of a file, so that a wrong path or a hostile file costs little. A
// large configuration has a few hundred keys.
const (
	maxFileBytes = 1 << 20
	maxNodes     = 100_000 // Counts a node again each time an alias refers to it.
	maxDepth     = 100
	maxKeyBytes  = 1024
)

// setting is one key with a value as a layer has it: not yet checked.
type setting struct {
	key  string
	line int
	// variable is the environment variable that it comes from, if it does.
	variable string
	// text is a plain value.
	text string
	// elements is a list of plain values, not nil if the value is a list.
	elements []string
	// irregular is a list whose elements are not all plain.
	irregular bool
	// null is a key with nothing behind it.
	null bool
}

// readFile reads at most maxFileBytes of a file.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	if len(data) > maxFileBytes {
		return nil, markedf(ErrSyntax, "larger than %d bytes: not a configuration", maxFileBytes)
	}
	return data, nil
}

// flattenYAML returns the settings of a YAML file in the order of their lines,
// with nested keys joined by dots. The file's name is for messages.
func flattenYAML(source string, data []byte) ([]setting, Problems) {
	f := flattener{source: source, lines: map[string]int{}}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) { // Empty, or only comments.
		return nil, nil
	}
	if err != nil {
		f.problem(0, "", ErrSyntax, "not YAML: %s", clip(err.Error()))
		return nil, f.problems
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		if err != nil {
			f.problem(0, "", ErrSyntax, "not YAML: %s", clip(err.Error()))
		} else {
			f.problem(0, "", ErrSyntax, "more than one YAML document: remove the lines ---")
		}
		return nil, f.problems
	}
	f.top(document.Content[0])
	if f.nodes >= maxNodes {
		f.problems = nil // Of a file that is not a configuration there is no more to say.
		f.problem(0, "", ErrSyntax, "more than %d keys and values, counting aliases: not a configuration", maxNodes)
		return nil, f.problems
	}
	return f.settings, f.problems
}

type flattener struct {
	source   string
	settings []setting
	problems Problems
	nodes    int
	// lines has the line of every key so far.
	lines map[string]int
}

func (f *flattener) problem(line int, key string, kind error, format string, args ...any) {
	f.problems = append(f.problems, Problem{Source: Source{Kind: FromFile, Name: f.source, Line: line}, Key: key, Err: markedf(kind, format, args...)})
}

func (f *flattener) top(node *yaml.Node) {
	switch {
	case isNull(node):
	case node.Kind == yaml.MappingNode:
		f.mapping("", node, 0)
	case node.Kind == yaml.SequenceNode:
		f.problem(node.Line, "", ErrSyntax, "the file is a list: want lines of the form key: value")
	default:
		f.problem(node.Line, "", ErrSyntax, "the file is plain text: want lines of the form key: value")
	}
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.Tag == "!!null"
}

// mapping adds the settings below a prefix.
func (f *flattener) mapping(prefix string, node *yaml.Node, depth int) {
	if depth > maxDepth {
		f.problem(node.Line, prefix, ErrSyntax, "nested deeper than %d levels at %q", maxDepth, clip(prefix))
		return
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if f.nodes++; f.nodes >= maxNodes {
			return
		}
		name, ok := f.name(prefix, node.Content[i])
		if ok {
			f.value(name, node.Content[i].Line, node.Content[i+1], depth)
		}
	}
}

// name joins a prefix and the key of a mapping.
func (f *flattener) name(prefix string, node *yaml.Node) (string, bool) {
	line := node.Line
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch {
	case node.Kind != yaml.ScalarNode:
		f.problem(line, "", ErrSyntax, "a key below %q is not plain text", clip(prefix))
		return "", false
	case node.Tag == "!!merge":
		f.problem(line, "", ErrSyntax, "the merge key << below %q is not supported: repeat the keys", clip(prefix))
		return "", false
	case node.Value == "" || node.Tag == "!!null":
		f.problem(line, "", ErrSyntax, "a key below %q is empty", clip(prefix))
		return "", false
	case len(prefix)+len(node.Value) > maxKeyBytes:
		f.problem(line, "", ErrSyntax, "a key is longer than %d bytes: %q", maxKeyBytes, clip(prefix+node.Value))
		return "", false
	case prefix == "":
		return node.Value, true
	}
	return prefix + "." + node.Value, true
}

// value adds the settings of one key of a mapping.
func (f *flattener) value(name string, line int, node *yaml.Node, depth int) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind == yaml.MappingNode && len(node.Content) > 0 {
		f.mapping(name, node, depth+1)
		return
	}
	if earlier, ok := f.lines[name]; ok {
		f.problem(line, name, ErrDuplicate, "key %s is set twice: line %d has it already", quoted(name), earlier)
		return
	}
	f.lines[name] = line
	s := setting{key: name, line: line}
	switch {
	case node.Kind == yaml.MappingNode || isNull(node): // An empty section, or a key without a value.
		s.null = true
	case node.Kind == yaml.SequenceNode:
		f.sequence(&s, node)
	default:
		s.text = node.Value
	}
	f.settings = append(f.settings, s)
}

func (f *flattener) sequence(s *setting, node *yaml.Node) {
	s.elements = make([]string, 0, len(node.Content))
	for _, element := range node.Content {
		if f.nodes++; f.nodes >= maxNodes {
			return
		}
		if element.Kind == yaml.AliasNode {
			element = element.Alias
		}
		if element.Kind != yaml.ScalarNode {
			s.irregular = true
			return
		}
		value := element.Value
		if isNull(element) {
			value = ""
		}
		s.elements = append(s.elements, value)
	}
}
