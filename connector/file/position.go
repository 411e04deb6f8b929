package file

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// position is where the next record begins in a file, decompressed.
type position struct {
	offset int64
	line   int64 // from 1, or 0 if nobody has counted the lines before it
}

// positionVersion is the first byte of every position; the offset and the line
// follow as varints.
const positionVersion = 1

func (p position) encode() []byte {
	return binary.AppendUvarint(binary.AppendUvarint([]byte{positionVersion}, uint64(p.offset)), uint64(p.line))
}

func decodePosition(b []byte) (position, error) {
	d := decoding{rest: b}
	version := d.byte()
	p := position{offset: d.offset(), line: d.offset()}
	if d.failed || len(d.rest) > 0 || version != positionVersion {
		return position{}, fmt.Errorf("%d bytes that are not a position in a file: % .32x", len(b), b)
	}
	return p, nil
}

// decoding takes numbers and strings from the front of bytes that may be
// anything. Once it has failed, all it returns is zero.
type decoding struct {
	rest   []byte
	failed bool
}

func (d *decoding) byte() byte {
	if len(d.rest) == 0 {
		d.failed = true
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

// offset takes a varint that fits into an int64.
func (d *decoding) offset() int64 {
	u, n := binary.Uvarint(d.rest)
	if n <= 0 || int64(u) < 0 {
		d.failed, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[n:]
	return int64(u)
}

// bytes takes a number and as many bytes, which are part of the input.
func (d *decoding) bytes() []byte {
	n := d.offset()
	if n > int64(len(d.rest)) {
		d.failed, d.rest = true, nil
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

// errChanged is why a reader does not go on at a position.
var errChanged = errors.New("the file is not the one that was read before: it has no record that begins there")
