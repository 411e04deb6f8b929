package key_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/key"
)

var update = flag.Bool("update", false, "add missing lines to testdata/golden.txt")

// goldenLine is "name hash encoding" of one key; the reference must agree.
func goldenLine[K comparable](t *testing.T, name string, k K) string {
	t.Helper()
	kind := kindOf[K](t)
	line := fmt.Sprintf("%s %016x %x", name, kind.HashOne(k), kind.Append(nil, &k))
	r := referenceOf(k)
	if want := fmt.Sprintf("%s %016x %x", name, r.hash(), r.encoded); line != want {
		t.Errorf("reference: %s\n      got: %s", want, line)
	}
	return line
}

// TestGolden holds hash and encoding to what was released. State of users
// depends on every line: add lines, never change one.
func TestGolden(t *testing.T) {
	const path = "testdata/golden.txt"
	lines := []string{
		goldenLine(t, "bool-false", false),
		goldenLine(t, "bool-true", true),
		goldenLine(t, "int-0", 0),
		goldenLine(t, "int-1", 1),
		goldenLine(t, "int-minus-1", -1),
		goldenLine(t, "int8-minus-128", int8(-128)),
		goldenLine(t, "int16-300", int16(300)),
		goldenLine(t, "int32-min", int32(-1<<31)),
		goldenLine(t, "int64-max", int64(1<<63-1)),
		goldenLine(t, "uint-42", uint(42)),
		goldenLine(t, "uint8-255", uint8(255)),
		goldenLine(t, "uint16-65535", uint16(65535)),
		goldenLine(t, "uint32-max", uint32(1<<32-1)),
		goldenLine(t, "uint64-max", uint64(1<<64-1)),
		goldenLine(t, "string-empty", ""),
		goldenLine(t, "string-JFK", "JFK"),
		goldenLine(t, "string-16", "0123456789abcdef"),
		goldenLine(t, "string-200", strings.Repeat("weir ", 40)),
		goldenLine(t, "string-utf8", "Zürich"),
		goldenLine(t, "userID", userID("u-1")),
		goldenLine(t, "empty", struct{}{}),
		goldenLine(t, "bytes-3", airport{'J', 'F', 'K'}),
		goldenLine(t, "bytes-16", [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}),
		goldenLine(t, "bytes-65", [65]byte{64: 1}),
		goldenLine(t, "array-of-int32", [3]int32{1, -2, 3}),
		goldenLine(t, "array-of-bool", [2]bool{false, true}),
		goldenLine(t, "pair", pair{1, 2}),
		goldenLine(t, "padded", padded{A: -1, B: 2, c: true}),
		goldenLine(t, "route", route{airport{'J', 'F', 'K'}, airport{'L', 'A', 'X'}}),
		goldenLine(t, "mixed", mixed{ID: [16]byte{15: 9}, Day: 15000, Extra: [8]byte{1}}),
		goldenLine(t, "eight-words", [8]uint64{1, 2, 3, 4, 5, 6, 7, 8}),
		goldenLine(t, "nine-words", wide{[9]uint64{1, 2, 3, 4, 5, 6, 7, 8, 9}}),
		goldenLine(t, "wrapped", wrapped{ID: "JFK"}),
		goldenLine(t, "nested", nested{Carrier: "AA", Route: route{From: airport{'J'}}, tail: "N1"}),
	}
	old, err := os.ReadFile(path)
	if err != nil && !*update {
		t.Fatal(err)
	}
	got := strings.Join(lines, "\n") + "\n"
	if *update && strings.HasPrefix(got, string(old)) {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != string(old) {
		t.Errorf("hash or encoding differ from %s; got:\n%s", path, got)
	}
}

// FuzzDecode checks K2 on a kind that has every leaf: no bytes panic, and what
// decodes encodes to the same bytes.
func FuzzDecode(f *testing.F) {
	type all struct {
		B   bool
		I8  int8
		U16 uint16
		I32 int32
		U64 uint64
		S   string
		A   [5]byte
		T   userID
	}
	kind, err := key.For[all]()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(kind.Append(nil, &all{}))
	f.Add(kind.Append(nil, &all{true, -1, 2, -3, 4, "five", [5]byte{6}, "seven"}))
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, src []byte) {
		var k all
		n, err := kind.Decode(src, &k)
		if err != nil {
			return
		}
		if got := kind.Append(nil, &k); string(got) != string(src[:n]) {
			t.Errorf("%x decodes to %#v, which encodes to %x", src[:n], k, got)
		}
	})
}
