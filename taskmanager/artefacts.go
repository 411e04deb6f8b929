package taskmanager

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// fetcher writes the artefact with the given digest to w. What it writes is not
// trusted; more than limit bytes are its error.
type fetcher func(ctx context.Context, d digest, w io.Writer, limit int64) error

const (
	fetchPrefix = ".fetch-"
	runPrefix   = ".run-"

	// sealedIdle is how long the verified copy of an executable is kept for the
	// next start: the two plannings and the start of a job follow each other.
	sealedIdle = time.Minute
)

// artefacts is the cache of the executables of jobs: a directory with a file
// for each, named by its digest. Files are verified whenever they are used, so
// nothing is trusted that was there before.
type artefacts struct {
	directory string
	// limit bounds the sum of the files that nobody uses, and each file.
	limit int64
	// idle is how long a file is kept that nobody uses.
	idle   time.Duration
	logger *slog.Logger

	mu struct {
		sync.Mutex
		entries map[digest]*artefact
	}
}

// artefact is one entry. Its fields, but for turn and sealed, belong to the
// mutex of the cache.
type artefact struct {
	digest digest
	// turn is held by who fetches or opens it; sealed belongs to its holder, and
	// to the cache's mutex while there are no users.
	turn   chan struct{}
	sealed *executable
	users  int
	used   time.Time
	size   int64
}

// openArtefacts adopts what is in the directory, which it creates if needed.
func openArtefacts(directory string, limit int64, idle time.Duration, logger *slog.Logger) (*artefacts, error) {
	c := &artefacts{directory: directory, limit: limit, idle: idle, logger: logger}
	c.mu.entries = map[digest]*artefact{}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, fmt.Errorf("artefact cache: %w", err)
	}
	files, err := os.ReadDir(directory)
	if err != nil {
		return nil, fmt.Errorf("artefact cache: %w", err)
	}
	for _, f := range files {
		c.adopt(f)
	}
	return c, nil
}

func (c *artefacts) adopt(f fs.DirEntry) {
	path := filepath.Join(c.directory, f.Name())
	if strings.HasPrefix(f.Name(), fetchPrefix) || strings.HasPrefix(f.Name(), runPrefix) {
		c.warn("remove the rest of an earlier run", os.RemoveAll(path))
		return
	}
	raw, err := hex.DecodeString(f.Name())
	if err != nil || len(raw) != len(digest{}) {
		return // It is not ours.
	}
	info, err := f.Info()
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	e := c.entry(digest(raw))
	e.size, e.used = info.Size(), info.ModTime()
}

// entry returns the entry of d. The caller holds the mutex, or is alone.
func (c *artefacts) entry(d digest) *artefact {
	e := c.mu.entries[d]
	if e == nil {
		e = &artefact{digest: d, turn: make(chan struct{}, 1)}
		c.mu.entries[d] = e
	}
	return e
}

// acquire returns the verified executable with digest d; it fetches what is not
// there. Of several callers one fetches and the others wait. The executable may
// be used until release.
func (c *artefacts) acquire(ctx context.Context, d digest, fetch fetcher) (*executable, error) {
	c.mu.Lock()
	e := c.entry(d)
	e.users++
	c.mu.Unlock()

	program, err := c.provide(ctx, e, fetch)
	if err != nil {
		c.release(d)
		return nil, err
	}
	return program, nil
}

// release says that an executable, which acquire returned, is not used any more.
func (c *artefacts) release(d digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.mu.entries[d]
	e.users--
	e.used = time.Now()
	if e.users == 0 && e.size == 0 && e.sealed == nil {
		delete(c.mu.entries, d) // It could not be fetched.
	}
}

func (c *artefacts) provide(ctx context.Context, e *artefact, fetch fetcher) (*executable, error) {
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if e.sealed != nil {
		return e.sealed, nil
	}
	program, err := c.open(e.digest)
	if errors.Is(err, errDigest) {
		c.logger.Warn("an artefact in the cache has changed; it is fetched again", "error", err)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDigest) {
		err = c.fetch(ctx, e, fetch)
		if errors.Is(err, syscall.ENOSPC) {
			c.logger.Warn("the disk is full; the artefacts that no job uses are removed", "error", err)
			c.drop(time.Now(), 0, 0)
			err = c.fetch(ctx, e, fetch)
		}
		if err != nil {
			return nil, err
		}
		program, err = c.open(e.digest)
	}
	if err != nil {
		return nil, err
	}
	e.sealed = program
	return program, nil
}

// open makes the verified copy of a cached file.
func (c *artefacts) open(d digest) (*executable, error) {
	file, err := os.Open(c.path(d))
	if err != nil {
		return nil, fmt.Errorf("artefact cache: %w", err)
	}
	defer file.Close()
	return newExecutable(c.directory, file, d)
}

func (c *artefacts) path(d digest) string { return filepath.Join(c.directory, d.String()) }

// fetch brings the artefact into the directory. A file that is not what its
// digest says never gets that name.
func (c *artefacts) fetch(ctx context.Context, e *artefact, fetch fetcher) (err error) {
	file, err := os.CreateTemp(c.directory, fetchPrefix+"*")
	if err != nil {
		return fmt.Errorf("artefact cache: %w", err)
	}
	defer func() {
		if err != nil {
			c.warn("remove an incomplete artefact", os.Remove(file.Name()))
		}
	}()
	defer file.Close()
	if err := fetch(ctx, e.digest, file, c.limit); err != nil {
		return fmt.Errorf("fetch artefact %s: %w", e.digest, err)
	}
	if err := (&executable{file: file}).verify(e.digest); err != nil {
		return fmt.Errorf("the JobManager sent something else: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("artefact cache: %w", err)
	}
	if err := os.Rename(file.Name(), c.path(e.digest)); err != nil {
		return fmt.Errorf("artefact cache: %w", err)
	}
	c.mu.Lock()
	e.size = info.Size()
	c.mu.Unlock()
	return nil
}

// sweep drops what nobody has used for a while, and of the rest the least
// recently used files that are over the limit.
func (c *artefacts) sweep(now time.Time) { c.drop(now, c.idle, c.limit) }

// drop is sweep with other limits.
func (c *artefacts) drop(now time.Time, longest time.Duration, limit int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var unused []*artefact
	var sum int64
	for _, e := range c.mu.entries {
		if e.users == 0 {
			unused = append(unused, e)
			sum += e.size
		}
	}
	slices.SortFunc(unused, func(a, b *artefact) int { return a.used.Compare(b.used) })
	for _, e := range unused {
		idle := now.Sub(e.used)
		if e.sealed != nil && idle >= sealedIdle {
			c.unseal(e)
		}
		if idle >= longest || sum > limit {
			c.unseal(e)
			c.warn("remove an artefact", os.Remove(c.path(e.digest)))
			delete(c.mu.entries, e.digest)
			sum -= e.size
		}
	}
}

// close gives up the verified copies. Nobody may use one any more.
func (c *artefacts) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.mu.entries {
		c.unseal(e)
	}
}

func (c *artefacts) unseal(e *artefact) {
	if e.sealed != nil {
		c.warn("close the copy of an artefact", e.sealed.close())
		e.sealed = nil
	}
}

func (c *artefacts) warn(what string, err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.logger.Warn("artefact cache: could not "+what, "error", err)
	}
}
