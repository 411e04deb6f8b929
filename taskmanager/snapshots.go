package taskmanager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/weirstream/weir/checkpoint"
	"github.com/weirstream/weir/checkpoint/storage"
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/ids"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
)

const (
	// inlineSnapshot is up to which size, in bytes, a snapshot travels in messages
	// and in the checkpoint's metadata, and has no file of its own.
	inlineSnapshot = 20 << 10
	// maxUploads is how many snapshots of one worker are stored at the same time.
	maxUploads = 4
)

// snapshots stores what one worker has written for checkpoints, and finds what its
// tasks begin with.
type snapshots struct {
	storage storage.Storage
	attempt ids.Attempt
	group   *goroutine.Group
	// relay passes on to the JobManager what is stored.
	relay func(*workerv1.SessionRequest)
	turn  chan struct{}
}

// openSnapshots returns nil for a job that takes no checkpoints.
func openSnapshots(a attempt, configuration map[string]string, group *goroutine.Group, relay func(*workerv1.SessionRequest)) (*snapshots, error) {
	c, _, err := config.Default().Decode("the job's configuration", configuration)
	if err != nil {
		return nil, err
	}
	if !config.CheckpointInterval.IsSet(c) {
		return nil, nil
	}
	s := &snapshots{attempt: a.number, group: group, relay: relay, turn: make(chan struct{}, maxUploads)}
	s.storage, err = storage.Open(config.CheckpointDirectory.Get(c), a.job)
	return s, err
}

// store stores a snapshot, and passes on where.
func (s *snapshots) store(m *workerv1.SnapshotTaken) {
	s.group.Go(func(ctx context.Context) error {
		select {
		case s.turn <- struct{}{}:
			defer func() { <-s.turn }()
		case <-ctx.Done():
			return nil
		}
		start := time.Now()
		path := m.GetPath()
		m.Path = ""
		err := s.put(ctx, m, path)
		m.AsynchronousUs += uint64(time.Since(start).Microseconds())
		if removed := os.Remove(path); err == nil && removed != nil && !errors.Is(removed, os.ErrNotExist) {
			err = removed
		}
		if err != nil {
			m.File = nil
			m.Failure = &workerv1.Failure{
				Message: strings.ToValidUTF8(fmt.Sprintf("store the snapshot of checkpoint %d: %v", m.GetCheckpoint(), err), "\uFFFD"),
				TimeMs:  time.Now().UnixMilli(),
			}
		}
		s.relay(&workerv1.SessionRequest{Message: &workerv1.SessionRequest_Snapshot{Snapshot: m}})
		return nil
	})
}

func (s *snapshots) put(ctx context.Context, m *workerv1.SnapshotTaken, path string) (err error) {
	content := storage.Content{Size: int64(m.GetFile().GetSize())}
	if n := copy(content.Digest[:], m.GetFile().GetDigest()); n != len(content.Digest) {
		return fmt.Errorf("the worker's digest of %s has %d bytes: want %d", path, n, len(content.Digest))
	}
	if content.Size <= inlineSnapshot {
		m.File.Inline, err = os.ReadFile(path)
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	content.ReaderAt = f
	m.File.Name = storage.TaskName(checkpoint.ID(m.GetCheckpoint()), ids.Subtask{Vertex: int(m.GetVertex()), Index: int(m.GetSubtask())})
	return storage.Ensure(ctx, s.storage, m.File.Name, s.attempt, content)
}

// locate says where the worker finds what its tasks begin with: in the directory of
// the checkpoints itself, which workers see as their TaskManager does.
func (s *snapshots) locate(m *workerv1.StartTasks) error {
	for _, r := range m.GetRestored() {
		if r.GetFile().GetName() == "" {
			continue
		}
		var err error
		if r.Path, err = storage.ParseLocation(s.storage.Location(r.GetFile().GetName())); err != nil {
			return fmt.Errorf("find the snapshot of checkpoint %d: %w", m.GetRestoredCheckpoint(), err)
		}
	}
	return nil
}
