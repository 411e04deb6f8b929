package file

import (
	"bytes"
	"encoding/json/v2"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unsafe"
)

// lineEncoder writes strings as lines.
type lineEncoder struct{}

func (lineEncoder) header(b []byte) []byte { return b }

func (lineEncoder) append(b []byte, line *string) ([]byte, error) {
	if strings.IndexByte(*line, '\n') >= 0 {
		return b, fmt.Errorf("the record %s holds a newline and would be read as two lines: escape it, or use file.JSONLinesSink", shown([]byte(*line)))
	}
	return append(append(b, *line...), '\n'), nil
}

// jsonEncoder writes records as lines of JSON.
type jsonEncoder[T any] struct{ line bytes.Buffer }

func (e *jsonEncoder[T]) header(b []byte) []byte { return b }

func (e *jsonEncoder[T]) append(b []byte, record *T) ([]byte, error) {
	e.line.Reset()
	if err := json.MarshalWrite(&e.line, record, jsonText); err != nil {
		return b, fmt.Errorf("a %v cannot be written as JSON: %w", reflect.TypeFor[T](), err)
	}
	if bytes.IndexByte(e.line.Bytes(), '\n') >= 0 {
		return b, fmt.Errorf("a %v cannot be written as a line of JSON: its own encoding holds a newline", reflect.TypeFor[T]())
	}
	b = append(append(b, e.line.Bytes()...), '\n')
	if e.line.Cap() > retained {
		e.line = bytes.Buffer{}
	}
	return b, nil
}

// csvEncoder writes structs as CSV.
type csvEncoder[T any] struct {
	columns   []column
	delimiter byte
	value     []byte
}

func (e *csvEncoder[T]) header(b []byte) []byte {
	for i := range e.columns {
		b = e.field(b, i, []byte(e.columns[i].name))
	}
	return append(b, '\n')
}

func (e *csvEncoder[T]) append(b []byte, record *T) ([]byte, error) {
	begin := len(b)
	for i := range e.columns {
		c := &e.columns[i]
		var err error
		if e.value, err = c.append(e.value[:0], unsafe.Add(unsafe.Pointer(record), c.offset)); err != nil {
			return b[:begin], fmt.Errorf("%s of type %v cannot be written as CSV: %w", c.path, c.typ, err)
		}
		b = e.field(b, i, e.value)
	}
	return append(b, '\n'), nil
}

// field appends a field, behind a delimiter unless it is the first. It is quoted
// where it must be, and where readers differ: around spaces.
func (e *csvEncoder[T]) field(b []byte, i int, value []byte) []byte {
	if i > 0 {
		b = append(b, e.delimiter)
	}
	if !e.quoted(value) {
		return append(b, value...)
	}
	b = append(b, '"')
	for {
		quote := bytes.IndexByte(value, '"')
		if quote < 0 {
			break
		}
		b = append(append(b, value[:quote]...), `""`...)
		value = value[quote+1:]
	}
	return append(append(b, value...), '"')
}

func (e *csvEncoder[T]) quoted(value []byte) bool {
	if len(value) == 0 {
		return len(e.columns) == 1 // an empty line would be no record
	}
	first, last := value[0], value[len(value)-1]
	if first == ' ' || first == '\t' || last == ' ' || last == '\t' || first == 0xef {
		return true // 0xef might begin a byte order mark
	}
	for _, c := range value {
		if c == e.delimiter || c == '"' || c == '\r' || c == '\n' {
			return true
		}
	}
	return false
}

// column is a field that is written.
type column struct {
	name   string
	path   string // "Flight.Delay", for messages
	offset uintptr
	typ    reflect.Type
	append appender
}

// compileColumns examines a struct type, and reports all that is wrong with it.
func compileColumns(t reflect.Type) ([]column, error) {
	s, err := compile(t)
	if err != nil {
		return nil, err
	}
	var errs []error
	columns := make([]column, 0, len(s.fields))
	for i := range s.fields {
		f := &s.fields[i]
		c := column{name: f.column, path: f.path, offset: f.offset, typ: f.typ, append: appenderFor(f.typ, f.layout)}
		if c.name == "" {
			c.name = f.name
		}
		if c.append == nil {
			errs = append(errs, fmt.Errorf(`%s: a %v can be read from a column but not be written to one: give it a method MarshalText, or leave it out with csv:"-"`, f.path, f.typ))
		}
		if j := slices.IndexFunc(columns, func(other column) bool { return fold(other.name) == fold(c.name) }); j >= 0 {
			errs = append(errs, fmt.Errorf("%s and %s would be columns of the same name: %q and %q", columns[j].path, c.path, columns[j].name, c.name))
		}
		columns = append(columns, c)
	}
	return columns, errors.Join(errs...)
}
