package jobmanager

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDirectoryIsOneJobManagers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "down")
	first, err := openDirectory(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openDirectory(path); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("another JobManager uses it (process %d)", os.Getpid())) {
		t.Errorf("a second one: %v", err)
	}
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	second, err := openDirectory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer second.close()
	if second.cluster != first.cluster || second.cluster == "" {
		t.Errorf("cluster %q, before %q", second.cluster, first.cluster)
	}
	if second.epoch <= first.epoch {
		t.Errorf("epoch %d after %d", second.epoch, first.epoch)
	}
}

// TestEpochsGrow also where the clock was set back, or was ahead.
func TestEpochsGrow(t *testing.T) {
	path := t.TempDir()
	if err := os.WriteFile(filepath.Join(path, "epoch"), []byte("99999999999999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := openDirectory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if d.epoch != 100000000000000 {
		t.Errorf("epoch %d", d.epoch)
	}
}

func TestDirectoriesThatCannotBeUsed(t *testing.T) {
	open := t.TempDir()
	if err := os.Chmod(open, 0o777); err != nil { //nolint:gosec // That is what is refused.
		t.Fatal(err)
	}
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "epoch"), []byte("seven\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, word := range map[string]string{open: "chmod 700", damaged: "seven", file: "working directory"} {
		if _, err := openDirectory(path); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%v does not say %q", err, word)
		}
	}
	// What was refused is not left locked.
	if err := os.Remove(filepath.Join(damaged, "epoch")); err != nil {
		t.Fatal(err)
	}
	d, err := openDirectory(damaged)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.close(); err != nil {
		t.Error(err)
	}
}
