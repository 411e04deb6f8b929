package storage_test

import (
	"os"
	"testing"

	"github.com/weirstream/weir/internal/leaktest"
)

func TestMain(m *testing.M) {
	if root := os.Getenv(victimRoot); root != "" {
		victim(root)
		return
	}
	leaktest.Main(m)
}
