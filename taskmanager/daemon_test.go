package taskmanager_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/weirstream/weir/taskmanager"
)

// daemonVariable makes the test binary a TaskManager: "address directory".
const daemonVariable = "TASKMANAGER_OF_THE_TEST"

var errNoProcess = syscall.ESRCH

func signalZero(pid int) error { return syscall.Kill(pid, 0) }

func playDaemon() int {
	address, base, _ := strings.Cut(os.Getenv(daemonVariable), " ")
	tm, err := taskmanager.New(configure(address, base))
	if err == nil {
		err = tm.Run(context.Background())
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}
