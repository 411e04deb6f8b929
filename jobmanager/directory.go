package jobmanager

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/weirstream/weir/internal/ids"
)

// identity is who this JobManager is: the cluster it leads, and since when.
type identity struct {
	cluster string
	// epoch is the leader's epoch. It grows with every start of a JobManager in
	// the same directory, and also where the directory was lost meanwhile,
	// because it is never less than the clock's milliseconds. A TaskManager
	// drops what carries another one than that of its session.
	epoch uint64
}

// newIdentity returns the identity that follows on the last epoch.
func newIdentity(cluster string, last uint64) identity {
	return identity{cluster: cluster, epoch: max(last+1, uint64(max(0, time.Now().UnixMilli())))}
}

func newClusterID() string { return ids.NewSessionID().String() }

// directory is the JobManager's working directory, locked while it is open.
type directory struct {
	path string
	lock *os.File
	identity
}

// openDirectory creates the directory if need be, locks it, and begins a new
// leader's epoch. The error names the process that uses the directory, if
// one does.
func openDirectory(path string) (*directory, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("working directory: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("working directory: %w", err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("working directory %s can be written by others (mode %04o): protect it with: chmod 700 %s",
			path, info.Mode().Perm(), path)
	}
	lock, err := lockFile(filepath.Join(path, "lock"))
	if err != nil {
		return nil, fmt.Errorf("working directory %s: %w", path, err)
	}
	d := &directory{path: path, lock: lock}
	if err := d.begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("working directory %s: %w", path, err), d.close())
	}
	return d, nil
}

// lockFile takes the lock and writes the process's id into the file, for the
// message of whoever finds it taken. The kernel releases it with the process.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := make([]byte, 32)
		n, _ := f.Read(holder)
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another JobManager uses it (process %s); give each a directory of its own",
				strings.TrimSpace(string(holder[:n])))
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// begin reads the cluster's id and the last epoch, and writes what follows.
func (d *directory) begin() error {
	cluster, err := d.read("cluster-id")
	if err != nil {
		return err
	}
	if cluster == "" {
		cluster = newClusterID()
		if err := d.write("cluster-id", cluster); err != nil {
			return err
		}
	}
	text, err := d.read("epoch")
	if err != nil {
		return err
	}
	last := uint64(0)
	if text != "" {
		if last, err = strconv.ParseUint(text, 10, 64); err != nil {
			return fmt.Errorf("the last leader's epoch in %s: %w; remove the file if it is damaged", filepath.Join(d.path, "epoch"), err)
		}
	}
	d.identity = newIdentity(cluster, last)
	return d.write("epoch", strconv.FormatUint(d.epoch, 10))
}

// read returns what a file of the directory holds, nothing if there is none.
func (d *directory) read(name string) (string, error) {
	content, err := os.ReadFile(filepath.Join(d.path, name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(bytes.TrimSpace(content)), err
}

// write replaces a file as a whole: a crash leaves the old content or the new.
func (d *directory) write(name, content string) error {
	f, err := os.CreateTemp(d.path, "."+name+"-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(content + "\n")
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(d.path, name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

func (d *directory) close() error { return d.lock.Close() }
