package snapshot

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"

	"github.com/zeebo/xxh3"
)

// parts is the largest number of blocks that are collected at the same time.
const parts = 64

// Summary describes a complete file.
type Summary struct {
	// Size is the file's length in bytes.
	Size int64
	// Digest is the SHA-256 of the whole file.
	Digest [32]byte
	// Entries is the number of entries in all sections.
	Entries uint64
}

// Writer writes one snapshot file from its beginning to its end, in calls of up
// to [BlockSize] or, for a longer entry, of as much as that takes. What it has
// refused, and what the underlying writer has, ends it: all later calls return
// the same error, so that a file that lacks something is never completed. It may
// not be used concurrently.
type Writer struct {
	out     io.Writer
	digest  hash.Hash
	summary Summary
	err     error
	closed  bool

	// first and last are the task's key groups; group g is in part (g-first)>>shift.
	first, last uint16
	shift       uint

	section  Section // kind 0: none has begun
	entries  uint64  // of the section
	blocks   int     // of the section
	index    []byte  // its blocks, encoded
	sections int     // that have ended
	footer   []byte  // those, encoded
	seen     map[sectionID]struct{}

	parts  [parts]part
	joined part // what is left of several parts
}

// sectionID is what tells the sections of a file apart.
type sectionID struct {
	operator, name string
	kind           Kind
}

// part is a block that is collected.
type part struct {
	data        []byte
	entries     uint32
	first, last uint16
}

func (p *part) reset() { p.data, p.entries = p.data[:0], 0 }

// NewWriter returns a writer of one file to out, which begins with nothing
// written: the header goes out with the first block.
func NewWriter(out io.Writer) *Writer {
	w := &Writer{digest: sha256.New(), seen: map[sectionID]struct{}{}}
	w.Reset(out)
	return w
}

// Reset makes the writer begin another file, to out, with the buffers that it
// has. What was not closed is forgotten.
func (w *Writer) Reset(out io.Writer) {
	w.digest.Reset()
	clear(w.seen)
	for i := range w.parts {
		w.parts[i].reset()
	}
	w.joined.reset()
	*w = Writer{
		out: out, digest: w.digest, seen: w.seen, parts: w.parts, joined: w.joined,
		index: w.index[:0], footer: w.footer[:0],
	}
	w.groups(0, math.MaxUint16)
}

// Groups says which key groups the task owns, by default all of them. A keyed
// entry of another group is refused, and blocks are made for finer ranges, so
// that a smaller part of them can be read. It is called before the first Begin.
func (w *Writer) Groups(first, last uint16) error {
	switch {
	case w.err != nil:
		return w.err
	case first > last:
		return w.fail(fmt.Errorf("key groups %d to %d: the first is behind the last", first, last))
	case w.sections > 0 || w.section.Kind != 0 || w.closed:
		return w.fail(errors.New("the key groups are given after the first section has begun"))
	}
	w.groups(first, last)
	return nil
}

func (w *Writer) groups(first, last uint16) {
	w.first, w.last, w.shift = first, last, 0
	for (last-first)>>w.shift >= parts {
		w.shift++
	}
}

// Begin ends the section before and begins s. It refuses a section that the file
// has already: the same kind, operator and name.
func (w *Writer) Begin(s Section) error {
	if err := w.end(); err != nil {
		return err
	}
	id := sectionID{operator: s.Operator, name: s.Name, kind: s.Kind}
	switch _, twice := w.seen[id]; {
	case !s.Kind.valid():
		return w.fail(fmt.Errorf("%v: there is no such kind", s))
	case twice:
		return w.fail(fmt.Errorf("%v begins a second time", s))
	case max(len(s.Operator), len(s.Name), len(s.Shape)) > MaxName:
		return w.fail(fmt.Errorf("section %.40q of operator %.40q: its name, its operator and its shape have %d, %d and %d bytes: at most %d are possible",
			s.Name, s.Operator, len(s.Name), len(s.Operator), len(s.Shape), MaxName))
	}
	w.seen[id] = struct{}{}
	s.Shape = append([]byte(nil), s.Shape...)
	w.section, w.entries, w.blocks, w.index = s, 0, 0, w.index[:0]
	return nil
}

// Keyed adds an entry of a key group to the keyed section that has begun. The
// entry is copied. Groups may come in any order.
func (w *Writer) Keyed(group uint16, entry []byte) error {
	if w.section.Kind != Keyed || group < w.first || group > w.last {
		return w.refuse(Keyed, group)
	}
	p := &w.parts[(group-w.first)>>w.shift&(parts-1)]
	if len(p.data)+len(entry)+maxPrefix > cap(p.data) {
		room, err := w.room(p, len(entry)+maxPrefix)
		if err != nil {
			return err
		}
		p = room
	}
	if p.entries == 0 {
		p.first, p.last = group, group
	}
	p.first, p.last = min(p.first, group), max(p.last, group)
	b := append(p.data, byte(group), byte(group>>8))
	return w.add(p, b, entry)
}

// Entry adds an entry to the section that has begun, which is not keyed. The
// entry is copied.
func (w *Writer) Entry(entry []byte) error {
	if w.section.Kind <= Keyed {
		return w.refuse(List, 0)
	}
	p := &w.parts[0]
	if len(p.data)+len(entry)+maxPrefix > cap(p.data) {
		room, err := w.room(p, len(entry)+maxPrefix)
		if err != nil {
			return err
		}
		p = room
	}
	return w.add(p, p.data, entry)
}

// add puts length and entry behind b, which is the data of p.
func (w *Writer) add(p *part, b, entry []byte) error {
	if n := len(entry); n < 0x80 {
		b = append(b, byte(n))
	} else {
		b = binary.AppendUvarint(b, uint64(n))
	}
	p.data = append(b, entry...)
	p.entries++
	w.entries++
	if len(p.data) > BlockSize {
		err := w.flush(p)
		p.data = nil // as long as one entry was, which the next will not be
		return err
	}
	return nil
}

// room returns the part with room for so many bytes more, so that the block
// does not grow beyond BlockSize unless it has one entry.
func (w *Writer) room(p *part, need int) (*part, error) {
	if need > MaxEntry+maxPrefix {
		return nil, w.fail(fmt.Errorf("%v: an entry of %d bytes: at most %d are possible", w.section, need-maxPrefix, MaxEntry))
	}
	if len(p.data)+need > BlockSize && p.entries > 0 {
		if err := w.flush(p); err != nil {
			return nil, err
		}
	}
	if len(p.data)+need > cap(p.data) {
		grown := make([]byte, len(p.data), max(len(p.data)+need, min(2*cap(p.data)+256, BlockSize)))
		copy(grown, p.data)
		p.data = grown
	}
	return p, nil
}

// refuse says why an entry cannot be added.
func (w *Writer) refuse(kind Kind, group uint16) error {
	switch {
	case w.err != nil:
		return w.err
	case w.closed:
		return w.fail(errors.New("an entry after Close"))
	case w.section.Kind == 0:
		return w.fail(errors.New("an entry before the first section has begun"))
	case w.section.Kind == Keyed && kind != Keyed:
		return w.fail(fmt.Errorf("%v: an entry without a key group", w.section))
	case w.section.Kind != Keyed:
		return w.fail(fmt.Errorf("%v: an entry with a key group", w.section))
	}
	return w.fail(fmt.Errorf("%v: an entry of key group %d: the task has the groups %d to %d", w.section, group, w.first, w.last))
}

// end ends the section that has begun, if any.
func (w *Writer) end() error {
	switch {
	case w.err != nil:
		return w.err
	case w.closed:
		return w.fail(errors.New("a section after Close"))
	case w.section.Kind == 0:
		return nil
	}
	if err := w.flushRest(); err != nil {
		return err
	}
	f := append(w.footer, byte(w.section.Kind))
	f = appendText(f, w.section.Operator)
	f = appendText(f, w.section.Name)
	f = appendText(f, w.section.Shape)
	f = binary.AppendUvarint(f, w.entries)
	f = binary.AppendUvarint(f, uint64(w.blocks))
	w.footer = append(f, w.index...)
	w.sections++
	w.summary.Entries += w.entries
	w.section = Section{}
	return nil
}

// flushRest writes what all parts have left, as many neighbours in a block as
// fit.
func (w *Writer) flushRest() error {
	j := &w.joined
	for i := range w.parts {
		p := &w.parts[i]
		if p.entries == 0 {
			continue
		}
		if j.entries > 0 && len(j.data)+len(p.data) > BlockSize {
			if err := w.flush(j); err != nil {
				return err
			}
		}
		if j.entries == 0 {
			j.first = p.first
		}
		j.last = p.last // parts are in the order of their groups
		j.data, j.entries = append(j.data, p.data...), j.entries+p.entries
		p.reset()
	}
	if j.entries > 0 {
		return w.flush(j)
	}
	return nil
}

// flush writes the part's block and empties it.
func (w *Writer) flush(p *part) error {
	if err := w.write(p.data); err != nil {
		return err
	}
	if w.section.Kind == Keyed {
		w.index = binary.LittleEndian.AppendUint16(w.index, p.first)
		w.index = binary.LittleEndian.AppendUint16(w.index, p.last)
	}
	w.index = binary.AppendUvarint(w.index, uint64(p.entries))
	w.index = binary.AppendUvarint(w.index, uint64(len(p.data)))
	w.index = binary.LittleEndian.AppendUint64(w.index, xxh3.Hash(p.data))
	w.blocks++
	p.reset()
	return nil
}

// write writes b, and the header before it if it is the first.
func (w *Writer) write(b []byte) error {
	if w.summary.Size == 0 {
		w.summary.Size = headerSize
		if err := w.put(appendHeader(nil, Version)); err != nil {
			return err
		}
	}
	w.summary.Size += int64(len(b))
	return w.put(b)
}

func (w *Writer) put(b []byte) error {
	_, _ = w.digest.Write(b) // hash.Hash never returns an error
	n, err := w.out.Write(b)
	if err == nil && n != len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return w.fail(fmt.Errorf("write of %d bytes: %w", len(b), err))
	}
	return nil
}

// Close ends the last section and the file. The underlying writer is the
// caller's to sync and to close.
func (w *Writer) Close() (Summary, error) {
	if err := w.end(); err != nil {
		return Summary{}, err
	}
	footer := binary.AppendUvarint(nil, uint64(w.sections))
	footer = append(footer, w.footer...)
	if err := w.write(footer); err != nil {
		return Summary{}, err
	}
	size := w.summary.Size - int64(len(footer))
	if err := w.write(appendTrailer(nil, footer, size)); err != nil {
		return Summary{}, err
	}
	w.closed = true
	w.digest.Sum(w.summary.Digest[:0])
	return w.summary, nil
}

// fail makes err, the first one, the answer to every further call.
func (w *Writer) fail(err error) error {
	w.err = fmt.Errorf("snapshot: %w", err)
	w.section = Section{} // so that entries are refused where they look anyway
	return w.err
}

func appendText[T string | []byte](b []byte, text T) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}
