package storage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/weirstream/weir/internal/ids"
)

var (
	// ErrExists says that a name is taken. What it has is not changed, and is as
	// durable as if Put had stored it.
	ErrExists = errors.New("it exists already")
	// ErrNotFound says that there is no file of the name.
	ErrNotFound = errors.New("there is no such file")
)

// Storage keeps the files of one job's checkpoints. Names are as [MetadataName]
// and its relatives make them; others are refused. All methods may be called
// concurrently.
type Storage interface {
	// Location returns where a file is, as users write it: "file:///checkpoints/…".
	// The empty name is the job's directory.
	Location(name string) string
	// Check stores and removes something, and so finds out whether Put can.
	Check(ctx context.Context) error
	// Put stores a file under a name that is not taken, for an attempt of the job. It
	// returns ErrExists if it is taken, and an error if the content is not what it is
	// said to be. When it returns nil the file is durable; after any other error it
	// may be stored or not.
	Put(ctx context.Context, name string, attempt ids.Attempt, content Content) error
	// Open opens a file for reading. It returns ErrNotFound if there is none; after
	// any other error there may be one.
	Open(ctx context.Context, name string) (File, error)
	// Delete deletes a file. That there is none is success.
	Delete(ctx context.Context, name string) error
	// List yields the files of the job in no particular order. It may lack what was
	// stored a moment ago and have what was deleted: nothing but the finding of
	// garbage may depend on it. An error is the last thing that is yielded.
	List(ctx context.Context) iter.Seq2[Entry, error]
	// CleanUp removes what attempts before the given one have begun to store and not
	// finished.
	CleanUp(ctx context.Context, before ids.Attempt) error
}

// Content is what is to be stored. It may be read more than once, from any offset.
type Content struct {
	io.ReaderAt
	// Size is its length in bytes, Digest its SHA-256.
	Size   int64
	Digest [sha256.Size]byte
}

// Bytes returns b as content. It keeps the slice.
func Bytes(b []byte) Content {
	return Content{ReaderAt: bytes.NewReader(b), Size: int64(len(b)), Digest: sha256.Sum256(b)}
}

// File is a stored file that is read. It may be used concurrently.
type File interface {
	io.ReaderAt
	io.Closer
	// Size is its length in bytes.
	Size() int64
}

// Entry is a file that was listed.
type Entry struct {
	Name string
	// Size is its length in bytes.
	Size int64
	// Modified is when it was stored, by the clock of the storage.
	Modified time.Time
}

// Ensure stores a file whose name is taken by nobody else: it returns nil if the
// name has the content, whoever stored it, so that it may be repeated after an
// answer was lost. It returns ErrExists if the name has another content.
func Ensure(ctx context.Context, s Storage, name string, attempt ids.Attempt, content Content) error {
	err := s.Put(ctx, name, attempt, content)
	if !errors.Is(err, ErrExists) {
		return err
	}
	switch other := Fetch(ctx, s, name, content.Size, content.Digest, io.Discard); {
	case other == nil:
		return nil
	case errors.Is(other, errContent):
		return fmt.Errorf("%w, and is not what is to be stored: %w", err, other)
	default:
		return fmt.Errorf("read back what exists already: %w", other)
	}
}

// errContent says that a file's content is not what it should be.
var errContent = errors.New("the content is another one")

// Fetch copies a file to w and verifies its length and its digest. What was written
// to w is good only if it returns nil.
func Fetch(ctx context.Context, s Storage, name string, size int64, digest [sha256.Size]byte, w io.Writer) (err error) {
	f, err := s.Open(ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if f.Size() != size {
		return fmt.Errorf("%s: %w: it has %d bytes, %d were stored", s.Location(name), errContent, f.Size(), size)
	}
	if err := copyContent(ctx, w, Content{ReaderAt: f, Size: size, Digest: digest}); err != nil {
		return fmt.Errorf("%s: %w", s.Location(name), err)
	}
	return nil
}

// Read returns a whole file of at most limit bytes. It verifies nothing: it is for
// files that have a digest in themselves.
func Read(ctx context.Context, s Storage, name string, limit int64) (b []byte, err error) {
	f, err := s.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if f.Size() > limit {
		return nil, fmt.Errorf("%s: it has %d bytes: at most %d are possible", s.Location(name), f.Size(), limit)
	}
	b = make([]byte, f.Size())
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("%s: after %d of %d bytes: %w", s.Location(name), n, len(b), unexpected(err))
	}
	return b, nil
}

// chunk is how much is copied between two looks at the context.
const chunk = 256 << 10

// copyContent copies content to w and verifies it.
func copyContent(ctx context.Context, w io.Writer, c Content) error {
	hash := sha256.New()
	buffer := make([]byte, min(chunk, c.Size))
	for at := int64(0); at < c.Size; {
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", at, c.Size, err)
		}
		b := buffer[:min(int64(len(buffer)), c.Size-at)]
		if n, err := c.ReadAt(b, at); n < len(b) {
			return fmt.Errorf("after %d of %d bytes: %w", at+int64(n), c.Size, unexpected(err))
		}
		_, _ = hash.Write(b) // hash.Hash never returns an error
		if n, err := w.Write(b); err != nil || n < len(b) {
			if err == nil {
				err = io.ErrShortWrite
			}
			return fmt.Errorf("after %d of %d bytes: %w", at+int64(n), c.Size, err)
		}
		at += int64(len(b))
	}
	if got := [sha256.Size]byte(hash.Sum(nil)); got != c.Digest {
		return fmt.Errorf("%w: it has SHA-256 %x, want %x", errContent, got, c.Digest)
	}
	return nil
}

// unexpected makes an end that came too early one that says so.
func unexpected(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
