package file

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	partPrefix = "part-"
	inProgress = ".inprogress"
)

// directory is a sink's directory as one subtask sees it.
type directory struct {
	storage              storage
	path                 string // ends in a slash
	subtask, parallelism int
	extension            string // of the parts
	next                 int    // number of the part that is begun next
}

// partName is what a part is called when it is complete.
func partName(subtask, number int, extension string) string {
	return fmt.Sprintf("%s%05d-%06d%s", partPrefix, subtask, number, extension)
}

// hiddenName is what it is called until then.
func hiddenName(name string) string { return "." + name + inProgress }

// parsePart reads the name of a part, complete or not, whatever its extension.
func parsePart(name string) (subtask, number int, complete, ok bool) {
	hidden, isHidden := strings.CutPrefix(name, ".")
	if isHidden {
		if name, ok = strings.CutSuffix(hidden, inProgress); !ok {
			return 0, 0, false, false
		}
	}
	rest, ok := strings.CutPrefix(name, partPrefix)
	if !ok {
		return 0, 0, false, false
	}
	first, rest, ok := strings.Cut(rest, "-")
	second, extension, dotted := strings.Cut(rest, ".")
	subtask, err := strconv.Atoi(first)
	number, err2 := strconv.Atoi(second)
	// Only what partName writes: no sign, no other number of zeros.
	ok = ok && dotted && err == nil && err2 == nil && subtask >= 0 && number >= 0 && name == partName(subtask, number, "."+extension)
	return subtask, number, !isHidden, ok
}

// mine reports whether this subtask is to deal with what a subtask of an earlier
// job left: each with its own, and all of them with those of subtasks that this
// job has not. Nobody else's are looked at, as they may be this job's.
func (d *directory) mine(subtask int) bool { return subtask == d.subtask || subtask >= d.parallelism }

// prepare makes the directory ready for the first part.
func (d *directory) prepare(e existing) error {
	if err := d.storage.MakeDir(d.path); err != nil {
		return fmt.Errorf("make the directory on %s: %w", here(d.path), err)
	}
	entries, err := d.storage.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("read the directory on %s: %w", here(d.path), err)
	}
	var parts, leftovers []string
	for _, entry := range entries {
		subtask, number, complete, ok := parsePart(entry.Name())
		switch {
		case !ok || !d.mine(subtask):
			continue
		case complete:
			parts = append(parts, entry.Name())
		default:
			leftovers = append(leftovers, entry.Name())
		}
		if subtask == d.subtask && complete && e == appendParts {
			d.next = max(d.next, number+1)
		}
	}
	if len(parts) > 0 && e == refuseParts {
		return fmt.Errorf("the directory holds parts of an earlier job, %s for one: choose another directory, or Append or Overwrite", parts[0])
	}
	if err := d.removeLeftovers(leftovers); err != nil || e != overwriteParts {
		return err
	}
	return d.remove(parts)
}

// removeLeftovers removes what a process that was killed had begun to write.
func (d *directory) removeLeftovers(names []string) error {
	for _, name := range names {
		owned, err := d.storage.Owned(d.path + name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // another subtask was first
		case err != nil:
			return fmt.Errorf("a part that was left unfinished: %w", err)
		case owned:
			return fmt.Errorf("%s is being written by another process: is there a job that writes to the same directory?", name)
		}
		slog.Info("a part that was left unfinished is removed", "file", d.path+name)
	}
	return d.remove(names)
}

func (d *directory) remove(names []string) error {
	for _, name := range names {
		if err := d.storage.Remove(d.path + name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove what an earlier job has left: %w", err)
		}
	}
	return nil
}

// part is a part that is being written. Its life is create, write, prepare,
// commit; or discard at any time. Once it is prepared all of it is on the disk,
// so that committing needs nothing but its two names.
type part struct {
	dir     *directory
	name    string // when it is complete
	file    partFile
	out     *bufio.Writer
	codec   io.WriteCloser // compresses into out, or nil
	written int64          // bytes given to the file
}

// create begins a part under its hidden name.
func (d *directory) create(compression string) (*part, error) {
	p := &part{dir: d, name: partName(d.subtask, d.next, d.extension)}
	file, err := d.storage.Create(p.hidden())
	if err != nil {
		return nil, fmt.Errorf("begin a part: %w", err)
	}
	d.next++
	p.file = file
	p.out = bufio.NewWriterSize(countingWriter{p}, rawBuffer)
	switch compression {
	case "gzip":
		p.codec = gzip.NewWriter(p.out)
	case "zstd":
		// With a concurrency of 1 it compresses where it is called, without
		// goroutines.
		z, err := zstd.NewWriter(p.out, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, errors.Join(err, p.discard())
		}
		p.codec = z
	}
	return p, nil
}

func (p *part) hidden() string { return p.dir.path + hiddenName(p.name) }

// countingWriter writes to the file of a part.
type countingWriter struct{ *part }

func (w countingWriter) Write(b []byte) (int, error) {
	n, err := w.file.Write(b)
	w.written += int64(n)
	if err != nil {
		err = fmt.Errorf("write part %s at byte %d: %w", w.hidden(), w.written, err)
	}
	return n, err
}

func (p *part) write(b []byte) (err error) {
	if p.codec != nil {
		_, err = p.codec.Write(b)
	} else {
		_, err = p.out.Write(b)
	}
	return err
}

// size is how much of the file there is, without what compression holds back.
func (p *part) size() int64 { return p.written + int64(p.out.Buffered()) }

// prepare puts a part on the disk, under its hidden name.
func (p *part) prepare() error {
	if p.codec != nil {
		if err := p.codec.Close(); err != nil {
			return err
		}
	}
	if err := p.out.Flush(); err != nil {
		return err
	}
	if err := p.file.Sync(); err != nil {
		return fmt.Errorf("put part %s on the disk: %w", p.hidden(), err)
	}
	return nil
}

// commit gives a prepared part its name. The file stays open and thus locked
// until it has that: nobody takes it for a leftover.
func (p *part) commit() error {
	final := p.dir.path + p.name
	exists, err := p.dir.storage.Exists(final)
	if err == nil && exists {
		err = fmt.Errorf("there is a file of that name: %w", fs.ErrExist)
	}
	if err == nil {
		err = p.dir.storage.Rename(p.hidden(), final)
	}
	if err != nil {
		return fmt.Errorf("complete part %s: %w", final, err)
	}
	err = p.file.Close()
	p.file = nil
	if err == nil {
		err = p.dir.storage.SyncDir(p.dir.path)
	}
	if err != nil {
		return fmt.Errorf("put the name of part %s on the disk: %w", final, err)
	}
	return nil
}

// discard removes a part that will not be completed.
func (p *part) discard() error {
	if p.file == nil {
		return nil // it has been committed
	}
	return errors.Join(p.dir.storage.Remove(p.hidden()), p.file.Close())
}
