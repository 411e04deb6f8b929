package snapshot_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/weirstream/weir/state/snapshot"
)

// golden reads the hexadecimal bytes of a file; what is behind # is comment.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b
}

// goldenContent is what testdata/v1.txt describes.
var goldenContent = content{
	{
		Section: snapshot.Section{Operator: "counts", Name: "sum", Kind: snapshot.Keyed, Shape: []byte{1, 2, 3}},
		entries: []entry{{group: 0xffff, data: "last"}, {group: 7, data: ""}, {group: 0x0102, data: strings.Repeat("x", 130)}, {group: 7, data: "b"}},
	},
	{
		Section: snapshot.Section{Operator: "src", Name: "splits", Kind: snapshot.List},
		entries: []entry{{data: "one"}, {data: "two"}},
	},
	{Section: snapshot.Section{Operator: "src", Name: "u", Kind: snapshot.UnionList}, entries: []entry{{data: "all"}}},
	{Section: snapshot.Section{Operator: "rules", Name: "r", Kind: snapshot.Broadcast}},
}

func TestGolden(t *testing.T) {
	want := golden(t, "testdata/v1.txt")
	got, summary := write(t, goldenContent)
	if !bytes.Equal(got, want) {
		t.Errorf("written:\n%s\nwant:\n%s", hex.Dump(got), hex.Dump(want))
	}
	if summary.Size != int64(len(want)) || summary.Digest != sha256.Sum256(want) || summary.Entries != 7 {
		t.Errorf("summary %+v of %d bytes with digest %x and 7 entries", summary, len(want), sha256.Sum256(want))
	}
	// In a file the entries of a group keep their order, and groups are as the
	// parts of the writer have them.
	all := read(t, open(t, want), 0, 0xffff)
	expect := goldenContent.clone()
	e := expect[0].entries
	expect[0].entries = []entry{e[1], e[2], e[3], e[0]}
	expect.compare(t, all)
}
