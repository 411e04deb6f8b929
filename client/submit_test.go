package client_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/client"
	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
)

type submitStream = grpc.BidiStreamingServer[clientv1.SubmitJobRequest, clientv1.SubmitJobResponse]

// executable writes a file of so many random bytes.
func executable(t *testing.T, size int) (path string, content []byte) {
	t.Helper()
	content = make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	path = filepath.Join(t.TempDir(), "job")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, content
}

func TestSubmitSendsTheExecutableInChunks(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct {
		size   int
		chunks []int
	}{
		{0, nil},
		{1, []int{1}},
		{mib, []int{mib}},
		{2*mib + 5, []int{mib, mib, 5}},
	} {
		got := make(chan *receipt, 1)
		c := dial(t, &server{submit: func(stream submitStream) error {
			r, err := receive(stream, true)
			if err != nil {
				return err
			}
			got <- r
			return accept(stream, "id", "late departures")
		}})
		path, content := executable(t, test.size)
		var progress []int64
		job, err := c.Submit(t.Context(), client.Submission{
			Executable: path, FileName: "./clicks", Arguments: []string{"--topic", "clicks", ""},
			Configuration: map[string]string{"parallelism.default": "4"},
			Progress: func(sent, total int64) {
				if total != int64(test.size) {
					t.Errorf("total %d, want %d", total, test.size)
				}
				progress = append(progress, sent)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if job != (client.Submitted{ID: "id", Name: "late departures"}) {
			t.Errorf("got %+v", job)
		}
		r := <-got
		digest := sha256.Sum256(content)
		if !bytes.Equal(r.received, content) || !bytes.Equal(r.start.GetSha256(), digest[:]) || r.start.GetSize() != uint64(test.size) {
			t.Errorf("%d bytes: received %d, size %d, or a wrong digest", test.size, len(r.received), r.start.GetSize())
		}
		if !reflect.DeepEqual(r.chunks, test.chunks) {
			t.Errorf("chunks of %v, want %v", r.chunks, test.chunks)
		}
		if r.start.GetFileName() != "./clicks" || !reflect.DeepEqual(r.start.GetArguments(), []string{"--topic", "clicks", ""}) ||
			!reflect.DeepEqual(r.start.GetConfiguration(), map[string]string{"parallelism.default": "4"}) {
			t.Errorf("start %v", r.start)
		}
		want := []int64{0}
		for _, n := range test.chunks {
			want = append(want, want[len(want)-1]+int64(n))
		}
		if !reflect.DeepEqual(progress, want) {
			t.Errorf("progress %v, want %v", progress, want)
		}
	}
}

func TestSubmitSendsNothingThatTheServerHas(t *testing.T) {
	got := make(chan *receipt, 1)
	c := dial(t, &server{submit: func(stream submitStream) error {
		r, err := receive(stream, false)
		if err != nil {
			return err
		}
		got <- r
		return accept(stream, "id", "name")
	}})
	path, _ := executable(t, 100)
	_, err := c.Submit(t.Context(), client.Submission{
		Executable: path, Progress: func(int64, int64) { t.Error("there is no progress of nothing") },
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := <-got; len(r.chunks) != 0 || r.start.GetFileName() != "job" {
		t.Errorf("got chunks %v, file name %q", r.chunks, r.start.GetFileName())
	}
}

func TestSubmitPassesOnWhatPlanningSays(t *testing.T) {
	c := dial(t, &server{submit: func(stream submitStream) error {
		if _, err := receive(stream, true); err != nil {
			return err
		}
		for _, m := range []*clientv1.SubmitJobResponse{
			{Message: &clientv1.SubmitJobResponse_PlanOutput_{PlanOutput: &clientv1.SubmitJobResponse_PlanOutput{Data: []byte("hello")}}},
			{Message: &clientv1.SubmitJobResponse_PlanOutput_{PlanOutput: &clientv1.SubmitJobResponse_PlanOutput{StandardError: true, Data: []byte("usage")}}},
			{Message: &clientv1.SubmitJobResponse_Warning{Warning: "no id"}},
		} {
			if err := stream.Send(m); err != nil {
				return err
			}
		}
		return status.Error(codes.InvalidArgument, "main exited with code 2")
	}})
	path, _ := executable(t, 10)
	var said []string
	_, err := c.Submit(t.Context(), client.Submission{
		Executable: path,
		PlanOutput: func(standardError bool, data []byte) {
			if standardError {
				said = append(said, "stderr")
			}
			said = append(said, string(data))
		},
		Warning: func(text string) { said = append(said, "warning", text) },
	})
	if want := []string{"hello", "stderr", "usage", "warning", "no id"}; !reflect.DeepEqual(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
	if !errors.Is(err, client.ErrInvalid) || err.Error() != "main exited with code 2" {
		t.Errorf("got %v", err)
	}
}

func TestSubmitReportsARefusalThatComesWhileItSends(t *testing.T) {
	c := dial(t, &server{submit: func(stream submitStream) error {
		if _, err := stream.Recv(); err != nil {
			return err
		}
		if err := stream.Send(&clientv1.SubmitJobResponse{Message: &clientv1.SubmitJobResponse_ArtefactWanted{ArtefactWanted: true}}); err != nil {
			return err
		}
		if _, err := stream.Recv(); err != nil {
			return err
		}
		return status.Error(codes.FailedPrecondition, "the disk is full")
	}})
	path, _ := executable(t, 64<<20)
	_, err := c.Submit(t.Context(), client.Submission{Executable: path})
	if !errors.Is(err, client.ErrState) || err.Error() != "the disk is full" {
		t.Errorf("got %v", err)
	}
}

func TestSubmitNeedsAnAnswer(t *testing.T) {
	c := dial(t, &server{submit: func(submitStream) error { return nil }})
	path, _ := executable(t, 10)
	if _, err := c.Submit(t.Context(), client.Submission{Executable: path}); err == nil {
		t.Error("a submission without an answer succeeded")
	}
}

func TestSubmitOfWhatIsNoFile(t *testing.T) {
	c := dial(t, &server{})
	dir := t.TempDir()
	if _, err := c.Submit(t.Context(), client.Submission{Executable: filepath.Join(dir, "none")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := c.Submit(t.Context(), client.Submission{Executable: dir}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a directory: %v", err)
	}
}

func TestSubmitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := dial(t, &server{submit: func(stream submitStream) error {
		cancel()
		<-stream.Context().Done()
		return stream.Context().Err()
	}})
	path, _ := executable(t, 10)
	if _, err := c.Submit(ctx, client.Submission{Executable: path}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
