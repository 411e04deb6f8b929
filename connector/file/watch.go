package file

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/weirstream/weir"
)

// fileReading is a reader of one file.
type fileReading[R any] interface {
	weir.Reader[R]
	weir.Progresser
}

// watching is what a watcher looks at.
type watching struct {
	name     string // of the source, for messages
	interval time.Duration
	look     func(context.Context) ([]found, error)
}

func (s *Source[T]) watching() watching {
	return watching{name: s.name, interval: s.interval, look: s.glance}
}

// watcher reads the files of a directory as they appear, one after the other. It
// implements [weir.Reader], [weir.Notifier] and [weir.Progresser].
type watcher[R any] struct {
	watching
	ctx  context.Context
	open func(ctx context.Context, cut fileRange, at []byte) (fileReading[R], error)

	progress watched
	seen     map[string]found // at the last look: not read, perhaps not complete
	queue    []found          // complete and not read, in order
	reader   fileReading[R]   // of progress.current, or nil
	looked   time.Time        // when that was
	timer    *time.Timer
	ready    chan struct{}
}

func newWatcher[R any](ctx context.Context, w watching, open func(context.Context, fileRange, []byte) (fileReading[R], error), at []byte) (weir.Reader[R], error) {
	r := &watcher[R]{watching: w, ctx: ctx, open: open, seen: map[string]found{}, ready: make(chan struct{}, 1)}
	r.progress.read = map[string]struct{}{}
	if at != nil {
		p, err := decodeWatched(at)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		r.progress = p
	}
	if p := r.progress; p.current != "" {
		var err error
		if r.reader, err = open(ctx, wholeFile(p.current), p.at); err != nil {
			return nil, err
		}
	}
	r.timer = time.AfterFunc(time.Duration(1<<63-1), r.wake)
	return r, nil
}

// wake says that Read has something to do.
func (r *watcher[R]) wake() {
	select {
	case r.ready <- struct{}{}:
	default:
	}
}

// Ready implements [weir.Notifier].
func (r *watcher[R]) Ready() <-chan struct{} { return r.ready }

// Read implements [weir.Reader].
func (r *watcher[R]) Read(values []R) (int, error) {
	for {
		if r.reader != nil {
			n, err := r.reader.Read(values)
			if errors.Is(err, io.EOF) {
				err = r.finish()
			} else if n == 0 && err == nil {
				r.wake() // it skipped much, and wants to go on
				return 0, nil
			}
			if n > 0 || err != nil {
				return n, err
			}
			continue
		}
		if len(r.queue) == 0 {
			if ready, err := r.look(); err != nil || !ready {
				return 0, err
			}
		}
		if err := r.begin(); err != nil {
			return 0, err
		}
	}
}

// look looks for files if it is time, and reports whether there is one to be
// read. If not, it sees to it that Read is called again.
func (r *watcher[R]) look() (ready bool, err error) {
	if wait := r.interval - time.Since(r.looked); !r.looked.IsZero() && wait > 0 {
		r.timer.Reset(wait)
		return false, nil
	}
	files, err := r.watching.look(r.ctx)
	if err != nil {
		return false, err
	}
	r.looked = time.Now()
	r.queue = r.sort(files)
	if len(r.queue) == 0 {
		r.timer.Reset(r.interval)
	}
	return len(r.queue) > 0, nil
}

// sort tells the files that are complete from those that may be growing, and
// from those that were read. It forgets those that are gone.
func (r *watcher[R]) sort(files []found) (complete []found) {
	seen, read := make(map[string]found, len(files)), make(map[string]struct{}, len(files))
	for _, f := range files {
		if _, ok := r.progress.read[f.path]; ok {
			read[f.path] = struct{}{}
			continue
		}
		if before, ok := r.seen[f.path]; ok && before.size == f.size && before.mtime.Equal(f.mtime) {
			complete = append(complete, f)
		}
		seen[f.path] = f
	}
	if len(read) < len(r.progress.read) {
		r.progress.setRead(read)
	}
	r.seen = seen
	return complete
}

// begin opens the first file of the queue.
func (r *watcher[R]) begin() error {
	f := r.queue[0]
	reader, err := r.open(r.ctx, wholeFile(f.path), nil)
	if err != nil {
		return fmt.Errorf("a file that was there a moment ago: %w", err)
	}
	r.queue, r.reader, r.progress.current = r.queue[1:], reader, f.path
	delete(r.seen, f.path)
	return nil
}

// finish closes the file that has been read, and remembers it.
func (r *watcher[R]) finish() error {
	_, total := r.reader.Progress()
	r.progress.bytes += int64(total)
	r.progress.read[r.progress.current] = struct{}{}
	r.progress.setRead(r.progress.read)
	r.progress.current = ""
	reader := r.reader
	r.reader = nil
	if err := reader.Close(); err != nil {
		return err
	}
	if len(r.progress.read) > mostFiles {
		return fmt.Errorf("%s: more than %d files lie where it looks, and each has to be remembered: move away those that were read", r.name, mostFiles)
	}
	return nil
}

// Position implements [weir.Reader].
func (r *watcher[R]) Position() ([]byte, error) {
	p := &r.progress
	p.at = nil
	if r.reader != nil {
		var err error
		if p.at, err = r.reader.Position(); err != nil {
			return nil, err
		}
	}
	return p.encode(), nil
}

// Progress implements [weir.Progresser], in bytes of the files as they are
// stored: those that were read, and those that have been seen.
func (r *watcher[R]) Progress() (done, total uint64) {
	done = uint64(r.progress.bytes)
	total = done
	if r.reader != nil {
		d, t := r.reader.Progress()
		done, total = done+d, total+t
	}
	for _, f := range r.seen {
		total += uint64(f.size)
	}
	return done, total
}

// Close implements [weir.Reader].
func (r *watcher[R]) Close() error {
	r.timer.Stop()
	if r.reader == nil {
		return nil
	}
	return r.reader.Close()
}

// watched is what a watcher has read: its position.
type watched struct {
	bytes   int64  // of the files that were read
	current string // the file that is being read, or ""
	at      []byte // the position in it
	read    map[string]struct{}
	paths   []byte // read, encoded; nil if it has changed since
}

// setRead replaces the set of files that were read.
func (w *watched) setRead(read map[string]struct{}) { w.read, w.paths = read, nil }

// watchedVersion is the first byte of a watcher's position. The bytes that were
// read follow, the current file and its position, each behind its length, the
// number of paths that were read, and these, sorted: each is the number of bytes
// that it has in common with the one before, and the rest behind its length.
const watchedVersion = 2

func (w *watched) encode() []byte {
	if w.paths == nil {
		w.paths = encodePaths(w.read)
	}
	b := binary.AppendUvarint([]byte{watchedVersion}, uint64(w.bytes))
	b = appendBytes(b, w.current)
	b = appendBytes(b, string(w.at))
	return append(b, w.paths...)
}

func appendBytes(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func encodePaths(read map[string]struct{}) []byte {
	paths := make([]string, 0, len(read))
	for path := range read {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	b := binary.AppendUvarint(nil, uint64(len(paths)))
	last := ""
	for _, path := range paths {
		common := 0
		for common < min(len(path), len(last)) && path[common] == last[common] {
			common++
		}
		b = binary.AppendUvarint(b, uint64(common))
		b = appendBytes(b, path[common:])
		last = path
	}
	return b
}

// What is remembered is bounded, so that a position is.
const (
	mostFiles = 1 << 20
	mostPath  = 1 << 12 // bytes, as on Linux
	mostPaths = 1 << 30 // bytes of all
)

func decodeWatched(b []byte) (watched, error) {
	d := decoding{rest: b}
	version := d.byte()
	w := watched{bytes: d.offset(), current: string(d.bytes()), at: slices.Clone(d.bytes()), read: map[string]struct{}{}}
	w.decodePaths(&d)
	if d.failed || len(d.rest) > 0 || version != watchedVersion {
		return watched{}, fmt.Errorf("%d bytes that are not a position in a watched directory: % .32x", len(b), b)
	}
	return w, nil
}

func (w *watched) decodePaths(d *decoding) {
	n := d.offset()
	d.failed = d.failed || n > mostFiles
	last, total := "", 0
	for i := int64(0); i < n && !d.failed; i++ {
		common, rest := d.offset(), d.bytes()
		if common > int64(len(last)) || common+int64(len(rest)) > mostPath {
			d.failed = true
			return
		}
		path := last[:common] + string(rest)
		total += len(path)
		// Each path follows the one before, so none is there twice.
		d.failed = d.failed || path <= last || total > mostPaths
		last = path
		w.read[path] = struct{}{}
	}
}
