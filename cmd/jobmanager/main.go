package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/process"
	"github.com/weirstream/weir/internal/security"
	"github.com/weirstream/weir/jobmanager"
)

func main() {
	daemon := process.Daemon{
		Name:  "jobmanager",
		Short: "Run the JobManager of a Weir cluster",
		Long: "Run the JobManager of a cluster: it accepts jobs from the weir command, schedules them\n" +
			"into the slots of the TaskManagers that register with it, and watches them. It stops at\n" +
			"SIGTERM or Ctrl-C.",
		Run: run,
	}
	os.Exit(daemon.Main(os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, e process.Environment) error {
	credential, err := security.LoadOrCreateCredential(config.CredentialFile.Get(e.Config))
	if err != nil {
		return err
	}
	encryption, err := security.TLSFilesOf(e.Config).Server()
	if err != nil {
		return err
	}
	listener, err := security.Listen(ctx, config.JobManagerBindHost.Key(), config.JobManagerListenAddress(e.Config), encryption != nil, credential)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: perhaps a JobManager runs here already; for a further one set another %s", err, config.JobManagerPort.Key())
	}
	if err != nil {
		return err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	directory, forget, err := workingDirectory(e.Config, port)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	e.Log.Info("listening", "address", listener.Addr().String(), "tls", encryption != nil, "credential", credential)
	jm, err := jobmanager.New(jobmanager.Config{
		Settings:         e.Config,
		WorkingDirectory: directory,
		Version:          e.Build.Version,
		Log:              e.Log,
		ServerOptions:    security.ServerOptions(credential, encryption, e.Log),
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	e.Ready(net.JoinHostPort(config.JobManagerAddress.Get(e.Config), strconv.Itoa(port)))
	return errors.Join(jm.Serve(ctx, listener), forget())
}

// workingDirectory makes the JobManager's directory. Its name has the port, so
// that a JobManager which is started again finds its own, and two on one
// machine have one each. Where the port was any free one nobody will look for
// the directory again: forget removes it.
func workingDirectory(c *config.Config, port int) (path string, forget func() error, err error) {
	path, err = filepath.Abs(filepath.Join(config.JobManagerWorkingDirectory(c), fmt.Sprintf("jm_%d", port)))
	if err != nil {
		return "", nil, err
	}
	if err := security.PrivateDirectory(path); err != nil {
		return "", nil, fmt.Errorf("%s: %w", config.JobManagerWorkingDir.Key(), err)
	}
	if _, bound, err := net.SplitHostPort(config.JobManagerListenAddress(c)); err == nil && bound == "0" {
		return path, func() error { return os.RemoveAll(path) }, nil
	}
	return path, func() error { return nil }, nil
}
