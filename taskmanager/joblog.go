package taskmanager

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/weirstream/weir/internal/ids"
)

// jobLogs writes what the workers of each job print to a file per job. A file
// that has reached its limit becomes <name>.1, that one <name>.2, and so on;
// the oldest is dropped. Those of jobs that have ended go by and by: see
// [logRetention].
type jobLogs struct {
	directory string
	limit     int64
	older     int
	logger    *slog.Logger

	mu struct {
		sync.Mutex
		open map[ids.JobID]*jobLog
	}
}

func openJobLogs(directory string, limit int64, older int, logger *slog.Logger) (*jobLogs, error) {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return nil, fmt.Errorf("log directory: %w", err)
	}
	l := &jobLogs{directory: directory, limit: limit, older: older, logger: logger}
	l.mu.open = map[ids.JobID]*jobLog{}
	return l, nil
}

// path returns where the job's output goes.
func (l *jobLogs) path(job ids.JobID) string {
	return filepath.Join(l.directory, job.String()+".log")
}

// open returns the job's log, which the caller must release. Two attempts of a
// job, of which one is about to end, share it.
func (l *jobLogs) open(job ids.JobID) (*jobLog, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	j := l.mu.open[job]
	if j == nil {
		j = &jobLog{logs: l, path: l.path(job)}
		if err := j.openFile(); err != nil {
			return nil, err
		}
		l.mu.open[job] = j
	}
	j.users++
	return j, nil
}

func (l *jobLogs) release(job ids.JobID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	j := l.mu.open[job]
	if j.users--; j.users == 0 {
		j.close()
		delete(l.mu.open, job)
	}
}

// jobLog is one job's file.
type jobLog struct {
	logs  *jobLogs
	path  string
	users int // belongs to the mutex of jobLogs

	mu struct {
		sync.Mutex
		file *os.File
		size int64
		// broken stops repeated complaints about a full disk.
		broken bool
	}
}

func (j *jobLog) openFile() error {
	file, err := os.OpenFile(j.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("the job's log file: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("the job's log file: %w", err), file.Close())
	}
	j.mu.file, j.mu.size = file, info.Size()
	return nil
}

// write appends data. A log that cannot be written does not stop the job: it is
// said once, in the daemon's log.
func (j *jobLog) write(data []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.append(data); err != nil && !j.mu.broken {
		j.mu.broken = true
		j.logs.logger.Error("the output of a job cannot be written to its log file; it is still passed on to its client",
			"file", j.path, "error", err)
	}
}

func (j *jobLog) append(data []byte) error {
	if j.mu.size > 0 && j.mu.size+int64(len(data)) > j.logs.limit {
		if err := j.rotate(); err != nil {
			return err
		}
	}
	if j.mu.file == nil {
		return fs.ErrClosed
	}
	n, err := j.mu.file.Write(data)
	j.mu.size += int64(n)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

func (j *jobLog) rotate() error {
	if j.mu.file != nil {
		_ = j.mu.file.Close() // What it still had to say would have been said by write.
		j.mu.file = nil
	}
	for i := j.logs.older; i > 0; i-- {
		from := j.path
		if i > 1 {
			from = fmt.Sprintf("%s.%d", j.path, i-1)
		}
		if err := os.Rename(from, fmt.Sprintf("%s.%d", j.path, i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("rotate: %w", err)
		}
	}
	if j.logs.older == 0 {
		if err := os.Remove(j.path); err != nil {
			return fmt.Errorf("rotate: %w", err)
		}
	}
	return j.openFile()
}

func (j *jobLog) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.mu.file == nil {
		return
	}
	if err := j.mu.file.Close(); err != nil && !j.mu.broken {
		j.logs.logger.Error("close the log file of a job", "file", j.path, "error", err)
	}
	j.mu.file = nil
}
