package jobmanager

import (
	"sort"

	"github.com/weirstream/weir/internal/ids"
)

const (
	// outputLimit bounds what is kept of a job's output.
	outputLimit = 1 << 20
	// outputChunk is the size up to which what is printed is joined, so that a
	// job which prints byte by byte does not take a chunk for each.
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
	if len(data) == 0 {
		return
	}
	if n := len(o.chunks); n > 0 {
		last := &o.chunks[n-1]
		if last.taskManager == taskManager && last.standardError == standardError && len(last.data)+len(data) <= outputChunk {
			// Readers hold the bytes up to the old length, which stay.
			last.data = append(last.data, data...)
			o.end = last.end()
			o.forget()
			return
		}
	}
	o.chunks = append(o.chunks, printed{at: o.end, taskManager: taskManager, standardError: standardError, data: data})
	o.end += uint64(len(data))
	o.forget()
}

// forget drops whole chunks from the front while there is too much, and cuts
// one that is too much by itself.
func (o *output) forget() {
	drop := 0
	for drop < len(o.chunks)-1 && o.end-o.chunks[drop].at > outputLimit {
		drop++
	}
	if drop > 0 {
		o.chunks = append(o.chunks[:0:0], o.chunks[drop:]...)
	}
	if first := &o.chunks[0]; len(first.data) > outputLimit {
		cut := len(first.data) - outputLimit
		first.at += uint64(cut)
		first.data = first.data[cut:]
	}
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
