package file

import (
	"errors"
	"unicode/utf8"
)

// Lines returns a source of the lines of the text files that pattern names, as
// [CSV] does, without their line ends, LF or CRLF. An empty line is an empty
// record, and what stands behind the last line end is a record unless it is
// empty. A line that is not valid UTF-8 is a bad record.
func Lines(pattern string, options ...Option) Source[string] {
	s := newSource[string]("Lines", pattern, options)
	s.fail(s.settings.check("Lines"))
	s.decoder = func() decoder[string] { return &lineDecoder{} }
	return s
}

type lineDecoder struct{ strings arena }

func (d *lineDecoder) header(*scanner) error { return nil }

func (d *lineDecoder) decode(values []string, scan *scanner) (int, error) {
	for n := range values {
		line, _, err := scan.cut()
		if err != nil {
			return n, err
		}
		if !utf8.Valid(line) {
			return n, &refusal{errUTF8}
		}
		values[n] = d.strings.clone(line)
	}
	return len(values), nil
}

var errUTF8 = errors.New("it is not valid UTF-8")
