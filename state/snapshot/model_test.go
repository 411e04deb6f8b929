package snapshot_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/key"
	"github.com/weirstream/weir/state/snapshot"
)

// randomEntry is an entry of the group, whose first two bytes are the group.
func randomEntry(rng *rand.Rand, group uint16) entry {
	length := rng.IntN(60)
	switch rng.IntN(1000) {
	case 0:
		length = snapshot.BlockSize - 12 + rng.IntN(24) // around the limit of a block
	case 1:
		length = 3 * snapshot.BlockSize
	case 2:
		length = 120 + rng.IntN(20) // around the second byte of a length
	}
	data := binary.LittleEndian.AppendUint16(make([]byte, 0, 2+length+8), group)
	for len(data) < 2+length {
		data = binary.LittleEndian.AppendUint64(data, rng.Uint64())
	}
	return entry{group: group, data: string(data[:2+length])}
}

// randomContent has entries of the groups from first to last in some of the
// sections.
func randomContent(rng *rand.Rand, first, last uint16) (c content) {
	kinds := []snapshot.Kind{snapshot.Keyed, snapshot.List, snapshot.UnionList, snapshot.Broadcast}
	for i := range rng.IntN(6) {
		s := section{Section: snapshot.Section{
			Operator: fmt.Sprintf("operator %d", i/2), Name: fmt.Sprintf("state %d", i), Kind: kinds[rng.IntN(len(kinds))],
		}}
		if rng.IntN(2) == 0 {
			s.Shape = []byte(strings.Repeat("shape", 1+rng.IntN(40)))
		}
		n := []int{0, 1, 10, 1000, 5000}[rng.IntN(5)]
		sparse := rng.IntN(3) == 0
		one := first + uint16(rng.IntN(int(last-first)+1))
		for range n {
			group := one // b4: keys in one group only
			if !sparse {
				group = first + uint16(rng.IntN(int(last-first)+1))
			}
			e := randomEntry(rng, group)
			if s.Kind != snapshot.Keyed {
				e.group = 0
			}
			s.entries = append(s.entries, e)
		}
		c = append(c, s)
	}
	return c
}

// byGroup returns the entries of the range in the order of their groups, those
// of a group in the order in which they are.
func byGroup(entries []entry, first, last uint16) []entry {
	own := slices.DeleteFunc(slices.Clone(entries), func(e entry) bool { return e.group < first || e.group > last })
	slices.SortStableFunc(own, func(a, b entry) int { return int(a.group) - int(b.group) })
	return own
}

// TestRescale has p1 subtasks write random state and p2 subtasks read what is
// theirs: each reads exactly the entries of its groups, and all of them together
// read everything once (reliability b4, b5).
func TestRescale(t *testing.T) {
	for round := range 20 {
		seed := uint64(round)
		rng := rand.New(rand.NewPCG(5, seed))
		p1, p2 := 1+rng.IntN(5), 1+rng.IntN(9)
		if round == 0 {
			p2 = 300
		}
		var old []content
		var files []*snapshot.Reader
		writer := snapshot.NewWriter(nil)
		for subtask := range p1 {
			first, last := key.GroupRange(subtask, p1)
			c := randomContent(rng, first, last)
			var file bytes.Buffer
			writer.Reset(&file)
			if rng.IntN(4) > 0 {
				if err := writer.Groups(first, last); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := c.writeTo(writer); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			old, files = append(old, c), append(files, open(t, file.Bytes()))
		}
		for i, c := range old {
			checkWhole(t, seed, files[i], c)
			for j, s := range c {
				if s.Kind == snapshot.Keyed {
					checkParts(t, seed, files[i], j, s, p2)
				}
			}
		}
	}
}

// checkParts has p subtasks read their entries of a keyed section.
func checkParts(t *testing.T, seed uint64, r *snapshot.Reader, i int, s section, p int) {
	t.Helper()
	rest := byGroup(s.entries, 0, 0xffff)
	for subtask := range p {
		first, last := key.GroupRange(subtask, p)
		n := 0
		for n < len(rest) && rest[n].group <= last {
			n++
		}
		part, err := grouped(r, i, first, last)
		if err != nil {
			t.Fatal(err)
		}
		if got := byGroup(part, 0, 0xffff); !slices.Equal(got, rest[:n]) {
			t.Fatalf("seed %d: %v: subtask %d of %d reads %d entries, want %d", seed, s.Section, subtask, p, len(got), n)
		}
		rest = rest[n:]
	}
	if len(rest) > 0 {
		t.Fatalf("seed %d: %v: %d entries of no subtask", seed, s.Section, len(rest))
	}
}

// checkWhole compares a whole file: entries that are not keyed in their order,
// and what Sections says of them.
func checkWhole(t *testing.T, seed uint64, r *snapshot.Reader, want content) {
	t.Helper()
	whole := read(t, r, 0, 0xffff)
	infos := r.Sections()
	for j, s := range want {
		got := whole[j].entries
		if s.Kind == snapshot.Keyed {
			got = byGroup(got, 0, 0xffff)
			s.entries = byGroup(s.entries, 0, 0xffff)
		}
		if !slices.Equal(got, s.entries) {
			t.Fatalf("seed %d: %v: %d entries, want %d, or their order differs", seed, s.Section, len(got), len(s.entries))
		}
		if infos[j].Entries != uint64(len(got)) {
			t.Fatalf("seed %d: %v is said to have %d entries, it has %d", seed, s.Section, infos[j].Entries, len(got))
		}
	}
}

// counting counts the bytes that are read.
type counting struct {
	io.ReaderAt
	bytes int64
}

func (c *counting) ReadAt(b []byte, at int64) (int, error) {
	c.bytes += int64(len(b))
	return c.ReaderAt.ReadAt(b, at)
}

// TestReadsOnlyItsBlocks: a 1/16 of the groups costs a 1/16 of the file and two
// parts of 64 at most, also where the file is that of one of several subtasks.
func TestReadsOnlyItsBlocks(t *testing.T) {
	for _, p1 := range []int{1, 3, 100} {
		first, last := key.GroupRange(p1/2, p1)
		rng := rand.New(rand.NewPCG(1, uint64(p1)))
		var file bytes.Buffer
		w := snapshot.NewWriter(&file)
		if err := w.Groups(first, last); err != nil {
			t.Fatal(err)
		}
		c := content{{Section: snapshot.Section{Name: "s", Kind: snapshot.Keyed}}}
		for range 150_000 {
			group := first + uint16(rng.IntN(int(last-first)+1))
			c[0].entries = append(c[0].entries, entry{group: group, data: string([]byte{byte(group), byte(group >> 8)}) + strings.Repeat("v", 38)})
		}
		if _, err := c.writeTo(w); err != nil {
			t.Fatal(err)
		}
		in := &counting{ReaderAt: bytes.NewReader(file.Bytes())}
		r, err := snapshot.Open(in, int64(file.Len()))
		if err != nil {
			t.Fatal(err)
		}
		width := (int(last-first) + 1) / 16
		for i := range 16 {
			in.bytes = 0
			from := first + uint16(i*width)
			got := read(t, r, from, from+uint16(width)-1)[0].entries
			if want := byGroup(c[0].entries, from, from+uint16(width)-1); len(got) != len(want) {
				t.Errorf("p %d part %d: %d entries, want %d", p1, i, len(got), len(want))
			}
			// Parts are a power of two wide, so there are 33 to 64; what is left of
			// parts at the end is joined in blocks of 64 KiB.
			limit := int64(file.Len())/16 + 2*int64(file.Len())/33 + 2*snapshot.BlockSize
			if in.bytes > limit {
				t.Errorf("p %d part %d: %d bytes of %d were read, want at most %d", p1, i, in.bytes, file.Len(), limit)
			}
		}
	}
}

// TestConcurrentReaders reads one file from several goroutines.
func TestConcurrentReaders(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	c := content{{Section: snapshot.Section{Name: "s", Kind: snapshot.Keyed}}}
	for range 20_000 {
		c[0].entries = append(c[0].entries, randomEntry(rng, uint16(rng.Uint32())))
	}
	file, _ := write(t, c)
	r := open(t, file)
	var counts [4]int
	group := goroutine.New(t.Context())
	for i := range counts {
		group.Go(func(context.Context) error {
			first, last := key.GroupRange(i, len(counts))
			got, err := readAll(r, first, last)
			if err == nil {
				counts[i] = len(got[0].entries)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if total := counts[0] + counts[1] + counts[2] + counts[3]; total != len(c[0].entries) {
		t.Errorf("%v entries, want %d in all", counts, len(c[0].entries))
	}
}
