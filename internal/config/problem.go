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

// Source is where a value came from.
type Source struct {
	// Name is "default", "-D", "file weir.yaml", or what the caller of [FromMap]
	// or [Config.With] named the layer.
	Name string
	// Line is the line of the file, from 1; 0 where there are no lines.
	Line int
}

// String prints the source as in "file weir.yaml line 12", "-D", "default".
func (s Source) String() string {
	if s.Line == 0 {
		return s.Name
	}
	return fmt.Sprintf("%s line %d", s.Name, s.Line)
}

const (
	defaultSource  = "default"
	overrideSource = "-D"
)

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
	Key    string
	// Text says what about the key, beginning with a verb: "has no effect: …".
	Text string
}

// String says where the setting is and what about it.
func (w Warning) String() string {
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
