package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"unsafe"
)

// CSV returns a source of the records of the CSV files that pattern names: a
// file, a directory or a glob; gzip and zstd are recognised. The package
// documentation says how columns are mapped to the fields of T, which is a struct
// type.
//
// A mistake in T or in an option is one of the program, reported before the job
// runs. A pattern that matches nothing and a file that cannot be read fail the
// job, and so does a record that is not well-formed unless an option says
// otherwise, with an error that says where. The source may be used concurrently.
func CSV[T any](pattern string, options ...Option) Source[T] {
	s := newSource[T]("CSV", pattern, options)
	schema, err := compile(reflect.TypeFor[T]())
	s.fail(err, s.settings.check("CSV", "Delimiter", "OneLinePerRecord", "RejectUnknownFields"))
	s.lines = s.settings.lines
	rejectUnknown := s.settings.rejectUnknown
	s.decoder = func() decoder[T] { return &csvDecoder[T]{schema: schema, rejectUnknown: rejectUnknown} }
	return s
}

// csvDecoder makes records of the fields of lines.
type csvDecoder[T any] struct {
	schema        *schema
	rejectUnknown bool
	columns       []string
	bounds        []bound
	strings       arena
}

func (d *csvDecoder[T]) header(scan *scanner) error {
	header, err := scan.next()
	switch {
	case errors.Is(err, io.EOF):
		return refuse("it is empty: its first line must be a header that names the columns")
	case err != nil:
		return err
	}
	for _, name := range header {
		d.columns = append(d.columns, string(bytes.TrimSpace(name)))
	}
	d.bounds, err = d.schema.bind(d.columns, &d.strings)
	if err == nil && d.rejectUnknown {
		err = d.unknown()
	}
	if err != nil {
		return &refusal{err}
	}
	return nil
}

// unknown returns an error that names the columns that no field asks for.
func (d *csvDecoder[T]) unknown() error {
	var unknown []string
	for i, name := range d.columns {
		if !slices.ContainsFunc(d.bounds, func(b bound) bool { return b.index == i }) {
			unknown = append(unknown, fmt.Sprintf("%d (%s)", i+1, name))
		}
	}
	if unknown == nil {
		return nil
	}
	return fmt.Errorf("%v has no field for column %s, and file.RejectUnknownFields is set", d.schema.typ, strings.Join(unknown, ", "))
}

func (d *csvDecoder[T]) decode(values []T, scan *scanner) (int, error) {
	var zero T
	for n := range values {
		fields, err := scan.next()
		if err != nil {
			return n, d.named(err)
		}
		if len(fields) != len(d.columns) {
			return n, d.miscounted(fields)
		}
		values[n] = zero
		record := unsafe.Pointer(&values[n])
		for i := range d.bounds {
			b := &d.bounds[i]
			if err := b.set(unsafe.Add(record, b.offset), fields[b.index]); err != nil {
				return n, refuse("column %d (%s): %s cannot be stored in %s of type %v: %w",
					b.index+1, b.header, shown(fields[b.index]), b.field.path, b.field.typ, err)
			}
		}
	}
	return len(values), nil
}

// named gives a syntax error the name of its column.
func (d *csvDecoder[T]) named(err error) error {
	var syntax *syntaxError
	if errors.As(err, &syntax) && syntax.column < len(d.columns) {
		syntax.name = d.columns[syntax.column]
	}
	return err
}

func (d *csvDecoder[T]) miscounted(fields [][]byte) error {
	got, want := len(fields), len(d.columns)
	if got < want {
		return refuse("the record has %d fields and the header %d columns: nothing for column %d (%s)", got, want, got+1, d.columns[got])
	}
	return refuse("the record has %d fields and the header %d columns: %s is too much", got, want, shown(fields[want]))
}

// shown is a value as messages show it.
func shown(value []byte) string {
	const most = 60
	if len(value) > most {
		return fmt.Sprintf("%q… (%d bytes)", value[:most], len(value))
	}
	return fmt.Sprintf("%q", value)
}
