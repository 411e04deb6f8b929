package file

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/weirstream/weir/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// testdata returns the path of a file of real data, which lies in ../shared/data
// beside the module's root unless WEIR_TEST_DATA names another directory. A test
// that needs it fails without it: skipped, it would go unnoticed.
func testdata(tb testing.TB, name string) string {
	tb.Helper()
	dir := os.Getenv("WEIR_TEST_DATA")
	if dir == "" {
		dir = filepath.Join(moduleRoot(tb), "..", "shared", "data")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		tb.Fatalf("this test reads real data: %v\nset WEIR_TEST_DATA to the directory that holds %s", err, name)
	}
	return path
}

func moduleRoot(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			tb.Fatal("there is no go.mod above the working directory")
		}
		dir = parent
	}
}
