package socket

import (
	"slices"
	"strings"
	"testing"
)

// cutParts gives a cutter the parts of a stream and its end.
func cutParts(c *cutter, parts ...string) (lines []string, err error) {
	for _, part := range parts {
		more, err := c.add([]byte(part))
		lines = append(lines, more...)
		if err != nil {
			return lines, err
		}
	}
	more, err := c.end()
	return append(lines, more...), err
}

func TestCutter(t *testing.T) {
	for _, test := range []struct {
		delimiter string
		parts     []string
		want      []string
		err       string
	}{
		{"\n", []string{"a\nb\n"}, []string{"a", "b"}, ""},
		{"\n", []string{"a\r\n\r\n\n", "b\r"}, []string{"a", "", "", "b"}, ""},
		{"\n", []string{"a", "", "b", "c\nd"}, []string{"abc", "d"}, ""},
		{"\n", []string{"a\r", "\nb\rc\n"}, []string{"a", "b\rc"}, ""},
		{"\n", nil, nil, ""},
		{"||", []string{"a|", "|b|c||", "|", "|\n"}, []string{"a", "b|c", "", "\n"}, ""},
		{"\r\n", []string{"a\n", "b\r\nc\r", "\n"}, []string{"a\nb", "c"}, ""},
		{"\n", []string{"12345\n123456\n"}, []string{"12345"}, "line 2 is longer than 5 bytes"},
		{"\n", []string{"12345\r\n12345\r", "\n12345\r"}, []string{"12345", "12345", "12345"}, ""},
		{"\n", []string{"a\n123", "456"}, []string{"a"}, "line 2 is longer"},
		{"||", []string{"12345|", "|12345||12345|"}, []string{"12345", "12345"}, "line 3 is longer"},
		{"||", []string{"123456", "|"}, nil, "line 1 is longer"},
	} {
		got, err := cutParts(newCutter(test.delimiter, 5), test.parts...)
		if !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, want %q", test.parts, got, test.want)
		}
		if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%q: error %v, want %q", test.parts, err, test.err)
		}
	}
}

// FuzzCutter compares a stream in parts with the same stream cut as a whole.
func FuzzCutter(f *testing.F) {
	f.Add("a\nb\r\nc", "\n", 3, 100)
	f.Add("a||b|||", "||", 1, 3)
	f.Add("ababab", "abab", 2, 4)
	f.Add("aaaa\n\n\r\r\n", "\n", 4, 3)
	f.Fuzz(func(t *testing.T, stream, delimiter string, size, maxLength int) {
		if delimiter == "" || size < 1 || maxLength < 1 {
			return
		}
		want := strings.Split(stream, delimiter)
		if last := len(want) - 1; want[last] == "" {
			want = want[:last]
		}
		tooLong := false
		for i := range want {
			if delimiter == "\n" {
				want[i] = strings.TrimSuffix(want[i], "\r")
			}
			if len(want[i]) > maxLength {
				want, tooLong = want[:i], true
				break
			}
		}
		var parts []string
		for rest := stream; rest != ""; {
			n := min(size, len(rest))
			parts = append(parts, rest[:n])
			rest = rest[n:]
		}
		c := newCutter(delimiter, maxLength)
		got, err := cutParts(c, parts...)
		if !slices.Equal(got, want) || (err != nil) != tooLong {
			t.Errorf("%q in parts of %d at %q: %q, error %v; want %q, too long: %t", stream, size, delimiter, got, err, want, tooLong)
		}
	})
}
