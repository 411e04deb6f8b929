package metastore

import (
	"context"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The keys of the configuration that a store is opened with. Those of etcd have
// the shape of Flink's for ZooKeeper.
const (
	KeyType            = "high-availability.type"
	KeyStorageDir      = "high-availability.storageDir"
	KeyClusterID       = "high-availability.cluster-id"
	KeyEndpoints       = "high-availability.etcd.endpoints"
	KeyRoot            = "high-availability.etcd.path.root"
	KeySessionTimeout  = "high-availability.etcd.client.session-timeout"
	KeyRequestTimeout  = "high-availability.etcd.client.request-timeout"
	KeyUser            = "high-availability.etcd.client.username"
	KeyPassword        = "high-availability.etcd.client.password"
	KeyCAFile          = "high-availability.etcd.ssl.ca-file"
	KeyCertificateFile = "high-availability.etcd.ssl.certificate-file"
	KeyKeyFile         = "high-availability.etcd.ssl.key-file"
)

// Defaults of [Config].
const (
	DefaultClusterID      = "default"
	DefaultRoot           = "/weir"
	DefaultSessionTimeout = 15 * time.Second
	DefaultRequestTimeout = 5 * time.Second
)

// Type is where the metadata is kept (high-availability.type).
type Type string

const (
	// None keeps the metadata in a directory of this machine: one JobManager, which
	// finds its jobs again when it is started anew. It is the default.
	None Type = "none"
	// Etcd keeps it in etcd: any number of JobManagers, of which one leads.
	Etcd Type = "etcd"
)

// ParseType reads a value of high-availability.type, in upper or lower case. Those
// that Flink has and Weir does not are refused with a text that says what to use.
// Errors: [ErrInvalid].
func ParseType(text string) (Type, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "", string(None):
		return None, nil
	case string(Etcd):
		return Etcd, nil
	case "zookeeper", "kubernetes":
		return "", failure(ErrInvalid, nil, "%s: %q: Weir does not elect its leader through it: set %s, with %s, or %s for a single JobManager",
			KeyType, text, Etcd, KeyEndpoints, None)
	default:
		return "", failure(ErrInvalid, nil, "%s: %q: want %s or %s", KeyType, text, None, Etcd)
	}
}

// Config says where the metadata is kept. Fields that are not set have the
// defaults that are named.
type Config struct {
	// Type is where ([KeyType]); [None] by default.
	Type Type
	// StorageDir is the directory for [None] ([KeyStorageDir]): a path, or a URI
	// that begins with file://. The store is in <StorageDir>/<ClusterID>/metadata.
	StorageDir string
	// ClusterID sets clusters apart that share a directory or an etcd
	// ([KeyClusterID]); [DefaultClusterID] by default. A slash that it begins with,
	// as Flink's default does, does not count.
	ClusterID string
	// WaitForLock has Open wait, as long as its context allows, for another process
	// that uses the directory; else Open returns a [*LockedError] at once.
	WaitForLock bool

	// Endpoints are the addresses of etcd's members ([KeyEndpoints]): host:port, or
	// URLs, which have the scheme https if TLS is used.
	Endpoints []string
	// Root is above all clusters' keys in etcd ([KeyRoot]); [DefaultRoot] by default.
	Root string
	// SessionTimeout is after which time without an answer a leader counts as dead
	// ([KeySessionTimeout]): the lease's time to live, in whole seconds, at least 1 s;
	// [DefaultSessionTimeout] by default.
	SessionTimeout time.Duration
	// RequestTimeout bounds one request to etcd, and what a local store waits for a
	// disk after a transaction's context has ended ([KeyRequestTimeout]);
	// [DefaultRequestTimeout] by default.
	RequestTimeout time.Duration
	// User and Password are credentials of etcd ([KeyUser], [KeyPassword]).
	User, Password string
	// CAFile, CertificateFile and KeyFile are PEM files ([KeyCAFile],
	// [KeyCertificateFile], [KeyKeyFile]). With the first, or with https endpoints,
	// connections use TLS; with the others, this side shows a certificate.
	CAFile, CertificateFile, KeyFile string

	// Logger gets what no call can return; slog.Default by default.
	Logger *slog.Logger
}

// Open opens the store that the configuration names, and creates it if there is
// none yet. It does not yet lead: see [Store.Campaign]. ctx bounds the opening
// only.
//
// Errors: [ErrInvalid] (with the key of the configuration), [ErrLocked],
// [ErrDenied], [ErrUnavailable], [ErrCorrupt], [ErrFormat].
func Open(ctx context.Context, c Config) (*Store, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	if c.Type == Etcd {
		e, err := openEtcd(ctx, c)
		if err != nil {
			return nil, err
		}
		return &Store{backend: e}, nil
	}
	l, err := openLocal(ctx, c, vfs.Default)
	if err != nil {
		return nil, err
	}
	return &Store{backend: l}, nil
}

// complete sets defaults and checks what is set.
func (c *Config) complete() (err error) {
	if c.Type, err = ParseType(string(c.Type)); err != nil {
		return err
	}
	if c.ClusterID = strings.TrimPrefix(c.ClusterID, "/"); c.ClusterID == "" {
		c.ClusterID = DefaultClusterID
	}
	if checkKey(c.ClusterID) != nil || strings.ContainsAny(c.ClusterID, `/\`) || strings.HasPrefix(c.ClusterID, ".") {
		return failure(ErrInvalid, nil, "%s: %q: want a name without slashes that does not begin with a dot", KeyClusterID, c.ClusterID)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = DefaultRequestTimeout
	}
	if c.RequestTimeout < 0 {
		return failure(ErrInvalid, nil, "%s: %v: want more than 0", KeyRequestTimeout, c.RequestTimeout)
	}
	if c.Type == None {
		return c.completeLocal()
	}
	return c.completeEtcd()
}

func (c *Config) completeLocal() error {
	if scheme, path, ok := strings.Cut(c.StorageDir, "://"); ok {
		if !strings.EqualFold(scheme, "file") {
			return failure(ErrInvalid, nil, "%s: %q: with %s: %s the metadata is kept in a directory of this machine; want a path",
				KeyStorageDir, c.StorageDir, KeyType, None)
		}
		c.StorageDir = path
	}
	if c.StorageDir == "" {
		return failure(ErrInvalid, nil, "%s is not set: want a directory", KeyStorageDir)
	}
	path, err := filepath.Abs(c.StorageDir)
	if err != nil {
		return systemError(err, "%s: %q", KeyStorageDir, c.StorageDir)
	}
	c.StorageDir = path
	return nil
}

func (c *Config) completeEtcd() error {
	if len(c.Endpoints) == 0 {
		return failure(ErrInvalid, nil, "%s is not set: with %s: %s it has the addresses of etcd's members", KeyEndpoints, KeyType, Etcd)
	}
	c.Endpoints = slices.Clone(c.Endpoints)
	for _, e := range c.Endpoints {
		if err := checkEndpoint(e); err != nil {
			return err
		}
	}
	if c.Root == "" {
		c.Root = DefaultRoot
	}
	c.Root = "/" + strings.Trim(c.Root, "/")
	if checkKey(c.Root[1:]) != nil {
		return failure(ErrInvalid, nil, "%s: %q: want a path such as %s", KeyRoot, c.Root, DefaultRoot)
	}
	if c.SessionTimeout == 0 {
		c.SessionTimeout = DefaultSessionTimeout
	}
	if c.SessionTimeout < time.Second || c.SessionTimeout%time.Second != 0 {
		return failure(ErrInvalid, nil, "%s: %v: want whole seconds, at least 1", KeySessionTimeout, c.SessionTimeout)
	}
	if (c.CertificateFile == "") != (c.KeyFile == "") {
		return failure(ErrInvalid, nil, "%s and %s: set both, or neither", KeyCertificateFile, KeyKeyFile)
	}
	if c.Password != "" && c.User == "" {
		return failure(ErrInvalid, nil, "%s is set without %s", KeyPassword, KeyUser)
	}
	return nil
}

func checkEndpoint(endpoint string) error {
	host := endpoint
	if strings.Contains(endpoint, "://") {
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil {
			return failure(ErrInvalid, nil, "%s: %q: want host:port, http://host:port or https://host:port", KeyEndpoints, endpoint)
		}
		host = u.Host
	}
	if host == "" || !visible(host) || strings.Contains(host, "/") {
		return failure(ErrInvalid, nil, "%s: %q: want host:port, http://host:port or https://host:port", KeyEndpoints, endpoint)
	}
	return nil
}
