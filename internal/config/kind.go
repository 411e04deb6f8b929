package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/weirstream/weir/internal/memory"
)

// kind is a type of values: how they are read from text and written back.
type kind[T any] struct {
	// allowed completes "want …" in messages and describes the values in the
	// reference.
	allowed string
	// parse reads text that has no space around it and is not empty. The error
	// says what is wrong with it, or is errNotAllowed.
	parse func(text string) (T, error)
	// format writes a value so that parse reads it back.
	format func(T) string
	// list reads a YAML list; nil where a list is not allowed.
	list func(elements []string) (T, error)
	// clone copies what a value refers to; nil where it refers to nothing.
	clone func(T) T
}

// errNotAllowed says that a value is of the right form but not among the ones
// that are allowed, so that there is no more to say than what is.
var errNotAllowed = errors.New("not allowed")

// only restricts a kind to the values for which ok holds.
func (k kind[T]) only(allowed string, ok func(T) bool) kind[T] {
	parse := k.parse
	k.allowed = allowed
	k.parse = func(text string) (T, error) {
		value, err := parse(text)
		if err == nil && !ok(value) {
			err = errNotAllowed
		}
		return value, err
	}
	return k
}

// text is any text.
func text() kind[string] {
	return kind[string]{
		parse:  func(text string) (string, error) { return text, nil },
		format: func(value string) string { return value },
	}
}

// name is text that fits into a line of a message.
func name() kind[string] {
	const longest = 255
	return text().only("a name of up to 255 bytes in one line", func(value string) bool {
		return len(value) <= longest && utf8.ValidString(value) && !strings.ContainsFunc(value, unicode.IsControl)
	})
}

// path is the name of a file or directory.
func path() kind[string] {
	return text().only("a path", func(value string) bool { return !strings.ContainsRune(value, 0) })
}

// host is a host name or an IP address.
func host() kind[string] {
	return text().only("a host name or an IP address, without a port", func(value string) bool {
		if _, err := netip.ParseAddr(value); err == nil {
			return true
		}
		return !strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`:/\@[]`, r) })
	})
}

func boolean() kind[bool] {
	return kind[bool]{
		allowed: "true or false",
		parse: func(text string) (bool, error) {
			switch strings.ToLower(text) {
			case "true":
				return true, nil
			case "false":
				return false, nil
			}
			return false, errNotAllowed
		},
		format: strconv.FormatBool,
	}
}

// integer is a whole number between two, both included.
func integer(least, most int) kind[int] {
	allowed := fmt.Sprintf("a whole number from %d to %d", least, most)
	if most == math.MaxInt {
		allowed = fmt.Sprintf("a whole number, at least %d", least)
	}
	k := kind[int]{
		parse: func(text string) (int, error) {
			value, err := strconv.Atoi(text)
			if err != nil {
				return 0, errNotAllowed
			}
			return value, nil
		},
		format: strconv.Itoa,
	}
	return k.only(allowed, func(value int) bool { return value >= least && value <= most })
}

// fraction is a number that is at least 0 and less than 1.
func fraction() kind[float64] {
	k := kind[float64]{
		parse: func(text string) (float64, error) {
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return 0, errNotAllowed
			}
			return value, nil
		},
		format: func(value float64) string { return strconv.FormatFloat(value, 'g', -1, 64) },
	}
	// Written so that not-a-number fails.
	return k.only("a number that is at least 0 and less than 1", func(value float64) bool { return value >= 0 && value < 1 })
}

// size is a memory size between two, both included.
func size(least, most memory.Size) kind[memory.Size] {
	allowed := fmt.Sprintf("a memory size from %s to %s", least, most)
	switch {
	case most == memory.MaxSize && least == 0:
		allowed = "a memory size such as 64 mb"
	case most == memory.MaxSize:
		allowed = fmt.Sprintf("a memory size such as 64 mb, at least %s", least)
	}
	k := kind[memory.Size]{parse: memory.ParseSize, format: memory.Size.String}
	return k.only(allowed, func(value memory.Size) bool { return value >= least && value <= most })
}

// segmentSize is a memory size that is a power of two.
func segmentSize(least, most memory.Size) kind[memory.Size] {
	k := size(least, most)
	return k.only(fmt.Sprintf("a power of two from %s to %s", least, most), func(value memory.Size) bool { return value&(value-1) == 0 })
}

// duration is a duration that is at least as long as given.
func duration(least time.Duration) kind[time.Duration] {
	allowed := "a duration such as 10 s"
	if least > 0 {
		allowed += ", at least " + FormatDuration(least)
	}
	k := kind[time.Duration]{parse: ParseDuration, format: FormatDuration}
	return k.only(allowed, func(value time.Duration) bool { return value >= least })
}

// durationWithUnit is a duration that is not a bare number, for a key whose
// bare numbers are seconds in one version of Flink and milliseconds in another.
func durationWithUnit() kind[time.Duration] {
	k := duration(0)
	parse := k.parse
	k.allowed += ", with its unit"
	k.parse = func(text string) (time.Duration, error) {
		if last := text[len(text)-1]; last >= '0' && last <= '9' {
			return 0, errors.New("without a unit it would be seconds in some versions of Flink and milliseconds in others")
		}
		return parse(text)
	}
	return k
}

// bufferTimeout is a duration or -1.
func bufferTimeout() kind[time.Duration] {
	return kind[time.Duration]{
		allowed: "a duration such as 100 ms, or -1 to send full buffers only",
		parse: func(text string) (time.Duration, error) {
			if text == "-1" {
				return OnlyFullBuffers, nil
			}
			return ParseDuration(text)
		},
		format: func(value time.Duration) string {
			if value == OnlyFullBuffers {
				return "-1"
			}
			return FormatDuration(value)
		},
	}
}

// oneOf is one of some names, read in upper or lower case.
func oneOf[T ~string](values ...T) kind[T] {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = string(v)
	}
	return kind[T]{
		allowed: "one of " + strings.Join(names, ", "),
		parse: func(text string) (T, error) {
			for _, v := range values {
				if strings.EqualFold(text, string(v)) {
					return v, nil
				}
			}
			return "", errNotAllowed
		},
		format: func(value T) string { return string(value) },
	}
}

// ports is a choice of ports; port is a single one.
func ports() kind[Ports] {
	return kind[Ports]{
		allowed: "a port, a range or several such as 50100-50200,50300; 0 is any free port",
		parse:   parsePorts,
		format:  Ports.String,
		list:    func(elements []string) (Ports, error) { return parsePorts(strings.Join(elements, ",")) },
		clone:   slices.Clone[Ports],
	}
}

func port() kind[int] { return integer(0, math.MaxUint16) }

// directories is a list of paths. Flink separates them by commas, bars or the
// system's separator of paths; a semicolon separates every other list of
// Flink.
func directories() kind[[]string] {
	const delimiters = ",;|:"
	return kind[[]string]{
		allowed: "paths separated by commas, or a YAML list of paths",
		parse: func(text string) ([]string, error) {
			paths, err := splitList(text, delimiters)
			if err != nil {
				return nil, err
			}
			return checkDirectories(paths)
		},
		format: func(value []string) string { return joinList(value, delimiters) },
		list:   checkDirectories,
		clone:  slices.Clone[[]string],
	}
}

func checkDirectories(paths []string) ([]string, error) {
	if len(paths) == 0 {
		return nil, errNotAllowed
	}
	for _, p := range paths {
		if p == "" || strings.ContainsRune(p, 0) {
			return nil, fmt.Errorf("%q is not a path", clip(p))
		}
	}
	return paths, nil
}
