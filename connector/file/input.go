package file

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// input is a file that is read from its beginning, decompressed if need be.
type input struct {
	system  fileSystem
	path    string
	file    handle
	size    uint64        // when it was opened
	read    uint64        // bytes read from file
	raw     *bufio.Reader // between file and codec
	format  string        // of the compression: gzip, zstd, or "" if there is none
	codec   io.Reader     // decompresses raw
	release func()        // what codec holds, or nil
}

// open opens a file and finds out whether it is compressed.
func open(system fileSystem, path string) (*input, error) {
	// Looked at before it is opened: opening a named pipe waits for a writer.
	info, err := system.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: fmt.Errorf("it is not a regular file but %v", info.Mode().Type())}
	}
	var file handle
	if err == nil {
		file, err = system.Open(path)
	}
	if err != nil {
		return nil, unreadable(path, err)
	}
	in := &input{system: system, path: path, file: file, size: uint64(info.Size())}
	if err := in.detect(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), in.Close())
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

const (
	rawBuffer = 64 << 10
	// zstdWindow is how much memory a zstd frame may ask for: as much as the zstd
	// program's --long does, eight times what it uses otherwise.
	zstdWindow = 128 << 20
)

// detect begins to decompress a file that is named or begins like a compressed
// one. What it begins with counts more.
func (in *input) detect() error {
	in.raw = bufio.NewReaderSize(counter{in}, rawBuffer)
	magic, err := in.raw.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	name := strings.ToLower(in.path)
	switch {
	case bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		in.format = "gzip"
	case isZstd(magic):
		in.format = "zstd"
	case strings.HasSuffix(name, ".gz"):
		in.format = "gzip"
	case strings.HasSuffix(name, ".zst"), strings.HasSuffix(name, ".zstd"):
		in.format = "zstd"
	default:
		return nil
	}
	if len(magic) == 0 {
		return in.explain(io.ErrUnexpectedEOF)
	}
	if in.format == "gzip" {
		z, err := gzip.NewReader(in.raw)
		in.codec = z
		return in.explain(err)
	}
	// With a concurrency of 1 it decompresses where it is called, without
	// goroutines.
	z, err := zstd.NewReader(in.raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow))
	if err != nil {
		return in.explain(err)
	}
	in.codec, in.release = z, z.Close
	return nil
}

// isZstd knows the magic bytes of zstd's frames, and of those that are skipped.
// The format is RFC 8878, section 3.1.
func isZstd(magic []byte) bool {
	return string(magic) == "\x28\xb5\x2f\xfd" || len(magic) == 4 && magic[0]&0xf0 == 0x50 && string(magic[1:]) == "\x2a\x4d\x18"
}

var (
	errShrank   = errors.New("the file shrank while it was in use")
	errVanished = errors.New("the file vanished while it was read")
)

// counter counts what is read from the file, and finds an end where none should
// be.
type counter struct{ *input }

func (c counter) Read(p []byte) (int, error) {
	n, err := c.file.Read(p)
	c.read += uint64(n)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		if c.read < c.size {
			err = fmt.Errorf("%w: it had %d bytes when it was opened and ends at byte %d now", errShrank, c.size, c.read)
		}
	case errors.Is(err, syscall.ESTALE), errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w, at byte %d of %d: %w", errVanished, c.read, c.size, err)
	default:
		err = fmt.Errorf("at byte %d of %d: %w", c.read, c.size, err)
	}
	return n, err
}

// Read implements io.Reader. A compressed file that ends too early is an error,
// never io.EOF.
func (in *input) Read(p []byte) (int, error) {
	if in.codec == nil {
		return in.raw.Read(p)
	}
	n, err := in.codec.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = in.explain(err)
	}
	return n, err
}

// explain says in words what the decompression found.
func (in *input) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errShrank), errors.Is(err, errVanished):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("the %s data is truncated: %w", in.format, io.ErrUnexpectedEOF)
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, zstd.ErrMagicMismatch):
		return fmt.Errorf("this is not %s data: %w", in.format, err)
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, zstd.ErrCRCMismatch):
		return fmt.Errorf("the %s data is damaged: %w", in.format, err)
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return fmt.Errorf("the zstd data needs a window of more than %d bytes: %w", zstdWindow, err)
	default:
		return fmt.Errorf("cannot decompress: %w", err)
	}
}

func (in *input) compressed() bool { return in.format != "" }

// seek continues a file that is not compressed at offset.
func (in *input) seek(offset int64) error {
	if _, err := in.file.Seek(offset, io.SeekStart); err != nil {
		return fmt.Errorf("seek to byte %d: %w", offset, err)
	}
	in.read = uint64(offset)
	in.raw.Reset(counter{in})
	return nil
}

// consumed returns how much of the file, as it is stored, was taken from it.
func (in *input) consumed() uint64 { return in.read - uint64(in.raw.Buffered()) }

// newlines counts the newlines in the first n bytes of a file that is not
// compressed, by reading them again.
func (in *input) newlines(ctx context.Context, n int64) (lines int64, err error) {
	file, err := in.system.Open(in.path)
	if err != nil {
		return 0, unreadable(in.path, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	block := make([]byte, min(n, 1<<20))
	for n > 0 {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		m, err := io.ReadFull(file, block[:min(n, int64(len(block)))])
		if err != nil {
			return 0, fmt.Errorf("%s: count its lines: %w", in.path, err)
		}
		lines += int64(bytes.Count(block[:m], []byte{'\n'}))
		n -= int64(m)
	}
	return lines, nil
}

// Close releases the file and what decompresses it.
func (in *input) Close() error {
	if in.release != nil {
		in.release()
	}
	return in.file.Close()
}
