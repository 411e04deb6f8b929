package taskmanager

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/ids"
)

func TestJobLogRotates(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "log")
	logs, err := openJobLogs(directory, 100, 2, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	job := ids.NewJobID()
	// Two attempts of the job write into one log.
	first, err := logs.open(job)
	if err != nil {
		t.Fatal(err)
	}
	second, err := logs.open(job)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		first.write([]byte(strings.Repeat(string(rune('a'+i)), 30)))
		if i == 4 {
			logs.release(job) // The first attempt ends.
			first = second
		}
	}
	first.write(bytes.Repeat([]byte("!"), 500)) // It is not cut.
	logs.release(job)
	if len(logs.mu.open) != 0 {
		t.Error("the log stays open")
	}
	path := logs.path(job)
	for name, want := range map[string]string{
		path:        strings.Repeat("!", 500),
		path + ".1": strings.Repeat("j", 30),
		path + ".2": strings.Repeat("g", 30) + strings.Repeat("h", 30) + strings.Repeat("i", 30),
	} {
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v; want %q", filepath.Base(name), got, err, want)
		}
	}
	if files, err := os.ReadDir(directory); err != nil || len(files) != 3 {
		t.Errorf("the directory has %v, %v", files, err)
	}
	// A later attempt goes on where the job's log ends.
	again, err := logs.open(job)
	if err != nil {
		t.Fatal(err)
	}
	again.write([]byte("again"))
	logs.release(job)
	if got, err := os.ReadFile(path + ".1"); err != nil || len(got) != 500 {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

// A log that cannot be written is said once, and nothing else happens.
func TestJobLogThatCannotBeWritten(t *testing.T) {
	var said bytes.Buffer
	directory := filepath.Join(t.TempDir(), "log")
	logs, err := openJobLogs(directory, 10, 1, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	job := ids.NewJobID()
	log, err := logs.open(job)
	if err != nil {
		t.Fatal(err)
	}
	log.write([]byte("first"))
	if err := os.RemoveAll(directory); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		log.write([]byte("more than fits"))
	}
	logs.release(job)
	if got := strings.Count(said.String(), "\n"); got != 1 {
		t.Errorf("it was said %d times: %s", got, said.String())
	}
}
