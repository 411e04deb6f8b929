package metastore

import (
	"context"
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// What the format's tests and fuzz targets read.
var (
	Seal        = seal
	Unseal      = unseal
	ParseFormat = parseFormat
)

// MinFree is how much of a disk has to be free.
const MinFree = minFree

// OpenOn opens a local store whose data is in another file system.
func OpenOn(ctx context.Context, c Config, files vfs.FS) (*Store, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	l, err := openLocal(ctx, c, files)
	if err != nil {
		return nil, err
	}
	return &Store{backend: l}, nil
}

// SetEpoch makes another leader's epoch the store's, as if this process had lost the
// lock without a sign.
func (s *Store) SetEpoch(epoch uint64) error {
	return s.backend.(*local).db.Set(epochKey, binary.BigEndian.AppendUint64(nil, epoch), pebble.Sync)
}
