package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/weirstream/weir/internal/security"
	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
)

// A description names every subtask of a job, so it grows with the job: one of
// 100,000 subtasks takes about 20 MiB.
const maxMessageSize = 64 << 20

// Config says which JobManager to talk to, and how.
type Config struct {
	// Address is the JobManager's "host:port".
	Address string
	// Credential is the cluster's credential. See [LocalCredential].
	Credential string
	// TLS is how to encrypt; nil talks in the clear, which is possible on
	// loopback only.
	TLS *tls.Config
}

// LocalCredential returns the credential that a JobManager of this user on this
// machine has created for lack of a configured one. It returns an error if
// there is none or if others could have read it.
func LocalCredential() (string, error) {
	c, err := security.LoadCredential("")
	return c.Secret(), err
}

// Client talks to one JobManager. Create one with [Dial]. All methods may be
// called concurrently.
type Client struct {
	address string
	conn    *grpc.ClientConn
	service clientv1.JobManagerClient
}

// Dial returns a client. It does not wait for the connection, which the first
// call opens; it returns an error if the configuration cannot work.
func Dial(config Config) (*Client, error) {
	credential, err := security.NewCredential(config.Credential)
	if err != nil {
		return nil, fmt.Errorf("credential for %s: %w", config.Address, err)
	}
	options, err := security.DialOptions(config.Address, credential, config.TLS)
	if err != nil {
		return nil, err
	}
	options = append(options,
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageSize)),
		// A machine that vanished is noticed while a job is watched. Servers
		// drop clients that ask more often than every 5 minutes.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 5*time.Minute + time.Second, Timeout: 20 * time.Second}),
	)
	conn, err := grpc.NewClient(config.Address, options...)
	if err != nil {
		return nil, fmt.Errorf("JobManager at %q: %w", config.Address, err)
	}
	return &Client{address: config.Address, conn: conn, service: clientv1.NewJobManagerClient(conn)}, nil
}

// Address returns the JobManager's address, as it was given to [Dial].
func (c *Client) Address() string { return c.address }

// Close ends the connection, and all calls that are under way.
func (c *Client) Close() error { return c.conn.Close() }

// List returns every job that the JobManager knows, in the order they started.
func (c *Client) List(ctx context.Context) ([]JobSummary, error) {
	response, err := c.service.ListJobs(ctx, &clientv1.ListJobsRequest{})
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	jobs := make([]JobSummary, 0, len(response.GetJobs()))
	for _, job := range response.GetJobs() {
		jobs = append(jobs, summaryFromProto(job))
	}
	return jobs, nil
}

// Describe returns one job with its vertices, subtasks and figures. The error
// is [ErrNotFound] if the JobManager does not know it.
func (c *Client) Describe(ctx context.Context, jobID string) (*Job, error) {
	response, err := c.service.DescribeJob(ctx, &clientv1.DescribeJobRequest{JobId: jobID})
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	return jobFromProto(response.GetJob()), nil
}

// Cancel asks a job to stop and does not wait until it has; [Client.Watch]
// tells when. The error is [ErrNotFound] if the JobManager does not know the
// job, and [ErrState] if it has ended already.
func (c *Client) Cancel(ctx context.Context, jobID string) error {
	_, err := c.service.CancelJob(ctx, &clientv1.CancelJobRequest{JobId: jobID})
	if err != nil {
		return c.failed(ctx, err)
	}
	return nil
}

// Cluster returns the TaskManagers that are registered, with their slots.
func (c *Client) Cluster(ctx context.Context) (*Cluster, error) {
	response, err := c.service.GetCluster(ctx, &clientv1.GetClusterRequest{})
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	return clusterFromProto(response), nil
}

// Watch yields a job's life from now on: first its description, then every
// change, what it prints, and its figures once a second. With outputFromStart
// it also yields what the job has printed before, as far as the JobManager has
// kept it. The sequence ends after the job has reached an end state, which the
// last event with a Job shows, or with an error, which is the last value then.
// It can be ranged over once.
func (c *Client) Watch(ctx context.Context, jobID string, outputFromStart bool) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		// Cancelled when the loop is left, so that the call ends with it.
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := c.service.WatchJob(ctx, &clientv1.WatchJobRequest{JobId: jobID, OutputFromStart: outputFromStart})
		if err != nil {
			yield(Event{}, c.failed(ctx, err))
			return
		}
		for {
			response, err := stream.Recv()
			if ended(err) {
				return
			}
			if err != nil {
				yield(Event{}, c.failed(ctx, err))
				return
			}
			event, known := eventFromProto(response)
			if known && !yield(event, nil) {
				return
			}
		}
	}
}
