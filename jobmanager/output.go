package jobmanager

import (
	"slices"
	"sort"

	"github.com/weirstream/weir/internal/ids"
)

const (
	// outputLimit is how much is kept of a job's output, give or take a chunk.
	outputLimit = 1 << 20
	// outputChunk is the size of the chunks in which it is kept and forgotten:
	// what is printed is joined up to it, and cut above it.
	outputChunk = 32 << 10
)

// output is the last of what a job has printed. Positions count the bytes from
// the job's start. The zero value is ready to use. It is not safe for
// concurrent use, but what read returns stays as it is.
type output struct {
	chunks []printed
	// end is the position after the last byte.
	end uint64
}

// printed is a part of the output, of one stream of one worker.
type printed struct {
	at            uint64
	taskManager   ids.TaskManagerID
	standardError bool
	data          []byte
}

func (p *printed) end() uint64 { return p.at + uint64(len(p.data)) }

// append takes in what a worker has printed. data belongs to the output then.
func (o *output) append(taskManager ids.TaskManagerID, standardError bool, data []byte) {
	for len(data) > 0 {
		n := min(len(data), outputChunk)
		o.add(printed{at: o.end, taskManager: taskManager, standardError: standardError, data: data[:n:n]})
		data = data[n:]
	}
	drop := 0
	for o.end-o.chunkEnd(drop) >= outputLimit {
		drop++
	}
	if drop > 0 {
		o.chunks = slices.Clone(o.chunks[drop:])
	}
}

// add adds a chunk, or joins it with the last.
func (o *output) add(p printed) {
	o.end = p.end()
	if n := len(o.chunks); n > 0 {
		last := &o.chunks[n-1]
		if last.taskManager == p.taskManager && last.standardError == p.standardError && len(last.data)+len(p.data) <= outputChunk {
			// Readers hold the bytes up to the old length, which stay.
			last.data = append(last.data, p.data...)
			return
		}
	}
	o.chunks = append(o.chunks, p)
}

// chunkEnd returns the position after chunk i, or of the end if there is none.
func (o *output) chunkEnd(i int) uint64 {
	if i >= len(o.chunks) {
		return o.end
	}
	return o.chunks[i].end()
}

// start returns the position of the first byte that is still there.
func (o *output) start() uint64 {
	if len(o.chunks) == 0 {
		return o.end
	}
	return o.chunks[0].at
}

// read returns the chunk at a position, or the first that is left after it; the
// bytes that are gone in between; and where to read on. There is no chunk at
// the end.
func (o *output) read(from uint64) (chunk printed, dropped, next uint64, ok bool) {
	if start := o.start(); from < start {
		dropped, from = start-from, start
	}
	i := sort.Search(len(o.chunks), func(i int) bool { return o.chunks[i].end() > from })
	if i == len(o.chunks) {
		return printed{}, dropped, from, false
	}
	chunk = o.chunks[i]
	chunk.data = chunk.data[from-chunk.at:]
	chunk.at = from
	return chunk, dropped, chunk.end(), true
}

// size returns the bytes that are kept.
func (o *output) size() int { return int(o.end - o.start()) }

// clear forgets everything that was printed so far.
func (o *output) clear() { o.chunks = nil }
