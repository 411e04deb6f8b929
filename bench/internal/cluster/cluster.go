package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/goroutine"
)

// Config says what cluster to start.
type Config struct {
	// Binaries is the directory of jobmanager and taskmanager.
	Binaries string
	// Directory is where the cluster keeps all of its files. It exists.
	Directory string
	// TaskManagers is their number, and Slots that of the slots of each.
	TaskManagers, Slots int
	// Settings are further configuration keys with their values.
	Settings map[string]string
}

// Cluster is a running cluster.
type Cluster struct {
	config       Config
	client       *client.Client
	group        *goroutine.Group
	jobManager   *daemon
	taskManagers []*daemon
}

// Start starts a cluster and waits until it can run jobs. ctx is for the start
// alone.
func Start(ctx context.Context, c Config) (*Cluster, error) {
	cluster := &Cluster{config: c, group: goroutine.New(context.WithoutCancel(ctx))}
	if err := cluster.start(ctx); err != nil {
		return nil, errors.Join(err, cluster.Close())
	}
	return cluster, nil
}

func (c *Cluster) start(ctx context.Context) error {
	credential := rand.Text() + rand.Text() // Each has 26 characters of the 32 that are the least.
	if err := c.writeFiles(credential); err != nil {
		return err
	}
	var err error
	if c.jobManager, err = c.startDaemon("jobmanager", "jobmanager"); err != nil {
		return err
	}
	address, err := c.jobManager.awaitReady(ctx)
	if err != nil {
		return err
	}
	if c.client, err = client.Dial(client.Config{Address: address, Credential: credential}); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("the JobManager says that its address is %q: %w", address, err)
	}
	for i := range c.config.TaskManagers {
		name := "taskmanager-" + strconv.Itoa(i+1)
		tm, err := c.startDaemon(name, "taskmanager",
			"-D", config.JobManagerPort.Key()+"="+port, "-D", config.TaskManagerResourceID.Key()+"="+name)
		if err != nil {
			return err
		}
		c.taskManagers = append(c.taskManagers, tm)
	}
	return c.awaitRegistered(ctx)
}

// writeFiles writes the configuration of all daemons, and their credential.
func (c *Cluster) writeFiles(credential string) error {
	file := filepath.Join(c.config.Directory, "credential")
	if err := os.WriteFile(file, []byte(credential), 0o600); err != nil {
		return err
	}
	settings := map[string]string{
		config.JobManagerPort.Key():    "0",
		config.NumberOfTaskSlots.Key(): strconv.Itoa(c.config.Slots),
		config.CredentialFile.Key():    file,
		config.WorkingDir.Key():        c.config.Directory,
		config.LogDir.Key():            c.logs(),
	}
	maps.Copy(settings, c.config.Settings)
	var lines strings.Builder
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&lines, "%s: %s\n", key, settings[key])
	}
	return errors.Join(os.WriteFile(c.configFile(), []byte(lines.String()), 0o600), os.MkdirAll(c.logs(), 0o700))
}

func (c *Cluster) configFile() string { return filepath.Join(c.config.Directory, "weir.yaml") }
func (c *Cluster) logs() string       { return filepath.Join(c.config.Directory, "log") }

// registrationPoll is how often the JobManager is asked who has registered.
const registrationPoll = 20 * time.Millisecond

// awaitRegistered returns once the JobManager knows all TaskManagers.
func (c *Cluster) awaitRegistered(ctx context.Context) error {
	poll := time.NewTicker(registrationPoll)
	defer poll.Stop()
	for {
		known, err := c.client.Cluster(ctx)
		if err != nil {
			return err
		}
		if len(known.TaskManagers) == len(c.taskManagers) {
			return nil
		}
		for _, tm := range c.taskManagers {
			if tm.isGone() {
				return tm.failure()
			}
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Close stops the cluster.
func (c *Cluster) Close() error {
	var err error
	if c.client != nil {
		err = c.client.Close()
	}
	// The JobManager goes last, so that nobody looks for another.
	err = errors.Join(err, stop(c.taskManagers))
	if c.jobManager != nil {
		err = errors.Join(err, stop([]*daemon{c.jobManager}))
	}
	return errors.Join(err, c.group.Close())
}
