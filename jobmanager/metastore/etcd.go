package metastore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/internal/goroutine"
)

// The keys of a cluster in etcd, below <root>/<cluster id>/: "format"; the store's
// own keys below "data/"; the candidates below "leader/", by lease; below
// "transaction/" for each of the last epochs the name of its last transaction.
const (
	formatKey    = "format"
	dataKeys     = "data/"
	candidates   = "leader/"
	transactions = "transaction/"
)

// listPage is how many entries are asked for at once: with the largest values they
// have 32 MiB.
const listPage = 32

// etcd is the store in etcd.
type etcd struct {
	client  *clientv3.Client
	prefix  string // "<root>/<cluster id>/"
	session time.Duration
	timeout time.Duration
	log     *slog.Logger
	group   *goroutine.Group

	// leading is held while this store is a candidate or leads.
	leading chan struct{}
	// seen is the largest revision that etcd has answered with, cluster the id of
	// etcd's own cluster.
	seen    atomic.Int64
	cluster atomic.Uint64

	mu struct {
		sync.Mutex
		term *etcdTerm
	}
}

func openEtcd(ctx context.Context, c Config) (*etcd, error) {
	security, err := tlsConfig(c)
	if err != nil {
		return nil, err
	}
	group := goroutine.New(context.WithoutCancel(ctx))
	client, err := clientv3.New(clientv3.Config{
		Endpoints: c.Endpoints, TLS: security, Username: c.User, Password: c.Password,
		Context: group.Context(), DialTimeout: c.RequestTimeout,
		DialKeepAliveTime: c.RequestTimeout, DialKeepAliveTimeout: c.RequestTimeout,
		Logger: zap.NewNop(), // Errors are returned, not logged twice.
	})
	e := &etcd{
		client: client, prefix: c.Root + "/" + c.ClusterID + "/", session: c.SessionTimeout, timeout: c.RequestTimeout,
		log: c.Logger, group: group, leading: make(chan struct{}, 1),
	}
	if err != nil {
		group.Stop()
		return nil, e.failed(err, "connect")
	}
	if err := e.openFormat(ctx); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

// tlsConfig reads the certificates, if any are configured.
func tlsConfig(c Config) (*tls.Config, error) {
	encrypted := c.CAFile != "" || c.CertificateFile != ""
	for _, endpoint := range c.Endpoints {
		encrypted = encrypted || strings.HasPrefix(endpoint, "https://")
	}
	if !encrypted {
		return nil, nil //nolint:nilnil // no TLS is a valid configuration
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, failure(ErrInvalid, err, "%s", KeyCAFile)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, failure(ErrInvalid, nil, "%s: %s has no certificate in PEM form", KeyCAFile, c.CAFile)
		}
	}
	if c.CertificateFile != "" {
		certificate, err := tls.LoadX509KeyPair(c.CertificateFile, c.KeyFile)
		if err != nil {
			return nil, failure(ErrInvalid, err, "%s, %s", KeyCertificateFile, KeyKeyFile)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, nil
}

// openFormat reads the format of the cluster's keys, or writes it where there is
// none. Doing so twice does no harm, so an answer that is lost is asked for again.
func (e *etcd) openFormat(ctx context.Context) error {
	key := e.prefix + formatKey
	content := fmt.Sprintf("%s %d", formatName, localFormat)
	for {
		r, err := e.txn(ctx, clientv3.OpTxn(
			[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(key), "=", 0)},
			[]clientv3.Op{clientv3.OpPut(key, content)},
			[]clientv3.Op{clientv3.OpGet(key)}))
		switch {
		case err != nil && ambiguous(err) && ctx.Err() == nil:
			// What was asked for is read back. That it was not answered at all is an error.
			if _, err := e.read(ctx, key); err != nil {
				return e.failed(err, "open")
			}
		case err != nil:
			return e.failed(err, "open")
		case r.Succeeded:
			return nil
		default:
			_, err := parseFormat("etcd key "+key, r.Responses[0].GetResponseRange().Kvs[0].Value)
			return err
		}
	}
}

func (e *etcd) get(ctx context.Context, key string) (Entry, error) {
	r, err := e.read(ctx, e.prefix+dataKeys+key)
	if err != nil {
		return Entry{}, e.failed(err, "get %q", key)
	}
	if len(r.Kvs) == 0 {
		return Entry{Key: key}, nil
	}
	return Entry{Key: key, Value: r.Kvs[0].Value, Revision: Revision(r.Kvs[0].ModRevision)}, nil
}

// list reads page by page, all as of the revision of the first. Where etcd was
// compacted meanwhile it begins anew.
func (e *etcd) list(ctx context.Context, prefix string) ([]Entry, error) {
	for {
		entries, err := e.listOnce(ctx, e.prefix+dataKeys+prefix)
		if err == nil {
			return entries, nil
		}
		if !errors.Is(err, rpctypes.ErrCompacted) || ctx.Err() != nil {
			return nil, e.failed(err, "list %q", prefix)
		}
	}
}

func (e *etcd) listOnce(ctx context.Context, prefix string) (entries []Entry, err error) {
	from, end, revision := prefix, clientv3.GetPrefixRangeEnd(prefix), int64(0)
	for {
		r, err := e.read(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(listPage), clientv3.WithRev(revision))
		if err != nil {
			return nil, err
		}
		for _, kv := range r.Kvs {
			key := string(kv.Key[len(e.prefix)+len(dataKeys):])
			entries = append(entries, Entry{Key: key, Value: kv.Value, Revision: Revision(kv.ModRevision)})
			from = string(kv.Key) + "\x00"
		}
		if !r.More {
			return entries, nil
		}
		if revision == 0 {
			revision = r.Header.Revision
		}
	}
}

// read reads from etcd, linearizably and in bounded time.
func (e *etcd) read(ctx context.Context, key string, options ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	before := e.seen.Load()
	r, err := e.client.Get(ctx, key, options...)
	if err != nil {
		return nil, err
	}
	return r, e.observe(r.Header, before)
}

// txn sends a transaction to etcd once, in bounded time.
func (e *etcd) txn(ctx context.Context, op clientv3.Op) (*clientv3.TxnResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	before := e.seen.Load()
	r, err := e.client.Do(ctx, op)
	if err != nil {
		return nil, err
	}
	return r.Txn(), e.observe(r.Txn().Header, before)
}

// observe notices an etcd that went back in time: it was restored from a backup,
// or is another one. Then nothing that was decided before it can be relied on.
func (e *etcd) observe(h *pb.ResponseHeader, before int64) error {
	if !e.cluster.CompareAndSwap(0, h.ClusterId) && e.cluster.Load() != h.ClusterId {
		return failure(ErrCorrupt, nil, "etcd's cluster is %x, it was %x: it is another one, or was restored from a backup; start the JobManagers anew",
			h.ClusterId, e.cluster.Load())
	}
	if h.Revision < before {
		return failure(ErrCorrupt, nil, "etcd answers with revision %d after %d: it was restored from a backup; start the JobManagers anew",
			h.Revision, before)
	}
	for {
		seen := e.seen.Load()
		if h.Revision <= seen || e.seen.CompareAndSwap(seen, h.Revision) {
			return nil
		}
	}
}

// refusals are etcd's answers after which a request was not executed and never
// will be. Every other error of a write leaves that open.
var refusals = map[codes.Code]bool{
	codes.InvalidArgument: true, codes.ResourceExhausted: true, codes.PermissionDenied: true,
	codes.Unauthenticated: true, codes.FailedPrecondition: true, codes.NotFound: true, codes.OutOfRange: true,
}

// ambiguous tells whether a write that ended with err may have been applied, or
// may still be.
func ambiguous(err error) bool {
	return err != nil && !refusals[code(err)]
}

func code(err error) codes.Code {
	var known rpctypes.EtcdError
	if errors.As(err, &known) {
		return known.Code()
	}
	return status.Code(err)
}

// failed gives an error of etcd its kind. A write's was found not to be ambiguous.
func (e *etcd) failed(err error, format string, args ...any) error {
	what := "etcd (" + strings.Join(e.endpoints(), ", ") + "): " + fmt.Sprintf(format, args...)
	switch c := code(err); {
	case errors.Is(err, ErrCorrupt):
		return err
	case e.group.Context().Err() != nil:
		return ErrClosed
	case errors.Is(err, rpctypes.ErrRequestTooLarge), errors.Is(err, rpctypes.ErrTooManyOps):
		return failure(ErrTooLarge, err, "%s: raise etcd's max-request-bytes to 1.5 MiB and max-txn-ops to 128, their defaults", what)
	case errors.Is(err, rpctypes.ErrNoSpace):
		return failure(ErrUnavailable, err, "%s: etcd's quota is used up: compact and defragment it, or raise quota-backend-bytes", what)
	case errors.Is(err, rpctypes.ErrAuthFailed), errors.Is(err, rpctypes.ErrUserEmpty), c == codes.PermissionDenied, c == codes.Unauthenticated:
		return failure(ErrDenied, err, "%s: check %s, %s and the roles of that user", what, KeyUser, KeyPassword)
	case c == codes.DataLoss:
		return failure(ErrCorrupt, err, "%s", what)
	default:
		return failure(ErrUnavailable, err, "%s", what)
	}
}

func (e *etcd) endpoints() []string {
	if e.client == nil {
		return nil
	}
	return e.client.Endpoints()
}

func (e *etcd) close() error {
	e.mu.Lock()
	t := e.mu.term
	e.mu.Unlock()
	var err error
	if t != nil {
		ctx, cancel := context.WithTimeout(e.group.Context(), e.timeout)
		defer cancel()
		err = t.leave(ctx, ErrClosed)
	}
	return errors.Join(err, e.group.Close(), ignoreCanceled(e.client.Close()))
}

// ignoreCanceled drops what the client says because its context is done.
func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
