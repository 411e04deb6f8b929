package storage

import (
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/weirstream/weir/checkpoint"
	"github.com/weirstream/weir/internal/ids"
)

const (
	checkpointPrefix = "chk-"
	metadataFile     = "_metadata"
	sharedDir        = "shared"
	maxName          = 200 // bytes of a part of a name; file systems have 255, temporary names are longer
)

// CheckpointDir returns the name of a checkpoint's directory, which a user gives to
// restore from it.
func CheckpointDir(id checkpoint.ID) string {
	return checkpointPrefix + strconv.FormatUint(uint64(id), 10)
}

// MetadataName returns the name of a checkpoint's metadata.
func MetadataName(id checkpoint.ID) string { return CheckpointDir(id) + "/" + metadataFile }

// TaskName returns the name of the snapshot that a subtask has written for a
// checkpoint.
func TaskName(id checkpoint.ID, task ids.Subtask) string {
	return fmt.Sprintf("%s/task-%d-%d", CheckpointDir(id), task.Vertex, task.Index)
}

// SharedName returns the name of a file that was written for a checkpoint and may
// be named by later ones. The rest tells the files of one checkpoint apart.
func SharedName(id checkpoint.ID, rest string) string {
	return fmt.Sprintf("%s/%d-%s", sharedDir, id, rest)
}

// Writer returns the checkpoint that a file was written for. It reports false for a
// name that no function of this package makes.
func Writer(name string) (checkpoint.ID, bool) {
	dir, file, _ := strings.Cut(name, "/")
	if checkName(name) != nil {
		return 0, false
	}
	digits, ok := strings.CutPrefix(dir, checkpointPrefix)
	if dir == sharedDir {
		digits, _, ok = strings.Cut(file, "-")
	}
	if !ok || digits == "" || digits[0] < '1' || digits[0] > '9' {
		return 0, false // FormatUint writes neither signs nor zeros ahead
	}
	id, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0, false
	}
	return checkpoint.ID(id), true
}

// checkName refuses what is not a directory and a file in it, and what could be a
// temporary name.
func checkName(name string) error {
	dir, file, _ := strings.Cut(name, "/")
	if !fs.ValidPath(name) || file == "" || strings.ContainsAny(file, "/") || strings.ContainsAny(name, "\\\x00") ||
		dir[0] == '.' || file[0] == '.' || max(len(dir), len(file)) > maxName {
		return fmt.Errorf("the name %.300q: want a directory and a file in it, such as %q, each of at most %d bytes and without a dot before it",
			name, MetadataName(1), maxName)
	}
	return nil
}

// Open returns the storage of a job at a location, the value of
// execution.checkpointing.dir: a path, which is made absolute, or a URL such as
// "file:///checkpoints". It does no I/O: [Storage.Check] does.
func Open(location string, job ids.JobID) (Storage, error) {
	root, err := ParseLocation(location)
	if err != nil {
		return nil, err
	}
	return OpenDirectory(root, job), nil
}

// ParseLocation returns the absolute path of a location in a file system, with an
// error that says how to write it for everything else.
func ParseLocation(location string) (string, error) {
	const hint = `want a path, or a URL such as "file:///var/lib/weir/checkpoints"`
	scheme, _, isURL := strings.Cut(location, ":")
	isURL = isURL && !strings.ContainsAny(scheme, "/.") && len(scheme) > 1
	switch {
	case location == "":
		return "", fmt.Errorf("the location of checkpoints is empty: %s", hint)
	case strings.ContainsRune(location, 0):
		return "", fmt.Errorf("the location of checkpoints is %q, with a zero byte: %s", location, hint)
	case !isURL:
		absolute, err := filepath.Abs(location)
		if err != nil {
			return "", fmt.Errorf("the location of checkpoints is %q: %w", location, err)
		}
		return absolute, nil
	}
	u, err := url.Parse(location)
	switch {
	case err != nil:
		return "", fmt.Errorf("the location of checkpoints is %q, which is no URL: %s", location, hint)
	case u.Scheme != "file":
		return "", fmt.Errorf("the location of checkpoints is %q: there is no storage for %s: %s", location, u.Scheme, hint)
	case u.Host != "" && u.Host != "localhost":
		return "", fmt.Errorf("the location of checkpoints is %q, which names the host %q: a path begins after three slashes: %s", location, u.Host, hint)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil || u.Opaque != "":
		return "", fmt.Errorf("the location of checkpoints is %q, with more than a path: %s", location, hint)
	case u.Path == "" || strings.ContainsRune(u.Path, 0):
		return "", fmt.Errorf("the location of checkpoints is %q, without a path: %s", location, hint)
	}
	return path.Clean(u.Path), nil
}
