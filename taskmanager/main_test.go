package taskmanager_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/weirstream/weir/internal/launch"
	"github.com/weirstream/weir/internal/leaktest"
)

// TestMain is also the main of the processes that the tests start: of a job's
// executable, and of a TaskManager that is going to be killed.
func TestMain(m *testing.M) {
	// These exit without the race detector's pause of a second.
	if os.Getenv(launch.Mode) != "" {
		syscall.Exit(playJob(os.Args[1:]))
	}
	if os.Getenv(daemonVariable) != "" {
		syscall.Exit(playDaemon())
	}
	leaktest.Main(m)
}
