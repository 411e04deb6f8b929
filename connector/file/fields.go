package file

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
)

// schema is a struct type, compiled: the fields that are read, in order.
type schema struct {
	typ    reflect.Type
	fields []field
}

// field is one field of a schema. Embedded structs are flattened into it.
type field struct {
	path     string // "Flight.Delay", for messages
	name     string // the Go name, which finds the column when the tag has none
	column   string // the column named by the tag, or ""
	offset   uintptr
	typ      reflect.Type
	optional bool
	layout   string // of a time
}

// compile examines a struct type, and reports all that is wrong with it.
func compile(t reflect.Type) (*schema, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("records are read into structs, not into %v", t)
	}
	s := &schema{typ: t}
	if err := s.add(t, cmp.Or(t.Name(), "struct"), 0); err != nil {
		return nil, err
	}
	if len(s.fields) == 0 {
		return nil, fmt.Errorf("%v has no exported field that a column could fill", t)
	}
	return s, nil
}

func (s *schema) add(t reflect.Type, path string, offset uintptr) error {
	var errs []error
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, tagged := sf.Tag.Lookup("csv")
		if tag == "-" {
			continue
		}
		f := field{path: path + "." + sf.Name, name: sf.Name, offset: offset + sf.Offset, typ: sf.Type}
		if sf.Anonymous && !tagged && sf.Type.Kind() == reflect.Struct && !isLeaf(sf.Type) {
			errs = append(errs, s.add(sf.Type, f.path, f.offset))
			continue
		}
		if !sf.IsExported() {
			if tagged {
				errs = append(errs, fmt.Errorf("%s has a csv tag but is not exported, so it cannot be filled", f.path))
			}
			continue
		}
		if err := f.parseTag(tag); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.path, err))
			continue
		}
		if setterFor(f.typ, &f, new(arena)) == nil {
			errs = append(errs, fmt.Errorf("%s: a column cannot fill a %v: use a string, bool, number, time.Time, "+
				`time.Duration, a type with UnmarshalText or a pointer to one of these, or leave it out with csv:"-"`,
				f.path, f.typ))
			continue
		}
		s.fields = append(s.fields, f)
	}
	return errors.Join(errs...)
}

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// isLeaf reports whether a struct is one value, not a set of fields.
func isLeaf(t reflect.Type) bool {
	return t == timeType || reflect.PointerTo(t).Implements(textType)
}

func (f *field) parseTag(tag string) error {
	name, options, _ := strings.Cut(tag, ",")
	f.column = name
	for options != "" {
		var option string
		if layout, ok := strings.CutPrefix(options, "layout="); ok {
			return f.setLayout(layout)
		}
		option, options, _ = strings.Cut(options, ",")
		if option != "optional" {
			return fmt.Errorf("unknown option %q in its csv tag: there are optional and layout=", option)
		}
		f.optional = true
	}
	return nil
}

func (f *field) setLayout(layout string) error {
	if f.typ != timeType && f.typ != reflect.PointerTo(timeType) {
		return fmt.Errorf("a layout is for a time.Time, not for a %v", f.typ)
	}
	// Two times that differ in every element look equal only where there is none.
	a := time.Date(2001, time.March, 4, 5, 6, 7, 0, time.UTC)
	b := time.Date(2012, time.November, 23, 18, 39, 58, 0, time.UTC)
	if a.Format(layout) == b.Format(layout) {
		return fmt.Errorf("layout %q shows no part of a time: write it with Go's reference time, 2006-01-02T15:04:05Z07:00", layout)
	}
	f.layout = layout
	return nil
}

// bound is a field with its column, ready to be filled.
type bound struct {
	set    setter
	offset uintptr // the field's
	index  int     // the column's
	header string  // and its name
	field  *field
}

// bind finds the column of each field. header holds the names of the columns.
func (s *schema) bind(header []string, strings *arena) ([]bound, error) {
	var errs []error
	bounds := make([]bound, 0, len(s.fields))
	for i := range s.fields {
		f := &s.fields[i]
		index, err := f.find(header)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		bounds = append(bounds, bound{
			set: setterFor(f.typ, f, strings), offset: f.offset, index: index, header: header[index], field: f,
		})
	}
	return bounds, errors.Join(errs...)
}

func (f *field) find(header []string) (int, error) {
	found := -1
	for i, name := range header {
		if f.column != "" && name != f.column || f.column == "" && fold(name) != fold(f.name) {
			continue
		}
		if found >= 0 {
			return 0, fmt.Errorf("columns %d and %d could both fill %s: they are named %q and %q",
				found+1, i+1, f.path, header[found], name)
		}
		found = i
	}
	if found >= 0 {
		return found, nil
	}
	columns := strings.Join(header, ", ")
	if f.column != "" {
		return 0, fmt.Errorf("no column %q for %s: the header has %s", f.column, f.path, columns)
	}
	return 0, fmt.Errorf(`no column for %s: the header has %s; name one in a csv tag, or leave the field out with csv:"-"`,
		f.path, columns)
}

// fold makes names equal that differ in case, "_", "-" and spaces only.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == ' ' {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}
