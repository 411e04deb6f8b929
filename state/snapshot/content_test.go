package snapshot_test

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"github.com/weirstream/weir/state/snapshot"
)

// content is what a file has: the model that files are compared with.
type content []section

type section struct {
	snapshot.Section
	entries []entry
}

type entry struct {
	group uint16
	data  string
}

func (c content) clone() content {
	d := slices.Clone(c)
	for i := range d {
		d[i].entries = slices.Clone(d[i].entries)
	}
	return d
}

// compare compares sections and entries in order.
func (c content) compare(t *testing.T, got content) {
	t.Helper()
	if len(got) != len(c) {
		t.Fatalf("%d sections, want %d", len(got), len(c))
	}
	for i, want := range c {
		if !reflect.DeepEqual(got[i].Section, want.Section) {
			t.Errorf("section %d is %+v, want %+v", i, got[i].Section, want.Section)
		}
		if want.Kind != snapshot.Keyed {
			for j := range want.entries {
				want.entries[j].group = 0
			}
		}
		if !slices.Equal(got[i].entries, want.entries) {
			t.Errorf("%v has %d entries, want %d, or in another order:\n%.300v\n%.300v", want.Section, len(got[i].entries), len(want.entries), got[i].entries, want.entries)
		}
	}
}

// writeTo writes the content with a writer that was made or reset.
func (c content) writeTo(w *snapshot.Writer) (snapshot.Summary, error) {
	var scratch []byte
	for _, s := range c {
		if err := w.Begin(s.Section); err != nil {
			return snapshot.Summary{}, err
		}
		for _, e := range s.entries {
			scratch = append(scratch[:0], e.data...)
			var err error
			if s.Kind == snapshot.Keyed {
				err = w.Keyed(e.group, scratch)
			} else {
				err = w.Entry(scratch)
			}
			if err != nil {
				return snapshot.Summary{}, err
			}
			clear(scratch) // an entry is copied
		}
	}
	return w.Close()
}

func write(t testing.TB, c content) ([]byte, snapshot.Summary) {
	t.Helper()
	var file bytes.Buffer
	summary, err := c.writeTo(snapshot.NewWriter(&file))
	if err != nil {
		t.Fatal(err)
	}
	return file.Bytes(), summary
}

func open(t testing.TB, file []byte) *snapshot.Reader {
	t.Helper()
	r, err := snapshot.Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// read reads a file's sections, of keyed ones the range of groups.
func read(t testing.TB, r *snapshot.Reader, first, last uint16) content {
	t.Helper()
	c, err := readAll(r, first, last)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func readAll(r *snapshot.Reader, first, last uint16) (c content, err error) {
	for i, info := range r.Sections() {
		s := section{Section: info.Section}
		if info.Kind == snapshot.Keyed {
			s.entries, err = grouped(r, i, first, last)
		} else {
			for data, failed := range r.Entries(i) {
				if failed != nil {
					err = failed
					break
				}
				s.entries = append(s.entries, entry{data: string(data)})
			}
		}
		if err != nil {
			return nil, err
		}
		c = append(c, s)
	}
	return c, nil
}

// grouped reads keyed entries. Those of goldenContent have the groups that it says,
// all others begin with theirs.
func grouped(r *snapshot.Reader, i int, first, last uint16) (entries []entry, err error) {
	for data, err := range r.Keyed(i, first, last) {
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{group: groupOf(string(data)), data: string(data)})
	}
	return entries, nil
}

func groupOf(data string) uint16 {
	for _, e := range goldenContent[0].entries {
		if e.data == data {
			return e.group
		}
	}
	return uint16(data[0]) | uint16(data[1])<<8
}
