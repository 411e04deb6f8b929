// Package client talks to a JobManager: it submits jobs, lists, describes,
// watches and cancels them, and shows their checkpoints. The weir command line is written with it, and so
// can any other Go program be.
//
//	c, err := client.Dial(client.Config{Address: "localhost:6123", Credential: credential})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	job, err := c.Submit(ctx, client.Submission{Executable: "./bin/clicks"})
//	if err != nil {
//		return err
//	}
//	for event, err := range c.Watch(ctx, job.ID, true) {
//		…
//	}
//
// # Its room
//
// It speaks the gRPC service weir.client.v1.JobManager, which proto/ documents,
// and translates its messages in one file. It knows nothing of how the
// JobManager works, reads no configuration, and builds no executables.
//
// # Concurrency
//
// A [Client] may be used by any number of goroutines. Callbacks of a
// [Submission] are called by the goroutine that called [Client.Submit], and the
// body of a loop over [Client.Watch] is run by its own; no goroutine of this
// package is left when a call has returned.
//
// # Errors
//
// An error of a call tells the user what happened in one line. Ask what kind it
// is with errors.Is: [ErrUnavailable] may be retried, [ErrUnauthenticated],
// [ErrInvalid], [ErrNotFound] and [ErrState] fail again until something else
// changes. A call whose context ended returns an error that wraps the context's.
package client
