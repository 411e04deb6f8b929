package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/zeebo/xxh3"
)

// Reader reads a complete snapshot file. It may be used concurrently if its
// io.ReaderAt may.
type Reader struct {
	in       io.ReaderAt
	sections []storedSection
}

// SectionInfo is a section of a file that is read.
type SectionInfo struct {
	Section
	// Entries is the number of its entries.
	Entries uint64
	// Bytes is the length of its blocks.
	Bytes uint64
}

type storedSection struct {
	SectionInfo
	blocks []block
}

// Open reads the index of the snapshot file that in has, of size bytes, and
// checks all but the blocks, each of which is checked when it is read. It
// returns [ErrVersion] for a file of a newer version, [ErrTruncated] for one
// without an end and [ErrCorrupt] for one that is damaged.
func Open(in io.ReaderAt, size int64) (*Reader, error) {
	r := &Reader{in: in}
	if err := r.open(size); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return r, nil
}

func (r *Reader) open(size int64) error {
	if size < headerSize {
		return fmt.Errorf("%w: %d bytes are less than its header", ErrTruncated, size)
	}
	var header [headerSize]byte
	if err := r.read(header[:], 0); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if err := checkHeader(header[:]); err != nil {
		return err
	}
	if size < headerSize+trailerSize {
		return fmt.Errorf("%w: after %d bytes it ends without its footer", ErrTruncated, size)
	}
	var trailer [trailerSize]byte
	if err := r.read(trailer[:], size-trailerSize); err != nil {
		return fmt.Errorf("trailer at offset %d: %w", size-trailerSize, err)
	}
	end, checksum, err := checkTrailer(trailer[:], size)
	if err != nil {
		return err
	}
	index := make([]byte, size-trailerSize-end)
	if err := r.read(index, end); err != nil {
		return fmt.Errorf("footer at offset %d: %w", end, err)
	}
	if got := xxh3.Hash(index); got != checksum {
		return fmt.Errorf("%w: the footer at offset %d has checksum %016x, its bytes have %016x", ErrCorrupt, end, checksum, got)
	}
	return r.index(index, end)
}

// index reads the footer of a file whose blocks end at end.
func (r *Reader) index(b []byte, end int64) error {
	f := footer{rest: b, offset: headerSize, end: end}
	const least = 6 // bytes that the smallest section takes
	n := f.uvarint("number of sections", uint64(len(b))/least)
	seen := make(map[sectionID]struct{}, n)
	for range n {
		s := f.section()
		if f.err != nil {
			return f.err
		}
		id := sectionID{operator: s.Operator, name: s.Name, kind: s.Kind}
		if _, twice := seen[id]; twice {
			f.fail("%v is there twice", s.Section)
			return f.err
		}
		seen[id] = struct{}{}
		r.sections = append(r.sections, s)
	}
	switch {
	case f.err != nil:
	case len(f.rest) > 0:
		f.fail("%d bytes behind the last section", len(f.rest))
	case f.offset != end:
		f.fail("the blocks end at offset %d", f.offset)
	}
	return f.err
}

// Sections returns the sections in the order in which they were written. Their
// place in it is what Keyed and Entries are asked with. The slice is the
// caller's; the shapes in it are the reader's and must not be changed.
func (r *Reader) Sections() []SectionInfo {
	all := make([]SectionInfo, len(r.sections))
	for i, s := range r.sections {
		all[i] = s.SectionInfo
	}
	return all
}

// Keyed returns the entries of a keyed section whose key group is in the range
// from first to last, both included. It reads the blocks that have such groups
// and no others. An entry is good until the next one is asked for. An error is
// the last thing that is yielded.
func (r *Reader) Keyed(section int, first, last uint16) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		s, err := r.section(section, true)
		if err == nil && first > last {
			err = fmt.Errorf("snapshot: %v: key groups %d to %d are asked for: the first is behind the last", s.Section, first, last)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		var buffer []byte
		for i := range s.blocks {
			b := &s.blocks[i]
			if b.last < first || b.first > last {
				continue
			}
			buffer, err = r.block(s, b, buffer)
			if err != nil {
				yield(nil, err)
				return
			}
			if !keyedEntries(s, b, buffer, first, last, yield) {
				return
			}
		}
	}
}

// keyedEntries yields the entries of a block that are in the range, and reports
// whether to go on.
func keyedEntries(s *storedSection, b *block, data []byte, first, last uint16, yield func([]byte, error) bool) bool {
	rest := data
	for i := range b.entries {
		if len(rest) < 2 {
			yield(nil, s.damaged(b, len(data)-len(rest), "entry %d of %d is not there", i, b.entries))
			return false
		}
		group := binary.LittleEndian.Uint16(rest)
		entry, n := cutEntry(rest[2:])
		if n < 0 || group < b.first || group > b.last {
			yield(nil, s.damaged(b, len(data)-len(rest), "entry %d of %d is of group %d, its length is impossible or its group is not one of %d to %d", i, b.entries, group, b.first, b.last))
			return false
		}
		rest = rest[2+n:]
		if group >= first && group <= last && !yield(entry, nil) {
			return false
		}
	}
	return nothingBehind(s, b, data, rest, yield)
}

// Entries returns the entries of a section that is not keyed, in the order in
// which they were written. An entry is good until the next one is asked for. An
// error is the last thing that is yielded.
func (r *Reader) Entries(section int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		s, err := r.section(section, false)
		if err != nil {
			yield(nil, err)
			return
		}
		var buffer []byte
		for i := range s.blocks {
			b := &s.blocks[i]
			buffer, err = r.block(s, b, buffer)
			if err != nil {
				yield(nil, err)
				return
			}
			if !plainEntries(s, b, buffer, yield) {
				return
			}
		}
	}
}

// plainEntries yields the entries of a block, and reports whether to go on.
func plainEntries(s *storedSection, b *block, data []byte, yield func([]byte, error) bool) bool {
	rest := data
	for i := range b.entries {
		entry, n := cutEntry(rest)
		if n < 0 {
			yield(nil, s.damaged(b, len(data)-len(rest), "entry %d of %d is not there, or its length is impossible", i, b.entries))
			return false
		}
		rest = rest[n:]
		if !yield(entry, nil) {
			return false
		}
	}
	return nothingBehind(s, b, data, rest, yield)
}

func nothingBehind(s *storedSection, b *block, data, rest []byte, yield func([]byte, error) bool) bool {
	if len(rest) > 0 {
		yield(nil, s.damaged(b, len(data)-len(rest), "%d bytes behind the last of %d entries", len(rest), b.entries))
		return false
	}
	return true
}

// cutEntry returns the entry that b begins with and the length of both it and
// its prefix, or -1.
func cutEntry(b []byte) ([]byte, int) {
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) {
		return nil, -1
	}
	end := n + int(length)
	return b[n:end:end], end
}

// section returns a section for an iteration of the kind.
func (r *Reader) section(i int, keyed bool) (*storedSection, error) {
	if i < 0 || i >= len(r.sections) {
		return nil, fmt.Errorf("snapshot: section %d of %d is asked for", i, len(r.sections))
	}
	s := &r.sections[i]
	if keyed != (s.Kind == Keyed) {
		return nil, fmt.Errorf("snapshot: %v is asked for entries of another kind", s.Section)
	}
	return s, nil
}

// block reads and verifies a block, into the buffer if it is long enough.
func (r *Reader) block(s *storedSection, b *block, buffer []byte) ([]byte, error) {
	buffer = slices.Grow(buffer[:0], int(b.length))[:b.length]
	if err := r.read(buffer, b.offset); err != nil {
		return nil, fmt.Errorf("snapshot: %v: block of %d bytes at offset %d: %w", s.Section, b.length, b.offset, err)
	}
	if got := xxh3.Hash(buffer); got != b.checksum {
		return nil, fmt.Errorf("snapshot: %w: %v: the block of %d bytes at offset %d has checksum %016x, its bytes have %016x", ErrCorrupt, s.Section, b.length, b.offset, b.checksum, got)
	}
	return buffer, nil
}

func (s *storedSection) damaged(b *block, at int, format string, args ...any) error {
	return fmt.Errorf("snapshot: %w: %v: offset %d: %s", ErrCorrupt, s.Section, b.offset+int64(at), fmt.Sprintf(format, args...))
}

// read fills b from offset; the file is known to have as many bytes.
func (r *Reader) read(b []byte, offset int64) error {
	n, err := r.in.ReadAt(b, offset)
	switch {
	case n == len(b):
		return nil // also at the very end, where ReadAt may return io.EOF
	case err == nil || errors.Is(err, io.EOF):
		return fmt.Errorf("%w: it ends at offset %d", ErrTruncated, offset+int64(n))
	}
	return err
}
