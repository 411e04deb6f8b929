package main

import (
	"strings"
	"testing"
)

func TestLinesOfSeveralWorkersStayWhole(t *testing.T) {
	l, one, two := lines{}, lineSource{taskManager: "one"}, lineSource{taskManager: "two"}
	var shown strings.Builder
	for _, part := range []struct {
		from lineSource
		text string
	}{{one, "a1\na"}, {two, "b1\nb2"}, {one, "2\na3"}, {two, "\n"}, {one, "\n"}, {two, "b3"}} {
		shown.Write(l.add(part.from, []byte(part.text)))
	}
	if want := "a1\nb1\na2\nb2\na3\n"; shown.String() != want {
		t.Errorf("shown %q, want %q", shown.String(), want)
	}
	l.rest(func(s lineSource, data []byte) {
		if s != two || string(data) != "b3" {
			t.Errorf("the rest of %v is %q", s, data)
		}
	})
	if long := strings.Repeat("x", longestLine+1); string(l.add(one, []byte(long))) != long {
		t.Error("a line longer than the longest is held back")
	}
}
