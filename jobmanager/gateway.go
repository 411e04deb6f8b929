package jobmanager

import (
	"errors"
	"io"
	"io/fs"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
)

// FetchArtefact implements the service.
func (g *gateway) FetchArtefact(m *tmv1.FetchArtefactRequest, stream grpc.ServerStreamingServer[tmv1.FetchArtefactResponse]) error {
	var d digest
	if len(m.GetSha256()) != len(d) {
		return status.Errorf(codes.InvalidArgument, "the SHA-256 has %d bytes: want %d", len(m.GetSha256()), len(d))
	}
	d = digest(m.GetSha256())
	if g.artefacts == nil {
		return status.Error(codes.NotFound, "an embedded JobManager has no executables")
	}
	f, size, err := g.artefacts.open(d)
	if errors.Is(err, fs.ErrNotExist) {
		return status.Errorf(codes.NotFound, "no job has the executable with SHA-256 %s any more", d)
	}
	if err != nil {
		g.log.Error("cannot read an executable", "sha256", d.String(), "error", err)
		return status.Errorf(codes.Internal, "the JobManager cannot read the executable: %v", err)
	}
	defer func() { _ = f.Close() }()
	// Sent even if there is nothing else: it has the size.
	response := &tmv1.FetchArtefactResponse{Size: uint64(size)}
	for {
		// A buffer of its own for each message: gRPC may still hold the last one.
		part := make([]byte, min(int64(chunkSize), max(1, int64(size))))
		n, err := io.ReadFull(f, part)
		if errors.Is(err, io.EOF) && response.Size == 0 {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			g.log.Error("cannot read an executable", "sha256", d.String(), "error", err)
			return status.Errorf(codes.Internal, "the JobManager cannot read the executable: %v", err)
		}
		response.Chunk = part[:n]
		if err := stream.Send(response); err != nil {
			return err
		}
		response = &tmv1.FetchArtefactResponse{}
		if g.group.Context().Err() != nil {
			return errStopping
		}
	}
}
