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
	"github.com/zeebo/xxh3"
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
	// run and attempt are part of the names of a job's parts that takes checkpoints,
	// and empty otherwise. A run is a subtask's from the start of its job on, through all
	// attempts, as long as its parallelism is the same.
	run, attempt string
}

// partID is what the name of a part says, but for its extension.
type partID struct {
	subtask, number int
	run, attempt    string // both or none
	complete        bool
}

// name is what a part is called when it is complete.
func (p partID) name(extension string) string {
	if p.run == "" {
		return fmt.Sprintf("%s%05d-%06d%s", partPrefix, p.subtask, p.number, extension)
	}
	return fmt.Sprintf("%s%05d-%06d-%s-%s%s", partPrefix, p.subtask, p.number, p.run, p.attempt, extension)
}

// hiddenName is what it is called until then.
func hiddenName(name string) string { return "." + name + inProgress }

// visible returns what a part with that name is called when it is complete.
func (p partID) visible(name string) string {
	if p.complete {
		return name
	}
	return strings.TrimSuffix(name[1:], inProgress)
}

// parsePart reads the name of a part, complete or not, whatever its extension.
func parsePart(name string) (p partID, ok bool) {
	hidden, isHidden := strings.CutPrefix(name, ".")
	if isHidden {
		if name, ok = strings.CutSuffix(hidden, inProgress); !ok {
			return partID{}, false
		}
	}
	rest, ok := strings.CutPrefix(name, partPrefix)
	if !ok || strings.ContainsAny(name, "/\\\x00") {
		return partID{}, false
	}
	numbers, extension, dotted := strings.Cut(rest, ".")
	fields := strings.Split(numbers, "-")
	if !dotted || len(fields) != 2 && len(fields) != 4 {
		return partID{}, false
	}
	p.complete = !isHidden
	var err, err2 error
	p.subtask, err = strconv.Atoi(fields[0])
	p.number, err2 = strconv.Atoi(fields[1])
	ok = err == nil && err2 == nil && p.subtask >= 0 && p.number >= 0
	if len(fields) == 4 {
		p.run, p.attempt = fields[2], fields[3]
		ok = ok && isToken(p.run) && isToken(p.attempt)
	}
	// Only what name writes: no sign, no other number of zeros.
	if ok = ok && name == p.name("."+extension); !ok {
		return partID{}, false
	}
	return p, true
}

// mine reports whether this subtask is to deal with what a subtask of an earlier
// job left: each with its own, and all of them with those of subtasks that this
// job has not. Nobody else's are looked at, as they may be this job's.
func (d *directory) mine(subtask int) bool { return subtask == d.subtask || subtask >= d.parallelism }

// make makes the directory if there is none, and looks whether it can be read.
func (d *directory) make() error {
	if err := d.storage.MakeDir(d.path); err != nil {
		return fmt.Errorf("make the directory on %s: %w", here(d.path), err)
	}
	if _, err := d.storage.ReadDir(d.path); err != nil {
		return fmt.Errorf("read the directory on %s: %w", here(d.path), err)
	}
	return nil
}

// prepare makes the directory ready for the first part of a job that does not go on
// from a checkpoint. mine says for which subtasks' parts this one decides.
func (d *directory) prepare(e existing, mine func(subtask int) bool) error {
	entries, err := d.storage.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("read the directory on %s: %w", here(d.path), err)
	}
	var parts, leftovers []string
	for _, entry := range entries {
		p, ok := parsePart(entry.Name())
		switch {
		case !ok:
			continue
		case p.complete && mine(p.subtask):
			parts = append(parts, entry.Name())
		case !p.complete && p.run == "" && d.mine(p.subtask):
			leftovers = append(leftovers, entry.Name())
		}
		if p.subtask == d.subtask && p.complete && e == appendParts {
			d.next = max(d.next, p.number+1)
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

// part is a part that is being written. Its life is create, write, prepare
// and close; or discard at any time. Once it is prepared all of it is on the disk, so
// that committing it needs nothing but what prepared returns; until it is committed it
// stays open and thus locked, so that nobody takes it for a leftover.
type part struct {
	dir     *directory
	name    string // when it is complete
	file    partFile
	out     *bufio.Writer
	codec   io.WriteCloser // compresses into out, or nil
	written int64          // bytes given to the file
	digest  *xxh3.Hasher   // of these
}

// create begins a part under its hidden name.
func (d *directory) create(compression string) (*part, error) {
	id := partID{subtask: d.subtask, number: d.next, run: d.run, attempt: d.attempt}
	p := &part{dir: d, name: id.name(d.extension), digest: xxh3.New()}
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
	_, _ = w.digest.Write(b[:n]) // which never fails
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

// prepared describes a part that is prepared.
func (p *part) prepared() prepared {
	return prepared{temporary: hiddenName(p.name), final: p.name, size: p.written, digest: p.digest.Sum64()}
}

// close ends the lock of a part.
func (p *part) close() error {
	if p.file == nil {
		return nil
	}
	file := p.file
	p.file = nil
	if err := file.Close(); err != nil {
		return fmt.Errorf("close part %s: %w", p.dir.path+p.name, err)
	}
	return nil
}

// discard removes a part that will not be committed, unless it has its name already.
func (p *part) discard() error {
	if p.file == nil {
		return nil // it has been committed
	}
	err := p.dir.storage.Remove(p.hidden())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, p.close())
}
