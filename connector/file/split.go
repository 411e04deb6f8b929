package file

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/weirstream/weir"
)

// fileRange is the part of a file that a split covers: the records that begin in
// it. A file that is read whole has all of them.
type fileRange struct {
	path       string
	begin, end int64  // bytes; end is math.MaxInt64 in the last range of a file
	size       uint64 // of the file when the range was cut, or 0 for a whole file
}

func wholeFile(path string) fileRange { return fileRange{path: path, end: math.MaxInt64} }

func (f fileRange) whole() bool { return f.begin == 0 && f.end == math.MaxInt64 }

// rangeVersion is the first byte of a range's data; begin, end and size follow as
// varints, then the path. A whole file needs none: its ID is the path.
const rangeVersion = 1

func (f fileRange) split() weir.Split {
	if f.whole() {
		return weir.Split{ID: f.path}
	}
	data := []byte{rangeVersion}
	for _, n := range []uint64{uint64(f.begin), uint64(f.end), f.size} {
		data = binary.AppendUvarint(data, n)
	}
	last := min(uint64(f.end), f.size)
	return weir.Split{ID: fmt.Sprintf("%s [bytes %d to %d]", f.path, f.begin, last), Data: append(data, f.path...)}
}

func decodeRange(split weir.Split) (fileRange, error) {
	if len(split.Data) == 0 {
		return wholeFile(split.ID), nil
	}
	d := decoding{rest: split.Data}
	version := d.byte()
	f := fileRange{begin: d.offset(), end: d.offset(), size: uint64(d.offset())}
	f.path = string(d.rest)
	if d.failed || version != rangeVersion || f.path == "" || f.begin >= f.end {
		return fileRange{}, fmt.Errorf("split %q: %d bytes that are not a range of a file: % .32x", split.ID, len(split.Data), split.Data)
	}
	return f, nil
}

// mostRanges bounds how many splits one file becomes.
const mostRanges = 4096

// cutFile cuts a file into equal ranges of at least least bytes.
func cutFile(f found, least int64) []fileRange {
	n := min(max(1, f.size/least), mostRanges)
	if n == 1 {
		return []fileRange{wholeFile(f.path)}
	}
	ranges := make([]fileRange, n)
	for i := range ranges {
		// size / n * i leaves out the remainder: no product that could overflow.
		ranges[i] = fileRange{path: f.path, begin: f.size / n * int64(i), end: f.size / n * int64(i+1), size: uint64(f.size)}
	}
	ranges[n-1].end = math.MaxInt64
	return ranges
}
