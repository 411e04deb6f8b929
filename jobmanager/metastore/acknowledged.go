package metastore

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/zeebo/xxh3"
)

// acknowledged is the file that has the revision of the last transaction that was
// reported as applied. Pebble takes a damaged record of its write-ahead log for the
// end of the log, as after a crash in the middle of a write, drops what follows and
// removes the file. A store that has a lower revision than this file has lost
// something; it is looked at before Pebble may write.
//
// There are two slots, in sectors of their own, which are written in turn, so that a
// crash leaves at least one: the revision and its xxh3, 8 bytes each, big-endian.
type acknowledged struct {
	file *os.File
	next int64 // the slot to write
}

const (
	acknowledgedFile = "acknowledged"
	slotSize         = 16
	slotDistance     = 4096
)

// openAcknowledged opens the file and returns the revision in it. A directory that is
// being created has none yet.
func openAcknowledged(dir string, create bool) (*acknowledged, Revision, error) {
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(filepath.Join(dir, acknowledgedFile), flags, 0o600)
	if err != nil {
		return nil, Absent, err
	}
	a := &acknowledged{file: f}
	last, found := Absent, create
	for slot := range int64(2) {
		var content [slotSize]byte
		if _, err := f.ReadAt(content[:], slot*slotDistance); err != nil && !errors.Is(err, io.EOF) {
			return nil, Absent, errors.Join(err, f.Close())
		}
		if revision, ok := parseSlot(content); ok {
			found = true
			if revision >= last {
				last, a.next = revision, 1-slot
			}
		}
	}
	if !found {
		return nil, Absent, errors.Join(errEnvelope, f.Close())
	}
	return a, last, nil
}

func formatSlot(r Revision) (content [slotSize]byte) {
	binary.BigEndian.PutUint64(content[:], uint64(r))
	binary.BigEndian.PutUint64(content[8:], xxh3.Hash(content[:8]))
	return content
}

func parseSlot(content [slotSize]byte) (Revision, bool) {
	r := Revision(binary.BigEndian.Uint64(content[:]))
	return r, r >= 0 && content == formatSlot(r)
}

// write makes the revision durable.
func (a *acknowledged) write(r Revision) error {
	content := formatSlot(r)
	if _, err := a.file.WriteAt(content[:], a.next*slotDistance); err != nil {
		return err
	}
	a.next = 1 - a.next
	return a.file.Sync()
}

func (a *acknowledged) close() error { return a.file.Close() }
