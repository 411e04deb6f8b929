package snapshot_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"syscall"
	"testing"

	"github.com/weirstream/weir/state/snapshot"
)

// readDamaged opens and reads all of a file, and returns the first error.
func readDamaged(file []byte) error {
	r, err := snapshot.Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return err
	}
	for i, info := range r.Sections() {
		entries := r.Entries(i)
		if info.Kind == snapshot.Keyed {
			entries = r.Keyed(i, 0, 0xffff)
		}
		for _, err := range entries {
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// TestEveryByteIsCovered changes each byte of a file in several ways (S4).
func TestEveryByteIsCovered(t *testing.T) {
	file := golden(t, "testdata/v1.txt")
	for at := range file {
		for _, mask := range []byte{1, 0x80, 0xff} {
			changed := bytes.Clone(file)
			changed[at] ^= mask
			if err := readDamaged(changed); !errors.Is(err, snapshot.ErrCorrupt) {
				t.Errorf("byte %d of %d changed by %02x: %v", at, len(file), mask, err)
			}
		}
	}
}

// TestTruncated cuts a file at each byte, and puts bytes behind it (S1).
func TestTruncated(t *testing.T) {
	file := golden(t, "testdata/v1.txt")
	for n := range file {
		if err := readDamaged(file[:n]); !errors.Is(err, snapshot.ErrTruncated) {
			t.Errorf("cut to %d of %d bytes: %v", n, len(file), err)
		}
		if err := readDamaged(file[n:]); n > 0 && err == nil {
			t.Errorf("without its first %d bytes it is read", n)
		}
	}
	for _, behind := range []string{"\x00", strings.Repeat("\x00", 100)} {
		if err := readDamaged(append(bytes.Clone(file), behind...)); err == nil {
			t.Errorf("with %d bytes behind it it is read", len(behind))
		}
	}
	if err := readDamaged(append(bytes.Clone(file), file...)); !errors.Is(err, snapshot.ErrCorrupt) {
		t.Errorf("twice in a row: %v", err)
	}
}

// TestLosesItsMiddle: the file knows how long it was.
func TestLosesItsMiddle(t *testing.T) {
	file := golden(t, "testdata/v1.txt")
	cut := append(bytes.Clone(file[:40]), file[50:]...)
	if err := readDamaged(cut); !errors.Is(err, snapshot.ErrCorrupt) || !strings.Contains(err.Error(), "it has 305 bytes, 315 were written") {
		t.Error(err)
	}
}

// TestLongEntryIsNotKept: what does not fit into a block goes out at once.
func TestLongEntryIsNotKept(t *testing.T) {
	var out bytes.Buffer
	w := snapshot.NewWriter(&out)
	if err := w.Begin(snapshot.Section{Kind: snapshot.Keyed}); err != nil {
		t.Fatal(err)
	}
	long := make([]byte, 2*snapshot.BlockSize)
	for group := range uint16(10) {
		if err := w.Keyed(group<<10, long); err != nil {
			t.Fatal(err)
		}
		if want := (int(group) + 1) * len(long); out.Len() < want {
			t.Errorf("after %d entries of %d bytes %d bytes are written", group+1, len(long), out.Len())
		}
	}
}

// TestShrinks has a file that gets shorter after it was opened.
func TestShrinks(t *testing.T) {
	file := golden(t, "testdata/v1.txt")
	for n := range file {
		in := bytes.NewReader(file)
		r, err := snapshot.Open(in, int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		in.Reset(file[:n])
		_, err = readAll(r, 0, 0xffff)
		if blocks := 24 + 148 + 8 + 4; (n < blocks) != errors.Is(err, snapshot.ErrTruncated) || n >= blocks && err != nil {
			t.Errorf("shortened to %d bytes: %v", n, err)
		}
	}
}

func TestNewerVersion(t *testing.T) {
	file := golden(t, "testdata/v1.txt")
	for version, want := range map[uint32]error{0: snapshot.ErrCorrupt, 2: snapshot.ErrVersion, math.MaxUint32: snapshot.ErrVersion} {
		newer := append(snapshot.HeaderOf(version), file[24:]...)
		err := readDamaged(newer)
		if !errors.Is(err, want) || !strings.Contains(err.Error(), fmt.Sprintf("version %d", version)) {
			t.Errorf("version %d: %v", version, err)
		}
		if err := readDamaged(newer[:30]); !errors.Is(err, want) {
			t.Errorf("version %d, a footer that is not known: %v", version, err)
		}
	}
}

// TestNamesWhatIsDamaged: the messages have section, operator and offset.
func TestNamesWhatIsDamaged(t *testing.T) {
	file := golden(t, "testdata/v1.txt")
	for at, want := range map[int]string{
		0:                `begins with`,
		8:                `the header has checksum`,
		24:               `keyed section "sum" of operator "counts": the block of 148 bytes at offset 24 has checksum`,
		24 + 148:         `list section "splits" of operator "src": the block of 8 bytes at offset 172 has checksum`,
		24 + 148 + 8:     `union list section "u" of operator "src": the block of 4 bytes at offset 180`,
		24 + 148 + 8 + 4: `the footer at offset 184 has checksum`,
		len(file) - 40:   fmt.Sprintf(`the trailer at offset %d has checksum`, len(file)-40),
		len(file) - 1:    `ends with`,
	} {
		changed := bytes.Clone(file)
		changed[at] ^= 4
		if err := readDamaged(changed); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("byte %d: %v, want %q in it", at, err, want)
		}
	}
}

// TestImpossible has files whose checksums are right and whose contents are not
// possible (S5).
func TestImpossible(t *testing.T) {
	le := func(sum uint64) string {
		b := make([]byte, 8)
		for i := range b {
			b[i] = byte(sum >> (8 * i))
		}
		return string(b)
	}
	section := func(kind, entries, blocks string) string { return "\x01" + kind + "\x01o\x01n\x00" + entries + blocks }
	for _, test := range []struct{ name, blocks, footer, want string }{
		{"no footer", "", "", "number of sections is not there"},
		{"more sections than bytes", "", "\x7f", "number of sections is 127"},
		{"unknown kind", "", "\x01\x05\x00\x00\x00\x00\x00", "unknown kind 5"},
		{"kind zero", "", "\x01\x00\x00\x00\x00\x00\x00", "unknown kind 0"},
		{"operator behind the end", "", "\x01\x01\x7foperator", "operator of 127 bytes"},
		{"huge name", "", "\x01\x01\x00\xff\xff\xff\xff\x0fname", "length of the name is 4294967295"},
		{"number too long", "", "\x01\x01\x00\x00\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", "number of entries is not there"},
		{"entries without blocks", "", section("\x01", "\x01", "\x00"), "has 1 entries, its blocks have 0"},
		{"more blocks than bytes", "", section("\x02", "\x01", "\x02"), "number of blocks is 2"},
		{"range upside down", "\x05\x00\x00", section("\x01", "\x01", "\x01\x05\x00\x04\x00\x01\x03"+le(0)), "key groups 5 to 4"},
		{"block behind the end", "\x01a", section("\x02", "\x01", "\x01\x01\x03"+le(0)), "length of a block is 3"},
		{"empty block", "", section("\x02", "\x00", "\x01\x00\x00"+le(0)), "of 0 bytes with 0 entries"},
		{"more entries than bytes", "\x00", section("\x02", "\x02", "\x01\x02\x01"+le(0)), "of 1 bytes with 2 entries"},
		{"bytes of no block", "\x01a\x01", section("\x02", "\x01", "\x01\x01\x02"+le(0)), "the blocks end at offset 26"},
		{"bytes behind the sections", "", "\x00\x00", "1 bytes behind the last section"},
		{"twice the same", "", "\x02\x02\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00", "is there twice"},
		{"entry behind its block", "\x05a", section("\x02", "\x01", "\x01\x01\x02"+sum("\x05a")), "entry 0 of 1 is not there"},
		{"too few entries", "\x01a", section("\x02", "\x02", "\x01\x02\x02"+sum("\x01a")), "entry 1 of 2 is not there"},
		{"too many entries", "\x01a\x01b", section("\x02", "\x01", "\x01\x01\x04"+sum("\x01a\x01b")), "2 bytes behind the last of 1 entries"},
		{"keyed, too few entries", "\x00\x00\x03abc", section("\x01", "\x02", "\x01\x00\x00\x00\x00\x02\x06"+sum("\x00\x00\x03abc")), "entry 1 of 2 is not there"},
		{"keyed, too many entries", "\x00\x00\x00\x00\x00\x00", section("\x01", "\x01", "\x01\x00\x00\x00\x00\x01\x06"+sum("\x00\x00\x00\x00\x00\x00")), "3 bytes behind the last of 1 entries"},
		{"keyed, length behind the block", "\x00\x00\x01", section("\x01", "\x01", "\x01\x00\x00\x00\x00\x01\x03"+sum("\x00\x00\x01")), "its length is impossible"},
		{"group out of its block's range", "\x05\x00\x00", section("\x01", "\x01", "\x01\x06\x00\x08\x00\x01\x03"+sum("\x05\x00\x00")), "is of group 5"},
	} {
		err := readDamaged(snapshot.Seal([]byte(test.blocks), []byte(test.footer)))
		if !errors.Is(err, snapshot.ErrCorrupt) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q in it", test.name, err, test.want)
		}
	}
}

// TestWriterRefuses: each misuse is told, and the file is never completed (S1).
func TestWriterRefuses(t *testing.T) {
	begin := func(w *snapshot.Writer, kind snapshot.Kind) {
		if err := w.Begin(snapshot.Section{Operator: "o", Name: "n", Kind: kind}); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		want string
		do   func(w *snapshot.Writer) error
	}{
		{"before the first section", func(w *snapshot.Writer) error { return w.Keyed(0, nil) }},
		{"before the first section", func(w *snapshot.Writer) error { return w.Entry(nil) }},
		{"there is no such kind", func(w *snapshot.Writer) error { return w.Begin(snapshot.Section{}) }},
		{"there is no such kind", func(w *snapshot.Writer) error { return w.Begin(snapshot.Section{Kind: snapshot.Broadcast + 1}) }},
		{`keyed section "n" of operator "o": an entry without a key group`, func(w *snapshot.Writer) error { begin(w, snapshot.Keyed); return w.Entry(nil) }},
		{`list section "n" of operator "o": an entry with a key group`, func(w *snapshot.Writer) error { begin(w, snapshot.List); return w.Keyed(0, nil) }},
		{"begins a second time", func(w *snapshot.Writer) error {
			begin(w, snapshot.List)
			begin(w, snapshot.Keyed)
			return w.Begin(snapshot.Section{Operator: "o", Name: "n", Kind: snapshot.List})
		}},
		{"at most 1048576 are possible", func(w *snapshot.Writer) error {
			return w.Begin(snapshot.Section{Name: strings.Repeat("n", snapshot.MaxName+1), Kind: snapshot.List})
		}},
		{"an entry of key group 9: the task has the groups 10 to 12", func(w *snapshot.Writer) error {
			if err := w.Groups(10, 12); err != nil {
				return err
			}
			begin(w, snapshot.Keyed)
			return w.Keyed(9, nil)
		}},
		{"an entry of key group 13", func(w *snapshot.Writer) error {
			if err := w.Groups(10, 12); err != nil {
				return err
			}
			begin(w, snapshot.Keyed)
			return w.Keyed(13, nil)
		}},
		{"the first is behind the last", func(w *snapshot.Writer) error { return w.Groups(2, 1) }},
		{"after the first section", func(w *snapshot.Writer) error { begin(w, snapshot.List); return w.Groups(0, 1) }},
	} {
		var out bytes.Buffer
		w := snapshot.NewWriter(&out)
		first := test.do(w)
		if first == nil || !strings.Contains(first.Error(), test.want) {
			t.Errorf("%v, want %q in it", first, test.want)
			continue
		}
		if err := w.Keyed(0, nil); !errors.Is(err, first) {
			t.Errorf("%q: then an entry: %v", test.want, err)
		}
		if err := w.Entry(nil); !errors.Is(err, first) {
			t.Errorf("%q: then an entry: %v", test.want, err)
		}
		if _, err := w.Close(); !errors.Is(err, first) {
			t.Errorf("%q: then Close: %v", test.want, err)
		}
		if err := readDamaged(out.Bytes()); err == nil {
			t.Errorf("%q: the file is complete", test.want)
		}
	}
}

func TestNothingAfterClose(t *testing.T) {
	for name, do := range map[string]func(*snapshot.Writer) error{
		"Keyed":  func(w *snapshot.Writer) error { return w.Keyed(0, nil) },
		"Entry":  func(w *snapshot.Writer) error { return w.Entry(nil) },
		"Begin":  func(w *snapshot.Writer) error { return w.Begin(snapshot.Section{Kind: snapshot.List}) },
		"Groups": func(w *snapshot.Writer) error { return w.Groups(0, 1) },
		"Close":  func(w *snapshot.Writer) error { _, err := w.Close(); return err },
	} {
		var out bytes.Buffer
		w := snapshot.NewWriter(&out)
		if _, err := goldenContent.writeTo(w); err != nil {
			t.Fatal(err)
		}
		if err := do(w); err == nil {
			t.Errorf("%s after Close is accepted", name)
		}
		if err := readDamaged(out.Bytes()); err != nil {
			t.Errorf("%s after Close damaged the file: %v", name, err)
		}
	}
}

// full takes so many bytes and no more.
type full struct {
	room  int
	short bool
}

func (f *full) Write(b []byte) (int, error) {
	if len(b) > f.room {
		n := f.room
		f.room = 0
		if f.short {
			return n, nil
		}
		return n, syscall.ENOSPC
	}
	f.room -= len(b)
	return len(b), nil
}

// TestFull has the disk full at every byte.
func TestFull(t *testing.T) {
	size := len(golden(t, "testdata/v1.txt"))
	for room := range size + 1 {
		for _, short := range []bool{false, true} {
			want := error(syscall.ENOSPC)
			if short {
				want = io.ErrShortWrite
			}
			w := snapshot.NewWriter(&full{room: room, short: short})
			_, err := goldenContent.writeTo(w)
			if (room < size) != errors.Is(err, want) {
				t.Errorf("room for %d of %d bytes: %v", room, size, err)
			}
			if _, again := w.Close(); again == nil {
				t.Errorf("room for %d of %d bytes: Close after an error succeeds", room, size)
			}
		}
	}
}

// TestAskedWrongly: what a file does not have is an error and no panic.
func TestAskedWrongly(t *testing.T) {
	r := open(t, golden(t, "testdata/v1.txt"))
	for name, entries := range map[string]func(func([]byte, error) bool){
		"keyed entries of a list":  r.Keyed(1, 0, 1),
		"entries of a keyed":       r.Entries(0),
		"a section before":         r.Entries(-1),
		"a section behind":         r.Keyed(4, 0, 1),
		"a range that is reversed": r.Keyed(0, 2, 1),
	} {
		n := 0
		for data, err := range entries {
			n++
			if data != nil || err == nil {
				t.Errorf("%s: %q, %v", name, data, err)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d answers", name, n)
		}
	}
}
