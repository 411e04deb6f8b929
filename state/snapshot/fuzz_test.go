package snapshot_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/zeebo/xxh3"

	"github.com/weirstream/weir/state/snapshot"
)

// sum is the checksum as a footer has it.
func sum(block string) string {
	return string(binary.LittleEndian.AppendUint64(nil, xxh3.HashString(block)))
}

// FuzzOpen reads arbitrary bytes: what is no snapshot is refused with one of
// the three errors.
func FuzzOpen(f *testing.F) {
	file := golden(f, "testdata/v1.txt")
	f.Add(file)
	f.Add(file[:len(file)-1])
	f.Add(file[:30])
	f.Add([]byte{})
	empty, _ := write(f, nil)
	f.Add(empty)
	f.Fuzz(func(t *testing.T, file []byte) { check(t, readDamaged(file)) })
}

// FuzzSealed reads arbitrary blocks and an arbitrary footer whose checksums are
// right: where the two fit together, what is read can be written again.
func FuzzSealed(f *testing.F) {
	f.Add([]byte("\x01a\x01b"), []byte("\x01\x02\x01o\x01n\x00\x02\x01\x02\x04"))
	f.Add([]byte("\x07\x00\x01a\x08\x00\x00"), []byte("\x01\x01\x01o\x01n\x02ab\x02\x01\x07\x00\x08\x00\x02\x07"))
	f.Add([]byte(""), []byte("\x00"))
	f.Add([]byte("\x05a"), []byte("\x01\x02\x01o\x01n\x00\x01\x01\x01\x02"))
	f.Fuzz(func(t *testing.T, blocks, footer []byte) {
		// A checksum at the end of the footer makes the last block a right one.
		for _, footer := range [][]byte{footer, append(bytes.Clone(footer), sum(string(blocks))...)} {
			file := snapshot.Seal(blocks, footer)
			err := readDamaged(file)
			check(t, err)
			if err == nil {
				rewrite(t, file)
			}
		}
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, snapshot.ErrCorrupt) && !errors.Is(err, snapshot.ErrTruncated) && !errors.Is(err, snapshot.ErrVersion) {
		t.Errorf("none of the three errors: %v", err)
	}
}

// rewrite writes the sections of a file that was read without an error to
// another one, and compares what both have.
func rewrite(t *testing.T, file []byte) {
	t.Helper()
	var again bytes.Buffer
	w := snapshot.NewWriter(&again)
	r := open(t, file)
	for i, info := range r.Sections() {
		if err := w.Begin(info.Section); err != nil {
			t.Fatal(err)
		}
		if info.Kind != snapshot.Keyed {
			for data, err := range r.Entries(i) {
				if err != nil {
					t.Fatal(err)
				}
				if err := w.Entry(data); err != nil {
					t.Fatal(err)
				}
			}
			continue
		}
		n := rewriteKeyed(t, w, r, i, 0, 0xffff)
		if n != info.Entries {
			t.Fatalf("%v: %d entries by group, %d in all", info.Section, n, info.Entries)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, again.Bytes())
	for i, info := range r.Sections() {
		if got := s.Sections()[i]; got.Entries != info.Entries || got.String() != info.String() || !bytes.Equal(got.Shape, info.Shape) {
			t.Errorf("written again %+v is %+v", info, got)
		}
	}
}

// rewriteKeyed writes the entries of a range group by group, which it finds by
// halving the range, and returns their number.
func rewriteKeyed(t *testing.T, w *snapshot.Writer, r *snapshot.Reader, section int, first, last uint16) (n uint64) {
	t.Helper()
	for data, err := range r.Keyed(section, first, last) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if first < last {
			break
		}
		if err := w.Keyed(first, data); err != nil {
			t.Fatal(err)
		}
	}
	if n == 0 || first == last {
		return n
	}
	middle := first + (last-first)/2
	return rewriteKeyed(t, w, r, section, first, middle) + rewriteKeyed(t, w, r, section, middle+1, last)
}
