package config

import (
	"errors"
	"fmt"
	"strings"
)

var errQuotes = errors.New("a quote is not closed")

// splitList reads the flat form of a list: elements between any of the
// delimiters. An element that contains a delimiter is put in single or double
// quotes, in which a quote is doubled, as in Flink. Elements that are empty and
// not quoted are dropped.
func splitList(text, delimiters string) ([]string, error) {
	var elements []string
	start := 0
	for i := 0; i <= len(text); i++ {
		switch {
		case i == len(text) || strings.IndexByte(delimiters, text[i]) >= 0:
			raw := strings.TrimSpace(text[start:i])
			start = i + 1
			if raw == "" {
				continue
			}
			element, err := unquote(raw)
			if err != nil {
				return nil, err
			}
			elements = append(elements, element)
		case isQuote(text[i]) && strings.TrimSpace(text[start:i]) == "":
			if i = endOfQuotes(text, i); i < 0 {
				return nil, errQuotes
			}
		}
	}
	return elements, nil
}

// joinList writes the flat form of a list with the first of the delimiters.
func joinList(elements []string, delimiters string) string {
	quoted := make([]string, len(elements))
	for i, e := range elements {
		quoted[i] = e
		if e == "" || strings.ContainsAny(e, delimiters+`'"`) || e != strings.TrimSpace(e) {
			quoted[i] = "'" + strings.ReplaceAll(e, "'", "''") + "'"
		}
	}
	return strings.Join(quoted, delimiters[:1])
}

func isQuote(c byte) bool { return c == '\'' || c == '"' }

// endOfQuotes returns the index of the quote that closes the one at start, or
// -1 if none does.
func endOfQuotes(text string, start int) int {
	for i := start + 1; i < len(text); i++ {
		if text[i] != text[start] {
			continue
		}
		if i+1 == len(text) || text[i+1] != text[start] {
			return i
		}
		i++ // A doubled quote stands for itself.
	}
	return -1
}

// unquote takes the quotes away from an element that begins with one.
func unquote(element string) (string, error) {
	if !isQuote(element[0]) {
		return element, nil
	}
	end := endOfQuotes(element, 0)
	if end < 0 {
		return "", errQuotes
	}
	if end != len(element)-1 {
		return "", fmt.Errorf("there is text after the closing quote of %s", clip(element))
	}
	quote := element[:1]
	return strings.ReplaceAll(element[1:end], quote+quote, quote), nil
}
