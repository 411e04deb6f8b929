package taskmanager_test

import (
	"os"
	"testing"

	"github.com/weirstream/weir/internal/launch"
	"github.com/weirstream/weir/internal/leaktest"
)

// TestMain is also the main of the processes that the tests start: of a job's
// executable, and of a TaskManager that is going to be killed.
func TestMain(m *testing.M) {
	if os.Getenv(launch.Mode) != "" {
		os.Exit(playJob(os.Args[1:])) //nolint:forbidigo // This is the main of a job.
	}
	if os.Getenv(daemonVariable) != "" {
		os.Exit(playDaemon()) //nolint:forbidigo // This is the main of a daemon.
	}
	leaktest.Main(m)
}
