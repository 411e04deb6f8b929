package file

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// description is what a checkpoint keeps of the parts that a writer has prepared for
// it: all that committing them needs, also in another process. There is one for each
// checkpoint and subtask, with or without parts, so that whoever goes on from a
// checkpoint knows whose leftovers are its own.
type description struct {
	subtask, parallelism int
	run, attempt         string // of the writer
	next                 int    // the number of the writer's next part
	inherited            []string
	parts                []prepared
}

// prepared is a part that is on the disk under its temporary name.
type prepared struct {
	temporary, final string // within the sink's directory
	size             int64
	digest           uint64 // xxh3
}

// descriptionVersion is the first byte of an encoded description.
const descriptionVersion = 1

// encode returns the description in bytes: the version; numbers as uvarints, strings
// behind their length, lists behind their number of elements.
func (d *description) encode() []byte {
	b := []byte{descriptionVersion}
	b = binary.AppendUvarint(b, uint64(d.subtask))
	b = binary.AppendUvarint(b, uint64(d.parallelism))
	b = appendText(appendText(b, d.run), d.attempt)
	b = binary.AppendUvarint(b, uint64(d.next))
	b = binary.AppendUvarint(b, uint64(len(d.inherited)))
	for _, run := range d.inherited {
		b = appendText(b, run)
	}
	b = binary.AppendUvarint(b, uint64(len(d.parts)))
	for _, p := range d.parts {
		b = appendText(appendText(b, p.temporary), p.final)
		b = binary.AppendUvarint(b, uint64(p.size))
		b = binary.BigEndian.AppendUint64(b, p.digest)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// maxNumber bounds subtasks and numbers of parts that are read, so that they fit an
// int everywhere.
const maxNumber = 1<<31 - 1

// decodeDescription is the inverse of encode. It refuses names that are not those of
// parts of that writer, so that nothing else in the file system can be named.
func decodeDescription(b []byte) (*description, error) {
	if len(b) > 0 && b[0] > descriptionVersion {
		return nil, fmt.Errorf("what the checkpoint has of the sink's parts is in version %d of its format, of which this Weir knows %d: go on with the Weir that took the checkpoint, or a later one", b[0], descriptionVersion)
	}
	r := descriptionReader{rest: b, ok: len(b) > 0 && b[0] == descriptionVersion}
	r.bytes(1)
	d := &description{subtask: int(r.number(maxNumber)), parallelism: int(r.number(maxNumber)), run: r.text(), attempt: r.text(), next: int(r.number(maxNumber))}
	r.ok = r.ok && (d.run == "" || isToken(d.run)) && (d.attempt == "" || isToken(d.attempt)) && (d.run == "") == (d.attempt == "")
	for n := r.number(uint64(len(r.rest))); n > 0 && r.ok; n-- {
		run := r.text()
		r.ok = r.ok && isToken(run)
		d.inherited = append(d.inherited, run)
	}
	for n := r.number(uint64(len(r.rest))); n > 0 && r.ok; n-- {
		p := prepared{temporary: r.text(), final: r.text(), size: int64(r.number(1<<63 - 1))}
		if digest := r.bytes(8); r.ok {
			p.digest = binary.BigEndian.Uint64(digest)
		}
		name, ok := parsePart(p.final)
		r.ok = r.ok && ok && name.complete && name.subtask == d.subtask && name.run == d.run && name.attempt == d.attempt && p.temporary == hiddenName(p.final)
		d.parts = append(d.parts, p)
	}
	if !r.ok || len(r.rest) > 0 {
		return nil, errors.New("what the checkpoint has of the sink's parts is damaged, or was not written by a sink of files: was another sink's ID given to this one?")
	}
	return d, nil
}

// descriptionReader takes apart bytes that may be anything.
type descriptionReader struct {
	rest []byte
	ok   bool
}

func (r *descriptionReader) bytes(n uint64) []byte {
	if r.ok = r.ok && n <= uint64(len(r.rest)); !r.ok {
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// number reads a number of at most limit.
func (r *descriptionReader) number(limit uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if r.ok = r.ok && n > 0 && v <= limit; !r.ok {
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *descriptionReader) text() string { return string(r.bytes(r.number(uint64(len(r.rest))))) }

// tokenLength is that of the names of runs and attempts.
const tokenLength = 8

const tokenLetters = "abcdefghijklmnopqrstuvwxyz234567"

func isToken(s string) bool {
	return len(s) == tokenLength && strings.Trim(s, tokenLetters) == ""
}
