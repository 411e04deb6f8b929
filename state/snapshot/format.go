package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/zeebo/xxh3"
)

// Version is the version of the format that a [Writer] writes, and the newest
// one that [Open] reads.
const Version = 1

// BlockSize is the length in bytes up to which entries are collected into one
// block. A longer entry is a block by itself.
const BlockSize = 64 << 10

// MaxEntry is the largest length of an entry in bytes.
const MaxEntry = 1 << 30

// MaxName is the largest length in bytes of the operator, the name and the
// shape of a [Section], each.
const MaxName = 1 << 20

const (
	magic    = "WEIRSNAP"
	endMagic = "PANSRIEW"

	headerSize  = 24
	trailerSize = 40

	// maxPrefix is the longest that stands before an entry: its group, and its
	// length, which is below 2^31.
	maxPrefix = 2 + 5
)

var (
	// ErrTruncated says that a file lacks its end: its writer did not complete it,
	// or a part of it was lost.
	ErrTruncated = errors.New("truncated snapshot")
	// ErrCorrupt says that a file's bytes are not what was written, or are no
	// snapshot.
	ErrCorrupt = errors.New("corrupt snapshot")
	// ErrVersion says that a newer program wrote the file.
	ErrVersion = errors.New("snapshot of a newer version")
)

// Kind says how the entries of a section are dealt to the subtasks that are
// restored from it. The values are part of the format.
type Kind uint8

const (
	// Keyed entries belong to key groups, and go to the subtask that owns the group.
	Keyed Kind = iota + 1
	// List entries are dealt evenly over all subtasks.
	List
	// UnionList entries go all to every subtask.
	UnionList
	// Broadcast entries are the same in the files of all subtasks, and a subtask
	// needs those of one file.
	Broadcast
)

// String returns the kind's name.
func (k Kind) String() string {
	switch k {
	case Keyed:
		return "keyed"
	case List:
		return "list"
	case UnionList:
		return "union list"
	case Broadcast:
		return "broadcast"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

func (k Kind) valid() bool { return k >= Keyed && k <= Broadcast }

// prefix is the least length of what stands before an entry in a block.
func (k Kind) prefix() uint64 {
	if k == Keyed {
		return 3
	}
	return 1
}

// Section is one state of one operator.
type Section struct {
	// Operator is the stable id of the operator whose state it is, Name the state's
	// name. The two and the kind tell a file's sections apart.
	Operator, Name string
	Kind           Kind
	// Shape says how the entries are encoded. It is opaque here: a restore compares
	// it with what it can decode.
	Shape []byte
}

func (s Section) String() string {
	return fmt.Sprintf("%v section %q of operator %q", s.Kind, s.Name, s.Operator)
}

// block is one entry of the index. Its groups are those of its entries, exactly;
// they are 0 where the section is not keyed.
type block struct {
	offset      int64
	checksum    uint64
	length      uint32
	entries     uint32
	first, last uint16
}

func appendHeader(b []byte, version uint32) []byte {
	start := len(b)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint32(b, 0)
	return binary.LittleEndian.AppendUint64(b, xxh3.Hash(b[start:]))
}

func checkHeader(b []byte) error {
	le := binary.LittleEndian
	if string(b[:8]) != magic {
		return fmt.Errorf("%w: it begins with %q: a snapshot begins with %q", ErrCorrupt, b[:8], magic)
	}
	if want, got := le.Uint64(b[16:]), xxh3.Hash(b[:16]); want != got {
		return fmt.Errorf("%w: the header has checksum %016x, its bytes have %016x", ErrCorrupt, want, got)
	}
	version := le.Uint32(b[8:])
	if version > Version {
		return fmt.Errorf("%w: it has version %d, this program reads up to version %d: restore with the program that wrote it, or a later one",
			ErrVersion, version, Version)
	}
	if version == 0 || le.Uint32(b[12:]) != 0 {
		return fmt.Errorf("%w: the header has version %d and reserved bytes %08x: want a version from 1, and zero", ErrCorrupt, version, le.Uint32(b[12:]))
	}
	return nil
}

// appendTrailer ends a file whose header and blocks take size bytes.
func appendTrailer(b, footer []byte, size int64) []byte {
	start := len(b)
	le := binary.LittleEndian
	b = le.AppendUint64(b, uint64(len(footer)))
	b = le.AppendUint64(b, xxh3.Hash(footer))
	b = le.AppendUint64(b, uint64(size)+uint64(len(footer))+trailerSize)
	b = le.AppendUint64(b, xxh3.Hash(b[start:]))
	return append(b, endMagic...)
}

// checkTrailer returns where the footer of a file of so many bytes begins, and
// its checksum.
func checkTrailer(b []byte, size int64) (offset int64, checksum uint64, err error) {
	le := binary.LittleEndian
	named := string(b[32:]) == endMagic
	whole := le.Uint64(b[24:]) == xxh3.Hash(b[:24])
	switch {
	case !named && !whole:
		return 0, 0, fmt.Errorf("%w: after %d bytes it ends without its footer", ErrTruncated, size)
	case !whole:
		return 0, 0, fmt.Errorf("%w: the trailer at offset %d has checksum %016x, its bytes have %016x", ErrCorrupt, size-trailerSize, le.Uint64(b[24:]), xxh3.Hash(b[:24]))
	case !named:
		return 0, 0, fmt.Errorf("%w: it ends with %q: a snapshot ends with %q", ErrCorrupt, b[32:], endMagic)
	}
	if written := le.Uint64(b[16:]); written != uint64(size) {
		return 0, 0, fmt.Errorf("%w: it has %d bytes, %d were written", ErrCorrupt, size, written)
	}
	length := le.Uint64(b)
	if room := uint64(size - headerSize - trailerSize); length > room {
		return 0, 0, fmt.Errorf("%w: a footer of %d bytes, where at most %d are possible", ErrCorrupt, length, room)
	}
	return size - trailerSize - int64(length), le.Uint64(b[8:]), nil
}

// footer reads the index of a file.
type footer struct {
	rest []byte
	// offset is where the next block begins, end where the last one ends.
	offset, end int64
	err         error
}

func (f *footer) fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf("%w: footer at offset %d: %s", ErrCorrupt, f.end, fmt.Sprintf(format, args...))
		f.rest = nil
	}
}

func (f *footer) uvarint(what string, limit uint64) uint64 {
	v, n := binary.Uvarint(f.rest)
	if n <= 0 {
		f.fail("%s is not there", what)
		return 0
	}
	if v > limit {
		f.fail("%s is %d, where at most %d is possible", what, v, limit)
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

// fixed returns the next n bytes, or zeros.
func (f *footer) fixed(what string, n int) []byte {
	if len(f.rest) < n {
		f.fail("%s is not there", what)
		return make([]byte, n)
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

func (f *footer) text(what string) []byte {
	n := f.uvarint("length of the "+what, MaxName)
	if n > uint64(len(f.rest)) {
		f.fail("%s of %d bytes, where %d are left", what, n, len(f.rest))
		return nil
	}
	return f.fixed(what, int(n))
}

func (f *footer) section() storedSection {
	s := storedSection{SectionInfo: SectionInfo{Section: Section{Kind: Kind(f.fixed("kind of a section", 1)[0])}}}
	if f.err == nil && !s.Kind.valid() {
		f.fail("section of unknown kind %d", uint8(s.Kind))
	}
	s.Operator = string(f.text("operator"))
	s.Name = string(f.text("name"))
	if shape := f.text("shape"); len(shape) > 0 {
		s.Shape = append(s.Shape, shape...)
	}
	s.Entries = f.uvarint("number of entries", math.MaxUint64)
	size := 10 // the least length of a block of the index
	if s.Kind == Keyed {
		size = 14
	}
	n := f.uvarint("number of blocks", uint64(len(f.rest)/size))
	s.blocks = make([]block, 0, n)
	var entries uint64
	for range n {
		b := f.block(s.Kind)
		entries += uint64(b.entries)
		s.Bytes += uint64(b.length)
		s.blocks = append(s.blocks, b)
	}
	if entries != s.Entries {
		f.fail("%v has %d entries, its blocks have %d", s.Section, s.Entries, entries)
	}
	return s
}

func (f *footer) block(kind Kind) block {
	b := block{offset: f.offset}
	if kind == Keyed {
		groups := f.fixed("range of a block", 4)
		b.first, b.last = binary.LittleEndian.Uint16(groups), binary.LittleEndian.Uint16(groups[2:])
		if b.first > b.last {
			f.fail("block with key groups %d to %d", b.first, b.last)
		}
	}
	b.entries = uint32(f.uvarint("number of entries of a block", math.MaxUint32))
	b.length = uint32(f.uvarint("length of a block", min(uint64(f.end-f.offset), MaxEntry+maxPrefix)))
	b.checksum = binary.LittleEndian.Uint64(f.fixed("checksum of a block", 8))
	if f.err == nil && (b.entries == 0 || uint64(b.length) < uint64(b.entries)*kind.prefix()) {
		f.fail("block at offset %d of %d bytes with %d entries", b.offset, b.length, b.entries)
	}
	f.offset += int64(b.length)
	return b
}
