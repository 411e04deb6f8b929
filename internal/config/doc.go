// Package config is the configuration of Weir: the registry of all keys, one
// YAML file with Flink's keys and syntax, environment variables and options
// above it, and answers about where a value came from.
//
// # Its room
//
// The daemons, the command line and the embedded mode load a [Config] once
// ([Inputs.Load], [FromMap]) and hand it down; a job's settings travel to the cluster as a map of
// text ([Config.JobSettings], [Decode]). Everyone reads values through the
// options of this package: HeartbeatInterval.Get(c). The package reads one
// file and nothing else: no directory, no network, and of the environment only
// what it is handed.
// It imports internal/memory for sizes and knows nothing of its callers.
//
// # The main types
//
//   - [Option] is one key with the type of its values. All options are
//     variables of this package, in one file per area: cluster.go,
//     jobmanager.go, taskmanager.go, network.go, execution.go, security.go,
//     files.go.
//   - [Config] holds the values that were set and where: it is immutable.
//   - [Source] is where a value came from: a line of a file, an environment
//     variable, -D, the default.
//   - [Variable] is the environment variable of a key, and [Find] a key by name.
//   - [Problems] are all mistakes of a configuration at once; [Warnings] are
//     settings that have no effect, and why.
//
// # Precedence
//
// A later layer wins: defaults, the file, the environment, -D, and then what the environment of
// a job's code sets ([Config.With]). What code says about one operator is part
// of the job's graph and above all of these; this package never sees it.
//
// # Keys
//
// Names are Flink's wherever Flink has one, and deprecated names of Flink are
// read with a warning that names the new one. A key of Flink that Weir has no
// use for is a warning that says why (known.go); a key that neither knows is
// an error that suggests the nearest known one. Keys that exist only in Weir
// say so in docs/configuration.md, which is generated from the registry:
//
//	go test ./internal/config -run TestReferenceIsFresh -update
//
// # Environment variables
//
// The variable of a key is WEIR_ and the key in capitals, with an underscore
// for each dot and dash; environment.go has the table, which is made from the
// registry, so that no name has to be taken apart. A variable of no key is a
// warning and not an error: the environment is not ours alone, and Kubernetes
// puts variables there that begin like ours.
//
// # Secrets
//
// A key whose name says that its value is a secret ([Sensitive]) is masked in
// [Entry.Shown], in [Config.String] and in all messages.
//
// # Concurrency
//
// A Config never changes after it was built, and what Get returns is the
// caller's own; everything here may be called concurrently.
//
// # Invariants
//
//   - C1: every value in a Config has passed its option's check, so Get cannot
//     fail.
//   - C2: loading reports all mistakes of all layers, never only the first.
//   - C3: [Config.Map] read back by [FromMap] gives the same values.
//   - C4: where the result of loading is an error, the Config is nil.
//   - C5: no two names of keys, present or deprecated, have the same variable.
//
// # Errors
//
// Everything that fails returns [Problems]. Each [Problem] wraps one of
// [ErrUnknownKey], [ErrBadValue], [ErrDuplicate], [ErrSyntax], or the error of
// the operating system. Nothing is retryable.
package config
