package socket

import (
	"bytes"
	"fmt"
)

// cutter cuts a stream into lines, however it arrives in parts. It searches
// each byte once, but for those of a delimiter that may have begun.
type cutter struct {
	delimiter string
	maxLength int
	line      int64  // the number of the line that is being read, from 1
	open      []byte // of that line what has come; it holds no delimiter
	text      []byte // of lines that share a string
	ends      []int
}

func newCutter(delimiter string, maxLength int) *cutter {
	return &cutter{delimiter: delimiter, maxLength: maxLength, line: 1}
}

// add takes the next part of the stream and returns the lines that it completes.
// With an error it returns the lines before the one that is too long.
func (c *cutter) add(part []byte) ([]string, error) {
	c.text, c.ends = c.text[:0], c.ends[:0]
	for len(part) > 0 {
		line, rest, found := c.next(part)
		if !found {
			break
		}
		part = rest
		if line = c.trimmed(line); len(line) > c.maxLength {
			return c.cut(), c.tooLong()
		}
		c.text = append(c.text, line...)
		c.ends = append(c.ends, len(c.text))
		c.line++
		c.open = c.open[:0]
	}
	// What is open may end with all of what is left out but its last byte.
	if begun := max(len(c.delimiter)-1, len(c.open)-len(c.trimmed(c.open))); len(c.open) > c.maxLength+begun {
		return c.cut(), c.tooLong()
	}
	return c.cut(), nil
}

// next returns the line that part completes, which is good until the next call,
// and what is behind its delimiter. Without a delimiter all of part is open.
func (c *cutter) next(part []byte) (line, rest []byte, found bool) {
	if len(c.open) == 0 {
		if i := bytes.Index(part, []byte(c.delimiter)); i >= 0 {
			return part[:i], part[i+len(c.delimiter):], true
		}
		c.open = append(c.open, part...)
		return nil, nil, false
	}
	from := max(0, len(c.open)-len(c.delimiter)+1)
	before := len(c.open)
	c.open = append(c.open, part...)
	i := bytes.Index(c.open[from:], []byte(c.delimiter))
	if i < 0 {
		return nil, nil, false
	}
	line = c.open[:from+i]
	return line, part[from+i+len(c.delimiter)-before:], true
}

// trimmed is a line without the first half of "\r\n".
func (c *cutter) trimmed(line []byte) []byte {
	if c.delimiter == "\n" {
		return bytes.TrimSuffix(line, []byte("\r"))
	}
	return line
}

// cut returns the lines of text: parts of one string, so there is one allocation
// for them.
func (c *cutter) cut() []string {
	if len(c.ends) == 0 {
		return nil
	}
	text, from := string(c.text), 0
	lines := make([]string, len(c.ends))
	for i, end := range c.ends {
		lines[i] = text[from:end]
		from = end
	}
	return lines
}

// end returns the last line, which has no delimiter, if there is one.
func (c *cutter) end() ([]string, error) {
	last := c.trimmed(c.open)
	switch {
	case len(c.open) == 0:
		return nil, nil
	case len(last) > c.maxLength:
		return nil, c.tooLong()
	}
	c.open = c.open[:0]
	return []string{string(last)}, nil
}

// held returns how many bytes of an open line there are.
func (c *cutter) held() int { return len(c.open) }

func (c *cutter) tooLong() error {
	return fmt.Errorf("line %d is longer than %d bytes: if that is right, allow it with socket.MaxLength; otherwise the delimiter, %q, may not be the one that is sent",
		c.line, c.maxLength, c.delimiter)
}
