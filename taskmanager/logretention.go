package taskmanager

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/ids"
)

// logRetention bounds the logs of jobs that have no worker here any more.
type logRetention struct {
	// jobs is of how many jobs they are kept, age for how long after they were
	// last written to.
	jobs int
	age  time.Duration
}

// expired returns the jobs whose logs have to go, given when each was last
// written to: what is too old, and then the oldest beyond the number.
func (r logRetention) expired(written map[ids.JobID]time.Time, now time.Time) []ids.JobID {
	youngest := slices.SortedFunc(maps.Keys(written), func(a, b ids.JobID) int {
		return cmp.Or(written[b].Compare(written[a]), bytes.Compare(a[:], b[:]))
	})
	keep := 0
	for keep < min(len(youngest), r.jobs) && now.Sub(written[youngest[keep]]) <= r.age {
		keep++
	}
	return youngest[keep:]
}

// sweep removes logs of ended jobs, also of those of an earlier TaskManager in
// the same directory. It touches nothing but logs of jobs.
func (l *jobLogs) sweep(now time.Time, r logRetention) {
	// No worker starts to write meanwhile.
	l.mu.Lock()
	defer l.mu.Unlock()
	files, written, err := l.ended()
	for _, job := range r.expired(written, now) {
		for _, file := range files[job] {
			if removeErr := os.Remove(file); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
				err = errors.Join(err, removeErr)
			}
		}
		l.logger.Debug("removed the log of a job that has ended", "job", job, "last_written", written[job])
	}
	if err != nil {
		l.logger.Warn("could not remove logs of jobs that have ended", "error", err)
	}
}

// ended returns the files of each job that nobody writes to, and when the
// youngest of them was written to.
func (l *jobLogs) ended() (files map[ids.JobID][]string, written map[ids.JobID]time.Time, err error) {
	entries, err := os.ReadDir(l.directory)
	if err != nil {
		return nil, nil, fmt.Errorf("log directory: %w", err)
	}
	files, written = map[ids.JobID][]string{}, map[ids.JobID]time.Time{}
	for _, entry := range entries {
		job, ok := jobOfLog(entry.Name())
		if !ok || !entry.Type().IsRegular() || l.mu.open[job] != nil {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			continue // Somebody else has removed it.
		}
		files[job] = append(files[job], filepath.Join(l.directory, entry.Name()))
		if info.ModTime().After(written[job]) {
			written[job] = info.ModTime()
		}
	}
	return files, written, nil
}

// jobOfLog returns the job whose log, or older log, has this name.
func jobOfLog(name string) (ids.JobID, bool) {
	text, older, ok := strings.Cut(name, ".log")
	if !ok {
		return ids.JobID{}, false
	}
	if older != "" {
		if n, err := strconv.Atoi(older[1:]); older[0] != '.' || err != nil || older[1:] != strconv.Itoa(n) || n < 1 {
			return ids.JobID{}, false
		}
	}
	job, err := ids.ParseJobID(text)
	return job, err == nil && job.String() == text
}
