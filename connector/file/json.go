package file

import (
	"bytes"
	"cmp"
	jsonv1 "encoding/json"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"fmt"
	"reflect"
	"strings"
)

// JSONLines returns a source of the records of the files that pattern names, as
// [CSV] does, each of whose lines holds one JSON value. A line of nothing but
// white space is left out. The value is stored in a T as [encoding/json.Unmarshal]
// does it, except that what that would alter is a bad record: text that is not
// valid UTF-8, also as half of a surrogate pair, and null where T is a struct.
// [RejectUnknownFields] and [RequireFields] make it stricter.
func JSONLines[T any](pattern string, options ...Option) Source[T] {
	s := newSource[T]("JSONLines", pattern, options)
	s.fail(s.settings.check("JSONLines", "RejectUnknownFields", "RequireFields"))
	t := reflect.TypeFor[T]()
	var required []string
	if s.settings.requireFields {
		var err error
		required, err = requiredFields(t)
		s.fail(err)
	}
	isStruct := t.Kind() == reflect.Struct
	jsonOptions := json.JoinOptions(jsonText, json.RejectUnknownMembers(s.settings.rejectUnknown))
	s.decoder = func() decoder[T] {
		return &jsonDecoder[T]{options: jsonOptions, isStruct: isStruct, presence: presence{required: required, seen: make([]bool, len(required))}}
	}
	return s
}

// jsonText is the JSON of package encoding/json, but strict: invalid UTF-8 is not
// replaced, and the first error counts.
var jsonText = json.JoinOptions(jsonv1.DefaultOptionsV1(),
	jsontext.AllowInvalidUTF8(false), jsontext.EscapeForHTML(false), jsonv1.ReportErrorsWithLegacySemantics(false))

type jsonDecoder[T any] struct {
	options  json.Options
	isStruct bool
	presence presence
}

func (d *jsonDecoder[T]) header(*scanner) error { return nil }

func (d *jsonDecoder[T]) decode(values []T, scan *scanner) (int, error) {
	for n := range values {
		line, err := d.line(scan)
		if err == nil {
			err = d.store(&values[n], line)
		}
		if err != nil {
			return n, err
		}
	}
	return len(values), nil
}

// store stores a line in dst.
func (d *jsonDecoder[T]) store(dst *T, line []byte) error {
	var zero T
	*dst = zero
	if err := json.Unmarshal(line, dst, d.options); err != nil {
		return &refusal{err}
	}
	if d.isStruct && line[0] == 'n' {
		return refuse("it is null and not an object")
	}
	if d.presence.required != nil {
		return d.presence.check(line)
	}
	return nil
}

// line returns the next line that is not blank, without the space around it.
func (d *jsonDecoder[T]) line(scan *scanner) ([]byte, error) {
	for {
		line, _, err := scan.cut()
		if err != nil {
			return nil, err
		}
		if line = bytes.Trim(line, " \t\r"); len(line) > 0 {
			return line, nil
		}
	}
}

// presence finds out which members an object lacks.
type presence struct {
	required []string // names of members; nil if none is required
	seen     []bool
	name     []byte
	object   bytes.Reader
	in       jsontext.Decoder
}

// check examines an object that is known to be valid JSON.
func (p *presence) check(object []byte) error {
	if object[0] != '{' {
		return nil
	}
	clear(p.seen)
	missing := len(p.required)
	in := &p.in
	p.object.Reset(object)
	in.Reset(&p.object, jsontext.AllowDuplicateNames(true))
	if _, err := in.ReadToken(); err != nil {
		return &refusal{err}
	}
	for in.PeekKind() == '"' {
		name, err := in.ReadValue()
		if err == nil {
			p.name, err = jsontext.AppendUnquote(p.name[:0], name)
		}
		if err == nil {
			missing -= p.found()
			err = in.SkipValue()
		}
		if err != nil {
			return &refusal{err}
		}
	}
	if missing == 0 {
		return nil
	}
	var names []string
	for i, seen := range p.seen {
		if !seen {
			names = append(names, fmt.Sprintf("%q", p.required[i]))
		}
	}
	return refuse("the object has no %s, and file.RequireFields is set", strings.Join(names, ", "))
}

// found notes the member of the current name and returns how many fields that
// fills, which were empty.
func (p *presence) found() (n int) {
	for i, name := range p.required {
		if !p.seen[i] && (name == string(p.name) || strings.EqualFold(name, string(p.name))) {
			p.seen[i] = true
			n++
		}
	}
	return n
}

// requiredFields returns the names of the members that fill a struct's fields,
// except those that may be absent.
func requiredFields(t reflect.Type) ([]string, error) {
	if t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(unmarshalerType) {
		return nil, fmt.Errorf("file.RequireFields is for a struct without a method UnmarshalJSON, which %v is not", t)
	}
	names := []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case tag == "-":
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			inner, err := requiredFields(f.Type)
			if err != nil {
				return nil, err
			}
			names = append(names, inner...)
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Pointer: // nil unless a member fills it
		case !f.IsExported(), hasOption(options, "omitempty"), hasOption(options, "omitzero"):
		default:
			names = append(names, cmp.Or(name, f.Name))
		}
	}
	return names, nil
}

var unmarshalerType = reflect.TypeFor[jsonv1.Unmarshaler]()

func hasOption(options, option string) bool {
	for o := range strings.SplitSeq(options, ",") {
		if o == option {
			return true
		}
	}
	return false
}
