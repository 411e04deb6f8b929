package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// What a [Problem] can be, for errors.Is.
var (
	// ErrUnknownKey is a key that neither Weir nor Flink has.
	ErrUnknownKey = errors.New("unknown key")
	// ErrBadValue is a value that its key does not allow, or that contradicts
	// another value.
	ErrBadValue = errors.New("bad value")
	// ErrDuplicate is a key that one file sets twice.
	ErrDuplicate = errors.New("set twice")
	// ErrSyntax is a file that is not YAML of the expected form, or an override
	// that is not key=value.
	ErrSyntax = errors.New("bad syntax")
)

// SourceKind is what kind of place a value came from.
type SourceKind uint8

const (
	// FromValues is a map of values, which the caller of [FromMap] or
	// [Config.With] named.
	FromValues SourceKind = iota
	// FromDefault is a value that was set nowhere.
	FromDefault
	// FromFile is the YAML file.
	FromFile
	// FromEnvironment is an environment variable.
	FromEnvironment
	// FromOverride is -D on the command line.
	FromOverride
)

// String names the kind as weir config -o json does.
func (k SourceKind) String() string {
	return [...]string{"values", "default", "file", "environment", "option"}[k]
}

// Source is where a value came from.
type Source struct {
	Kind SourceKind
	// Name is the file's path, the environment variable, or what the caller of
	// [FromMap] or [Config.With] named the values; empty for the other kinds.
	Name string
	// Line is the line of the file, from 1; 0 where there are no lines.
	Line int
}

// String prints the source for a message: "file weir.yaml line 12",
// "environment variable WEIR_PARALLELISM_DEFAULT", "-D", "default".
func (s Source) String() string {
	switch {
	case s.Kind == FromDefault:
		return "default"
	case s.Kind == FromOverride:
		return "-D"
	case s.Kind == FromEnvironment:
		return "environment variable " + s.Name
	case s.Kind == FromFile && s.Line == 0:
		return "file " + s.Name
	case s.Kind == FromFile:
		return fmt.Sprintf("file %s line %d", s.Name, s.Line)
	}
	return s.Name
}

// Problem is one mistake of a configuration.
type Problem struct {
	Source Source
	// Key is the key as it was written, or empty where no key is to blame.
	Key string
	// Err says what is wrong; it wraps one of the errors of this package or of
	// the operating system.
	Err error
}

// Error says where the mistake is and what it is.
func (p Problem) Error() string { return p.Source.String() + ": " + p.Err.Error() }

// Unwrap returns Err.
func (p Problem) Unwrap() error { return p.Err }

// Problems are all mistakes of a configuration, in the order of its layers and
// lines.
type Problems []Problem

// Error returns one line for a single problem, and a heading with one line for
// each of the first hundred otherwise.
func (p Problems) Error() string {
	const shown = 100
	if len(p) == 1 {
		return p[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "the configuration has %d mistakes:", len(p))
	for _, problem := range p[:min(shown, len(p))] {
		b.WriteString("\n  ")
		b.WriteString(problem.Error())
	}
	if more := len(p) - shown; more > 0 {
		fmt.Fprintf(&b, "\n  and %d more", more)
	}
	return b.String()
}

// Unwrap returns the problems, for errors.Is and errors.As.
func (p Problems) Unwrap() []error {
	errs := make([]error, len(p))
	for i, problem := range p {
		errs[i] = problem
	}
	return errs
}

// errOrNil avoids the non-nil error that an empty list would be.
func (p Problems) errOrNil() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// Warning is a setting that has no effect or should be written otherwise.
type Warning struct {
	Source Source
	// Key is the key as it was written, or empty where no key is to blame.
	Key string
	// Text says what about it, beginning with a verb: "has no effect: …".
	Text string
}

// String says where the setting is and what about it.
func (w Warning) String() string {
	if w.Key == "" {
		return w.Source.String() + " " + w.Text
	}
	return fmt.Sprintf("%s: key %q %s", w.Source, clip(w.Key), w.Text)
}

// Warnings are all warnings about a configuration, in the order of its layers
// and lines.
type Warnings []Warning

// String returns one line per warning.
func (w Warnings) String() string {
	lines := make([]string, len(w))
	for i, warning := range w {
		lines[i] = warning.String()
	}
	return strings.Join(lines, "\n")
}

// marked is an error with a text of its own that is one of the kinds above.
type marked struct {
	kind error
	text string
}

func (m marked) Error() string { return m.text }

func (m marked) Unwrap() error { return m.kind }

func markedf(kind error, format string, args ...any) error {
	return marked{kind: kind, text: fmt.Sprintf(format, args...)}
}

// clip shortens foreign text for a message.
func clip(text string) string {
	const limit = 120
	if len(text) <= limit {
		return text
	}
	end := limit
	for end > limit-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
