package client

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"google.golang.org/grpc"

	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
)

// chunkSize is the most of an executable that one message may carry.
const chunkSize = 1 << 20

// Submission is a job to submit.
type Submission struct {
	// Executable is the path of the job's executable.
	Executable string
	// FileName is what messages call it; the executable's own name if empty.
	FileName string
	// Arguments are what the job's main gets as os.Args[1:].
	Arguments []string
	// Configuration are settings by configuration key.
	Configuration map[string]string

	// Progress, if set, is called with the bytes that were sent so far and in
	// all, beginning with 0. It is not called if the JobManager has the
	// executable already.
	Progress func(sent, total int64)
	// PlanOutput, if set, is called with what the job's main prints while the
	// JobManager has it planned. It must not keep data.
	PlanOutput func(standardError bool, data []byte)
	// Warning, if set, is called with what the user should know about the job.
	Warning func(text string)
}

// Submitted is a job that the JobManager has accepted.
type Submitted struct {
	ID   string
	Name string
}

// Submit sends a job's executable, unless the JobManager has it already, and
// starts the job. It returns once the job is accepted, which is after it was
// planned and before it runs. The error is [ErrInvalid] if the job was refused.
func (c *Client) Submit(ctx context.Context, s Submission) (Submitted, error) {
	file, err := os.Open(s.Executable)
	if err != nil {
		return Submitted{}, err
	}
	defer func() { _ = file.Close() }()
	start, err := s.start(file)
	if err != nil {
		return Submitted{}, fmt.Errorf("read %s: %w", s.Executable, err)
	}
	// Cancelled on return, so that the call ends also where it is given up.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.service.SubmitJob(ctx)
	if err != nil {
		return Submitted{}, c.failed(ctx, err)
	}
	if err := send(stream, &clientv1.SubmitJobRequest{Message: &clientv1.SubmitJobRequest_Start_{Start: start}}); err != nil {
		return Submitted{}, c.failed(ctx, err)
	}
	u := upload{client: c, submission: &s, stream: stream, file: file, size: int64(start.GetSize())}
	return u.run(ctx)
}

// start makes the first message, for which the whole executable is read once.
func (s *Submission) start(file *os.File) (*clientv1.SubmitJobRequest_Start, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file")
	}
	hash := sha256.New()
	size, err := io.Copy(hash, file)
	if err != nil {
		return nil, err
	}
	name := s.FileName
	if name == "" {
		name = filepath.Base(s.Executable)
	}
	return &clientv1.SubmitJobRequest_Start{
		Sha256:        hash.Sum(nil),
		Size:          uint64(size),
		Arguments:     s.Arguments,
		Configuration: s.Configuration,
		FileName:      name,
	}, nil
}

// upload is a submission under way.
type upload struct {
	client     *Client
	submission *Submission
	stream     grpc.BidiStreamingClient[clientv1.SubmitJobRequest, clientv1.SubmitJobResponse]
	file       *os.File
	size       int64
}

// run reads what the server says until it accepts or refuses.
func (u *upload) run(ctx context.Context) (Submitted, error) {
	for {
		response, err := u.stream.Recv()
		if ended(err) {
			return Submitted{}, fmt.Errorf("the JobManager at %s ended the submission without an answer", u.client.address)
		}
		if err != nil {
			return Submitted{}, u.client.failed(ctx, err)
		}
		switch m := response.GetMessage().(type) {
		case *clientv1.SubmitJobResponse_ArtefactWanted:
			err = u.answer(ctx, m.ArtefactWanted)
		case *clientv1.SubmitJobResponse_PlanOutput_:
			if u.submission.PlanOutput != nil {
				u.submission.PlanOutput(m.PlanOutput.GetStandardError(), m.PlanOutput.GetData())
			}
		case *clientv1.SubmitJobResponse_Warning:
			if u.submission.Warning != nil {
				u.submission.Warning(m.Warning)
			}
		case *clientv1.SubmitJobResponse_Accepted_:
			return Submitted{ID: m.Accepted.GetJobId(), Name: m.Accepted.GetJobName()}, nil
		}
		if err != nil {
			return Submitted{}, err
		}
	}
}

// answer sends the executable if it is wanted, and closes this side.
func (u *upload) answer(ctx context.Context, wanted bool) error {
	if wanted {
		if err := u.sendExecutable(ctx); err != nil {
			return err
		}
	}
	if err := u.stream.CloseSend(); err != nil {
		return u.client.failed(ctx, err)
	}
	return nil
}

func (u *upload) sendExecutable(ctx context.Context) error {
	if _, err := u.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read %s: %w", u.submission.Executable, err)
	}
	progress := u.submission.Progress
	if progress == nil {
		progress = func(int64, int64) {}
	}
	progress(0, u.size)
	for sent := int64(0); sent < u.size; {
		// A buffer of its own for each: gRPC may still hold the last one.
		chunk := make([]byte, min(chunkSize, u.size-sent))
		if _, err := io.ReadFull(u.file, chunk); err != nil {
			return fmt.Errorf("read %s, which was changed while it was being sent: %w", u.submission.Executable, err)
		}
		if err := send(u.stream, &clientv1.SubmitJobRequest{Message: &clientv1.SubmitJobRequest_Chunk{Chunk: chunk}}); err != nil {
			return u.client.failed(ctx, err)
		}
		sent += int64(len(chunk))
		progress(sent, u.size)
	}
	return nil
}

// send sends a message or returns why the server has ended the call.
func send(stream grpc.BidiStreamingClient[clientv1.SubmitJobRequest, clientv1.SubmitJobResponse], m *clientv1.SubmitJobRequest) error {
	err := stream.Send(m)
	// Send says only that the stream has ended; the status is received. What
	// the server sent before it, warnings at most, is skipped.
	for ended(err) {
		if _, received := stream.Recv(); received != nil {
			return received
		}
	}
	return err
}
