package recovery

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/weirstream/weir"
)

// Folder is a sink that commits rows, a line each, to a folder: what is prepared is a
// file in its folder "prepared", and what is committed has moved to "committed". That
// the file is there is the proof that it was.
type Folder string

// Open implements [weir.Sink].
func (f Folder) Open(context.Context, weir.Subtask) (weir.Writer[string], error) {
	for _, name := range []string{"prepared", "committed"} {
		if err := os.MkdirAll(filepath.Join(string(f), name), 0o755); err != nil {
			return nil, err
		}
	}
	return &folderWriter{folder: f}, nil
}

// Rows returns how often each row was committed.
func (f Folder) Rows() (rows map[string]int, err error) {
	rows = map[string]int{}
	files, err := filepath.Glob(filepath.Join(string(f), "committed", "*"))
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			rows[lines.Text()]++
		}
		if err := errors.Join(lines.Err(), file.Close()); err != nil {
			return nil, err
		}
	}
	return rows, err
}

type folderWriter struct {
	folder Folder
	rows   []byte
}

func (w *folderWriter) Write(rows []string) error {
	for _, r := range rows {
		w.rows = append(append(w.rows, r...), '\n')
	}
	return nil
}

func (w *folderWriter) Flush() error { return nil }
func (w *folderWriter) Close() error { return nil }

// Prepare implements [weir.Committer].
func (w *folderWriter) Prepare(checkpoint uint64) ([]byte, error) {
	if len(w.rows) == 0 {
		return nil, nil
	}
	name := fmt.Sprintf("%d-%s", checkpoint, rand.Text())
	err := os.WriteFile(filepath.Join(string(w.folder), "prepared", name), w.rows, 0o644)
	w.rows = w.rows[:0]
	return []byte(name), err
}

// Commit implements [weir.Committer].
func (w *folderWriter) Commit(prepared []byte) error {
	from, to := filepath.Join(string(w.folder), "prepared", string(prepared)), filepath.Join(string(w.folder), "committed", string(prepared))
	err := os.Rename(from, to)
	if errors.Is(err, os.ErrNotExist) {
		_, err = os.Stat(to)
	}
	return err
}

// Recover implements [weir.Committer].
func (w *folderWriter) Recover(prepared [][]byte) error {
	for _, p := range prepared {
		if err := w.Commit(p); err != nil {
			return err
		}
	}
	return nil
}
