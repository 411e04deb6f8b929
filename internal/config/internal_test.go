package config

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSplitList(t *testing.T) {
	for text, want := range map[string][]string{
		"":              nil,
		" ; ;":          nil,
		"a":             {"a"},
		"a;b;c":         {"a", "b", "c"},
		" a ; b ":       {"a", "b"},
		"'a;b';c":       {"a;b", "c"},
		`"a;b";c`:       {"a;b", "c"},
		"'it''s';b":     {"it's", "b"},
		`"say ""x""";b`: {`say "x"`, "b"},
		"it's;b":        {"it's", "b"}, // A quote inside of an element is a letter.
		"'';b":          {"", "b"},
		"''''":          {"'"},
		" 'a' ;b":       {"a", "b"},
	} {
		if got, err := splitList(text, ";"); err != nil || !slices.Equal(got, want) {
			t.Errorf("splitList(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"'a;b":   "a quote is not closed",
		"a;'":    "a quote is not closed",
		"'abc''": "a quote is not closed",
		"'a'b;c": "text after the closing quote",
	} {
		if got, err := splitList(text, ";"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("splitList(%q) = %q, %v, want an error with %q", text, got, err, want)
		}
	}
}

// TestListRoundTrip: whatever the elements are, the joined text is split into
// the same.
func TestListRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		elements := rapid.SliceOf(rapid.StringOf(rapid.SampledFrom([]rune("ab ;,:'\"é\t")))).Draw(t, "elements")
		got, err := splitList(joinList(elements, ",;:"), ",;:")
		if err != nil || !slices.Equal(got, elements) {
			t.Fatalf("%q is joined to %q and split to %q, %v", elements, joinList(elements, ",;:"), got, err)
		}
	})
}

// slowDistance is the definition of the distance, word for word.
func slowDistance(a, b string) int {
	if a == "" || b == "" {
		return len(a) + len(b)
	}
	cost := 1
	if a[len(a)-1] == b[len(b)-1] {
		cost = 0
	}
	shorterA, shorterB := a[:len(a)-1], b[:len(b)-1]
	least := min(slowDistance(shorterA, b)+1, slowDistance(a, shorterB)+1, slowDistance(shorterA, shorterB)+cost)
	if n, m := len(a), len(b); n > 1 && m > 1 && a[n-1] == b[m-2] && a[n-2] == b[m-1] {
		least = min(least, slowDistance(a[:n-2], b[:m-2])+1)
	}
	return least
}

// TestDistance compares all pairs of short words with the definition.
func TestDistance(t *testing.T) {
	words := []string{""}
	for i := 0; len(words[i]) < 4; i++ {
		words = append(words, words[i]+"a", words[i]+"b", words[i]+"c")
	}
	for _, a := range words {
		for _, b := range words {
			want := slowDistance(a, b)
			for _, limit := range []int{1, 2, 3, 9} {
				if got := distance(a, b, limit); got != min(limit, want) {
					t.Fatalf("distance(%q, %q, %d) = %d, want %d", a, b, limit, got, min(limit, want))
				}
			}
		}
	}
}

func TestClip(t *testing.T) {
	for length := 100; length < 130; length++ {
		text := strings.Repeat("é", length)
		got := clip(text)
		if len(text) <= 120 && got != text || len(text) > 120 && (len(got) > 123 || !strings.HasSuffix(got, "é…")) {
			t.Errorf("clip of %d bytes is %q", len(text), got)
		}
	}
	if got := clip(strings.Repeat("\x80", 200)); len(got) > 123 {
		t.Errorf("clip of bytes that are not text has %d bytes", len(got))
	}
}

// A secret that is not allowed is not quoted, nor what its parser says of it.
func TestABadSecretIsMasked(t *testing.T) {
	var a area
	secret := a.defineUnset("reporter.password", duration(0), "(none)", Client, "A secret.")
	b := newBuilder(nil, nil)
	b.set(secret.key, setting{key: "reporter.password", text: "hunter2"}, Source{Kind: FromOverride})
	_, _, err := b.build()
	if want := `-D: key "reporter.password" has the bad value "******": want a duration such as 10 s`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
