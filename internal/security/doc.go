// Package security decides who may talk to a daemon, and over what: the
// cluster's credential, the one check in front of all gRPC calls that asks for it, TLS
// from PEM files, and the rule that nothing listens beyond loopback without both.
//
// # Its room
//
// The daemons and the command line call it while they start; it reads files
// and knows nothing of jobs. It is given plain values and names, in its errors,
// the configuration keys that they come from.
//
//   - [Credential] is the secret that every call carries. A daemon takes it from
//     the configured file or, where none is configured, creates one
//     ([LoadOrCreateCredential]); a client only reads ([LoadCredential]).
//   - [ServerOptions] and [DialOptions] put it in front of a gRPC server and
//     behind a gRPC client.
//   - [TLSFiles] is TLS as configured; [TLSFiles.Server] and [TLSFiles.Client]
//     load it.
//   - [Listen] opens a daemon's port if that is allowed, and [PrivateDirectory]
//     makes a directory that no other user can write to.
//
// # Concurrency
//
// Everything may be called concurrently, also by several processes: daemons
// that create the default credential at the same moment end up with the same.
//
// # Invariants
//
//   - S1: a call without the right credential reaches no handler, whatever its
//     method, also one that does not exist.
//   - S2: what is compared takes the same time whether none, some or all of it
//     is right.
//   - S3: a credential is not sent in the clear beyond loopback, and never
//     printed: its String is redacted.
//   - S4: a credential that another user of the machine could have read or
//     written is refused.
//
// # Testing
//
// The tests run real gRPC servers on loopback. The checks of file ownership
// are also run against values that a file of this user cannot have.
package security
