package metadata_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weirstream/weir/checkpoint"
	"github.com/weirstream/weir/checkpoint/metadata"
	"github.com/weirstream/weir/internal/ids"
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

// sequence has n bytes, each one more than the one before.
func sequence(from byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = from + byte(i)
	}
	return b
}

// example is what testdata/v1.txt describes.
func example() *metadata.Metadata {
	return &metadata.Metadata{
		Kind: metadata.Checkpoint, Mode: checkpoint.AtLeastOnce,
		Job: ids.JobID(sequence(0, 16)), JobName: "flights", ID: 300, Attempt: 3,
		Triggered: time.UnixMilli(1790000000123).UTC(), Acknowledged: time.UnixMilli(1790000001000).UTC(),
		Final: true, Fingerprint: [32]byte(sequence(32, 32)),
		Vertices: []metadata.Vertex{
			{
				Operators: []string{"src", "map"},
				Tasks: []metadata.Task{
					{
						Snapshot: metadata.Snapshot{Name: "chk-300/0-0", Size: 1 << 20, Digest: [32]byte(sequence(64, 32))},
						Figures:  checkpoint.Figures{StateSize: 5 << 20, StoredSize: 1 << 20, StartDelay: 1000, Alignment: 2000, Sync: 3000, Async: 4000},
					},
					{Snapshot: metadata.Inline([]byte("WEIRSNAP"))},
				},
				Source: &metadata.Source{Splits: []metadata.Split{{ID: "s1", Data: []byte{1, 2}}, {ID: "s2"}}},
			},
			{
				Operators: []string{"sink"},
				Tasks:     []metadata.Task{{Snapshot: metadata.Inline([]byte("WEIRSNAP"))}},
				Source:    &metadata.Source{},
			},
		},
	}
}

func TestGolden(t *testing.T) {
	want := golden(t, "testdata/v1.txt")
	got, err := metadata.Encode(example())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("encoded:\n%s\nwant:\n%s", hex.Dump(got), hex.Dump(want))
	}
	m, err := metadata.Decode(want)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(m, example()) {
		t.Errorf("decoded:\n%+v\nwant:\n%+v", m, example())
	}
}

// TestEveryByteIsCovered changes each byte of a file in several ways (M2; c13 of
// the catalogue of bugs: a damaged file is an error and nothing else).
func TestEveryByteIsCovered(t *testing.T) {
	file := golden(t, "testdata/v1.txt")
	for at := range file {
		for _, mask := range []byte{1, 0x80, 0xff} {
			changed := bytes.Clone(file)
			changed[at] ^= mask
			if _, err := metadata.Decode(changed); !errors.Is(err, metadata.ErrCorrupt) && (at < 16 || at >= 24 || !errors.Is(err, metadata.ErrTruncated)) {
				t.Errorf("byte %d of %d changed by %02x: %v", at, len(file), mask, err)
			}
		}
	}
}

func TestTruncated(t *testing.T) {
	file := golden(t, "testdata/v1.txt")
	for n := range file {
		if _, err := metadata.Decode(file[:n]); !errors.Is(err, metadata.ErrTruncated) {
			t.Errorf("cut to %d of %d bytes: %v", n, len(file), err)
		}
	}
	if _, err := metadata.Decode(append(bytes.Clone(file), 0)); !errors.Is(err, metadata.ErrCorrupt) {
		t.Errorf("with a byte behind it: %v", err)
	}
	if _, err := metadata.Decode([]byte("<html>")); !errors.Is(err, metadata.ErrCorrupt) {
		t.Errorf("another file: %v", err)
	}
}

// TestNewerVersion: the number says what is wrong, whatever the message is.
func TestNewerVersion(t *testing.T) {
	for version, want := range map[uint32]error{0: metadata.ErrCorrupt, 2: metadata.ErrVersion, 1 << 31: metadata.ErrVersion} {
		for _, message := range []string{"", "\xff of another kind"} {
			_, err := metadata.Decode(metadata.Seal(version, []byte(message)))
			if !errors.Is(err, want) || !strings.Contains(err.Error(), fmt.Sprintf("version %d", version)) {
				t.Errorf("version %d: %v", version, err)
			}
		}
	}
}

// TestUnknownFields: what a version does not have is refused, wherever it is.
func TestUnknownFields(t *testing.T) {
	field := func(number protowire.Number, value []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
	}
	unknown := field(77, nil)
	message := golden(t, "testdata/v1.txt")[56:]
	for name, more := range map[string][]byte{
		"Metadata": unknown,
		"Vertex":   field(11, unknown),
		"Source":   field(11, field(3, unknown)),
		"Split":    field(11, field(3, field(1, unknown))),
		"Task":     field(11, field(2, unknown)),
		"Snapshot": field(11, field(2, field(1, unknown))),
		"Figures":  field(11, field(2, field(2, unknown))),
	} {
		_, err := metadata.Decode(metadata.Seal(1, append(bytes.Clone(message), more...)))
		if !errors.Is(err, metadata.ErrCorrupt) || !strings.Contains(err.Error(), "a "+name+" has a field that version 1 does not have") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestManyElements: what would need much more memory than the file has bytes is
// counted before it is allocated (M3).
func TestManyElements(t *testing.T) {
	message := golden(t, "testdata/v1.txt")[56:]
	vertex := func(inner []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(bytes.Clone(message), 11, protowire.BytesType), inner)
	}
	n := metadata.MaxElements + 1
	for name, more := range map[string][]byte{
		"vertices":  append(bytes.Clone(message), bytes.Repeat([]byte{11<<3 | 2, 0}, n)...),
		"operators": vertex(bytes.Repeat([]byte{1<<3 | 2, 0}, n)),
		"tasks":     vertex(bytes.Repeat([]byte{2<<3 | 2, 0}, n)),
		"splits":    vertex(protowire.AppendBytes([]byte{3<<3 | 2}, bytes.Repeat([]byte{1<<3 | 2, 0}, n))),
	} {
		_, err := metadata.Decode(metadata.Seal(1, more))
		if !errors.Is(err, metadata.ErrCorrupt) || !strings.Contains(err.Error(), "at most 4194304 are possible") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestImpossible: each thing that a checkpoint cannot be is refused by Encode, with
// where it is (M4).
func TestImpossible(t *testing.T) {
	long := strings.Repeat("x", metadata.MaxText+1)
	task := func(m *metadata.Metadata) *metadata.Task { return &m.Vertices[0].Tasks[1] }
	for _, test := range []struct {
		want   string
		change func(m *metadata.Metadata)
	}{
		{"unknown kind 0", func(m *metadata.Metadata) { m.Kind = 0 }},
		{"unknown kind 3", func(m *metadata.Metadata) { m.Kind = 3 }},
		{"unknown mode 9", func(m *metadata.Metadata) { m.Mode = 9 }},
		{"no job id", func(m *metadata.Metadata) { m.Job = ids.JobID{} }},
		{"a job name of 65537 bytes", func(m *metadata.Metadata) { m.JobName = long }},
		{"id 0 and attempt 3", func(m *metadata.Metadata) { m.ID = 0 }},
		{"attempt 0", func(m *metadata.Metadata) { m.Attempt = 0 }},
		{"it has 0 vertices", func(m *metadata.Metadata) { m.Vertices = nil }},
		{"it has 4097 vertices", func(m *metadata.Metadata) { m.Vertices = make([]metadata.Vertex, 4097) }},
		{"vertex 1: it has no operators", func(m *metadata.Metadata) { m.Vertices[1].Operators = nil }},
		{`operator "map" is in vertex 0 and in vertex 1`, func(m *metadata.Metadata) { m.Vertices[1].Operators[0] = "map" }},
		{`operator "src" is in vertex 0 and in vertex 0`, func(m *metadata.Metadata) { m.Vertices[0].Operators[1] = "src" }},
		{"vertex 0: the id of an operator has 0 bytes", func(m *metadata.Metadata) { m.Vertices[0].Operators[1] = "" }},
		{"the id of an operator has 65537 bytes", func(m *metadata.Metadata) { m.Vertices[0].Operators[1] = long }},
		{`vertex 0: operator "src": it has 0 subtasks`, func(m *metadata.Metadata) { m.Vertices[0].Tasks = nil }},
		{"it has 65537 subtasks", func(m *metadata.Metadata) { m.Vertices[0].Tasks = make([]metadata.Task, 65537) }},
		{`vertex 0: operator "src": subtask 1: its snapshot has the name "" and 0 bytes inline`, func(m *metadata.Metadata) { task(m).Snapshot = metadata.Snapshot{} }},
		{`its snapshot has the name "x" and 8 bytes inline`, func(m *metadata.Metadata) { task(m).Snapshot.Name = "x" }},
		{`the name "../x"`, func(m *metadata.Metadata) { m.Vertices[0].Tasks[0].Snapshot.Name = "../x" }},
		{`the name "/etc/x"`, func(m *metadata.Metadata) { m.Vertices[0].Tasks[0].Snapshot.Name = "/etc/x" }},
		{`the name "."`, func(m *metadata.Metadata) { m.Vertices[0].Tasks[0].Snapshot.Name = "." }},
		{`the name "xxx`, func(m *metadata.Metadata) { m.Vertices[0].Tasks[0].Snapshot.Name = long }},
		{"a size of 9 bytes, with 8 bytes inline", func(m *metadata.Metadata) { task(m).Snapshot.Size = 9 }},
		{"a size of 0 bytes", func(m *metadata.Metadata) { m.Vertices[0].Tasks[0].Snapshot.Size = 0 }},
		{"its inline snapshot has digest", func(m *metadata.Metadata) { task(m).Snapshot.Inline[0]++ }},
		{"a negative figure", func(m *metadata.Metadata) { task(m).StateSize = -1 }},
		{"a negative figure", func(m *metadata.Metadata) { task(m).Async = -1 }},
		{"split 1: an id of 65537 bytes", func(m *metadata.Metadata) { m.Vertices[0].Source.Splits[1].ID = long }},
		{"invalid UTF-8", func(m *metadata.Metadata) { m.JobName = "\xff" }},
		{"it has 4194311 vertices", func(m *metadata.Metadata) {
			m.Vertices[0].Source.Splits = make([]metadata.Split, metadata.MaxElements-1)
		}},
	} {
		m := example()
		test.change(m)
		_, err := metadata.Encode(m)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want %q in it", err, test.want)
		}
		if _, id, found := strings.Cut(fmt.Sprint(err), "checkpoint "); !found || !strings.HasPrefix(id, fmt.Sprint(m.ID)) {
			t.Errorf("%v, without the checkpoint's id", err)
		}
	}
}

// TestDecodeChecks: what Encode refuses, Decode does too, and the fields that only
// a message can have wrong.
func TestDecodeChecks(t *testing.T) {
	message := golden(t, "testdata/v1.txt")[56:]
	for _, test := range []struct{ more, want string }{
		{"\x08\x00", "unknown kind 0"},
		{"\x08\x07", "unknown kind 7"},
		{"\x10\x00", "unknown mode 0"},
		{"\x1a\x02ab", "a job id of 2 bytes"},
		{"\x52\x02ab", "a fingerprint of 2 bytes"},
		{"\x28\x00", "id 0 and attempt 3"},
		{"\x5a\x00", "vertex 2: it has no operators"},
		{"\x5a\x05\x0a\x03map", `operator "map" is in vertex 0 and in vertex 2`},
		{"\x5a\x02\x12\x00", "vertex 2: subtask 0: a digest of 0 bytes"},
		{"\x5a\x01\x12", "unexpected EOF"},
		{"\x5a", "unexpected EOF"},
		{"\x5a\x31\x12\x2f\x0a\x2d\x1a\x20" + strings.Repeat("d", 32) + "\x10" + strings.Repeat("\xff", 9) + "\x01", "vertex 2: subtask 0: a size or a time is 18446744073709551615"},
	} {
		_, err := metadata.Decode(metadata.Seal(1, append(bytes.Clone(message), test.more...)))
		if !errors.Is(err, metadata.ErrCorrupt) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q in it", test.more, err, test.want)
		}
	}
}

// TestDecodeSharesNothing: a buffer may be used again.
func TestDecodeSharesNothing(t *testing.T) {
	file := golden(t, "testdata/v1.txt")
	m, err := metadata.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	clear(file)
	if !reflect.DeepEqual(m, example()) {
		t.Error("the result changes with the file")
	}
}

// FuzzDecode reads messages in an envelope that is right, and files as they are.
func FuzzDecode(f *testing.F) {
	file := golden(f, "testdata/v1.txt")
	f.Add(file, true)
	f.Add(file[56:], false)
	f.Add(file[56:100], false)
	f.Add([]byte("\x5a\x02\x12\x00"), false)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, b []byte, whole bool) {
		if !whole {
			b = metadata.Seal(1, b)
		}
		m, err := metadata.Decode(b)
		if err != nil {
			if !errors.Is(err, metadata.ErrCorrupt) && !errors.Is(err, metadata.ErrTruncated) && !errors.Is(err, metadata.ErrVersion) {
				t.Errorf("none of the three errors: %v", err)
			}
			return
		}
		again, err := metadata.Encode(m)
		if err != nil {
			t.Fatalf("what was decoded is not encoded: %v", err)
		}
		same, err := metadata.Decode(again)
		if err != nil || !reflect.DeepEqual(same, m) {
			t.Errorf("encoded again:\n%+v, %v\nwant:\n%+v", same, err, m)
		}
	})
}
