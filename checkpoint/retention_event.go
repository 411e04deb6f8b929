package checkpoint

// RetentionEvent is something that happened which the [Retention] has to know.
// The types below, some actions of the [Coordinator] and [Tick] are all of them.
type RetentionEvent interface{ retentionEvent() }

// RetentionAction is something to do for the caller of a [Retention]. The types
// below are all of them.
type RetentionAction interface{ retentionAction() }

// StoredCheckpoint is a checkpoint that the metadata store has, as a JobManager
// finds it when it starts. One that the job was started from and has claimed is
// among them, with an id below all that the job allocates.
type StoredCheckpoint struct {
	ID       ID
	Metadata string
	// Files are all that its metadata names. They are not known if the metadata
	// is unreadable.
	Files      []File
	Unreadable bool
}

// UnclaimedCheckpoint names a checkpoint that the job was started from without
// claiming it: it is not the job's, and nothing that it names is ever deleted.
type UnclaimedCheckpoint struct{ Files []File }

// Loaded says that a checkpoint whose metadata was unreadable has been
// read after all.
type Loaded struct {
	ID       ID
	Metadata string
	Files    []File
}

// FilesFound are all files of the job that checkpoint storage lists when a
// JobManager starts, after the store was read. Those of checkpoints that never
// completed are deleted. It may be said again, with the same counter.
type FilesFound struct {
	Files []File
	// Counter is the last id that was allocated when this JobManager became
	// leader: younger checkpoints may be at work.
	Counter ID
}

// RestoreStarted says that a job's tasks are being restored from a checkpoint,
// RestoreEnded that they are not any more.
type RestoreStarted struct{ ID ID }

// RestoreEnded ends [RestoreStarted].
type RestoreEnded struct{ ID ID }

// PointerRemoved answers [RemovePointer]: the store does not have the checkpoint
// any more, whoever removed it.
type PointerRemoved struct{ ID ID }

// PointerNotRemoved answers [RemovePointer] if it failed, or if nobody knows: it
// is asked for again.
type PointerNotRemoved struct {
	ID     ID
	Reason string
}

// FilesDeleted answers [DeleteFiles]: they do not exist any more, whoever
// deleted them.
type FilesDeleted struct{ Names []string }

// FilesNotDeleted answers [DeleteFiles] for those that could not be deleted, or
// of which nobody knows: it is asked for again.
type FilesNotDeleted struct {
	Names  []string
	Reason string
}

// JobEnded says that the job has come to an end state, and whether its
// checkpoints are to go with it. It may be said again by another JobManager.
type JobEnded struct{ Delete bool }

// RemovePointer removes a checkpoint from the metadata store, by a guarded write
// that succeeds if there is none. [PointerRemoved] or [PointerNotRemoved]
// answers.
type RemovePointer struct{ ID ID }

// DeleteFiles deletes files from checkpoint storage, in this order; that one does
// not exist is success. [FilesDeleted] and [FilesNotDeleted] answer.
type DeleteFiles struct{ Names []string }

// Damaged says that a checkpoint under way names a file whose deletion
// was asked for while it was: it is an event of the [Coordinator], to be given to
// it before anything else.
type Damaged struct {
	ID   ID
	Name string
}

// FilesKept tells of files that nobody seems to name and that are left alone,
// for the log.
type FilesKept struct {
	Names  []string
	Reason string
}

func (UnclaimedCheckpoint) retentionEvent() {}
func (Loaded) retentionEvent()              {}
func (FilesFound) retentionEvent()          {}
func (RestoreStarted) retentionEvent()      {}
func (RestoreEnded) retentionEvent()        {}
func (PointerRemoved) retentionEvent()      {}
func (PointerNotRemoved) retentionEvent()   {}
func (FilesDeleted) retentionEvent()        {}
func (FilesNotDeleted) retentionEvent()     {}
func (JobEnded) retentionEvent()            {}
func (Tick) retentionEvent()                {}

func (RemovePointer) retentionAction() {}
func (DeleteFiles) retentionAction()   {}
func (Damaged) retentionAction()       {}
func (FilesKept) retentionAction()     {}
