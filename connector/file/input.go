package file

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// input is a file that is read from its beginning, decompressed if need be.
type input struct {
	path string
	file *os.File
	size uint64
	read uint64        // bytes read from file
	raw  *bufio.Reader // between file and gzip
	gzip *gzip.Reader  // nil for a file that is not compressed
}

// open opens a file and finds out whether it is compressed.
func open(path string) (*input, error) {
	// Looked at before it is opened: opening a named pipe waits for a writer.
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: fmt.Errorf("it is not a regular file but %v", info.Mode().Type())}
	}
	var file *os.File
	if err == nil {
		file, err = os.Open(path)
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	in := &input{path: path, file: file, size: uint64(info.Size())}
	if err := in.detect(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	return in, nil
}

// unreadable says which file is missed, and on which machine, since a worker's
// is rarely the user's.
func unreadable(path string, err error) error {
	what := "cannot be read"
	if errors.Is(err, fs.ErrNotExist) {
		what = "does not exist"
	}
	return fmt.Errorf("file %q %s on %s: %w: every TaskManager must see the input under this path", path, what, here(path), err)
}

// here names this machine, and the working directory if path depends on it.
func here(path string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "this host"
	}
	if strings.HasPrefix(path, "/") {
		return host
	}
	dir, err := os.Getwd()
	if err != nil {
		return host
	}
	return host + " in " + dir
}

// detect begins to decompress a file that is named or begins like gzip's.
func (in *input) detect() error {
	in.raw = bufio.NewReaderSize(counter{in}, 64<<10)
	magic, err := in.raw.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if string(magic) == "\x1f\x8b" || strings.HasSuffix(strings.ToLower(in.path), ".gz") {
		if in.gzip, err = gzip.NewReader(in.raw); err != nil {
			return explain(err)
		}
	}
	return nil
}

// counter counts what is read from the file.
type counter struct{ *input }

func (c counter) Read(p []byte) (int, error) {
	n, err := c.file.Read(p)
	c.read += uint64(n)
	return n, err
}

// Read implements io.Reader. A compressed file that ends too early is an error,
// never io.EOF.
func (in *input) Read(p []byte) (int, error) {
	if in.gzip == nil {
		return in.raw.Read(p)
	}
	n, err := in.gzip.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = explain(err)
	}
	return n, err
}

// explain says in words what gzip found.
func explain(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("the gzip data is truncated: %w", io.ErrUnexpectedEOF)
	case errors.Is(err, gzip.ErrHeader):
		return fmt.Errorf("this is not gzip data: %w", err)
	case errors.Is(err, gzip.ErrChecksum):
		return fmt.Errorf("the gzip data is damaged: %w", err)
	default:
		return fmt.Errorf("cannot decompress: %w", err)
	}
}

func (in *input) compressed() bool { return in.gzip != nil }

// seek continues a file that is not compressed at offset.
func (in *input) seek(offset int64) error {
	if _, err := in.file.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	in.read = uint64(offset)
	in.raw.Reset(counter{in})
	return nil
}

// progress returns how much of the file is consumed, when unread bytes of what
// Read returned are not.
func (in *input) progress(unread int) (done, total uint64) {
	done = in.read - uint64(in.raw.Buffered())
	if !in.compressed() {
		done -= uint64(unread)
	}
	return done, max(done, in.size)
}

func (in *input) Close() error { return in.file.Close() }
