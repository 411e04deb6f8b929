package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"

	"github.com/zeebo/xxh3"
)

// proofs is the directory, below a sink's, that holds an empty file for each part that
// was committed, of the part's name.
const proofs = ".weir-commits"

// commit gives prepared parts their names, whatever was done of it before.
//
// The proof of a part is on the disk before the part is renamed. So a part has its
// name, or had it before somebody moved it away, if and only if there is a proof and no
// file of the temporary name; neither says whether the file still has to be there. With
// verify, parts that another process has prepared are read first.
func (d *directory) commit(run string, parts []prepared, verify bool) error {
	if len(parts) == 0 {
		return nil
	}
	if run != "" {
		if err := d.prove(parts, verify); err != nil {
			return err
		}
	}
	for _, p := range parts {
		err := d.storage.Rename(d.path+p.temporary, d.path+p.final)
		if errors.Is(err, fs.ErrNotExist) && (run != "" || d.verify(d.path+p.final, p) == nil) {
			continue // it was committed before
		}
		if err != nil {
			return fmt.Errorf("complete part %s: %w", d.path+p.final, err)
		}
	}
	// Also where an earlier process has renamed all: it may have been killed here.
	if err := d.storage.SyncDir(d.path); err != nil {
		return fmt.Errorf("put the name of part %s on the disk: %w", d.path+parts[0].final, err)
	}
	return nil
}

// prove has the proof of each part on the disk. It makes none for a part that is lost:
// the next attempt would believe it.
func (d *directory) prove(parts []prepared, verify bool) error {
	if err := d.storage.MakeDir(d.path + proofs); err != nil {
		return fmt.Errorf("make the directory for proofs of commits: %w", err)
	}
	for _, p := range parts {
		proof := d.path + proofs + "/" + p.final
		proven, err := d.storage.Exists(proof)
		if err == nil {
			err = d.present(p, proven, verify)
		}
		if err != nil {
			return err
		}
		if proven {
			continue
		}
		f, err := d.storage.Create(proof)
		if err == nil {
			err = f.Close()
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("write the proof that part %s is committed: %w", d.path+p.final, err)
		}
	}
	// Also if all were there: whoever has made them may have been killed here.
	if err := d.storage.SyncDir(d.path + proofs); err != nil {
		return fmt.Errorf("put the proof that part %s is committed on the disk: %w", d.path+parts[0].final, err)
	}
	return nil
}

// present returns an error if a part is lost or not what it was.
func (d *directory) present(p prepared, proven, verify bool) error {
	temporary, final := d.path+p.temporary, d.path+p.final
	exists, err := d.storage.Exists(temporary)
	switch {
	case err != nil:
		return fmt.Errorf("look for what was prepared: %w", err)
	case exists && verify:
		return d.verify(temporary, p)
	case exists || proven:
		return nil
	}
	if exists, err = d.storage.Exists(final); err != nil {
		return fmt.Errorf("look for what was committed: %w", err)
	}
	if exists {
		return d.verify(final, p)
	}
	return fmt.Errorf("a part of %d bytes that belongs to the checkpoint is lost: there is neither %s, which was prepared, nor %s, nor the proof %s/%s that it was there: "+
		"put back the one or the other, or the directory in which the job has written, under its path; or go on from another checkpoint", p.size, temporary, final, d.path+proofs, p.final)
}

// verify compares a file with what was prepared.
func (d *directory) verify(path string, p prepared) error {
	f, err := d.storage.Open(path)
	if err != nil {
		return fmt.Errorf("read what was prepared: %w", err)
	}
	h := xxh3.New()
	size, err := io.Copy(h, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read what was prepared, %s: %w", path, err)
	}
	if size != p.size || h.Sum64() != p.digest {
		return fmt.Errorf("%s is not what was prepared: it has %d bytes with the digest %016x, and must have %d with %016x: put back the file as it was, or go on from another checkpoint", path, size, h.Sum64(), p.size, p.digest)
	}
	return nil
}

// clean removes what attempts that are over have left of the runs: parts that were not
// prepared, or for a checkpoint that did not become complete. One with a proof belongs
// to one that did.
func (d *directory) clean(runs []string) error {
	if len(runs) == 0 {
		return nil
	}
	mine := make(map[string]bool, len(runs))
	for _, run := range runs {
		mine[run] = true
	}
	entries, err := d.storage.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("read the directory on %s: %w", here(d.path), err)
	}
	removed := 0
	for _, entry := range entries {
		p, ok := parsePart(entry.Name())
		if !ok || p.complete || !mine[p.run] || p.attempt == d.attempt {
			continue
		}
		name := d.path + entry.Name()
		proven, err := d.storage.Exists(d.path + proofs + "/" + p.visible(entry.Name()))
		owned := false
		if err == nil && !proven {
			owned, err = d.storage.Owned(name)
		}
		if errors.Is(err, fs.ErrNotExist) || err == nil && proven {
			continue
		}
		if err != nil {
			return fmt.Errorf("a part that an earlier attempt has left: %w", err)
		}
		if owned {
			slog.Warn("a part that an earlier attempt has left is still being written by its process, and stays", "file", name)
			continue
		}
		if err := d.remove([]string{entry.Name()}); err != nil {
			return err
		}
		removed++
	}
	if removed > 0 {
		slog.Info("parts that earlier attempts have left are removed", "directory", d.path, "parts", removed)
	}
	return nil
}
