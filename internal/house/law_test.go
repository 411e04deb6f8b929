package house_test

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// A room is a directory of the project and what it may import of the project.
// It covers the directories below it that are not rooms of their own; within a
// room packages import each other freely.
type room struct {
	// dir is the directory from the module's root; "." is the public API.
	dir string
	// not says what the room must not know. Who breaks the law reads it.
	not string
	// may has the rooms that it may import, each with the reason. The name
	// "leaves" stands for all of [leaves], "*" for every room.
	may map[string]string
	// testsNever has the rooms that not even its tests may import, each with
	// the reason. Other tests reach as far as they need to.
	testsNever map[string]string
}

// leaves import nothing of the project, so every room may use them.
var leaves = []string{"internal/goroutine", "internal/ids", "internal/invariants", "internal/leaktest"}

const (
	anyone      = "owned goroutines, identities and invariants belong to everybody"
	ownMessages = "its adapter files translate between messages and plain structs"
)

// importLaw is the whole import law, from the base up.
var importLaw = []room{
	{dir: "proto/gen", not: "anything: it is generated"},
	{dir: "internal/goroutine", not: "anything of the project"},
	{dir: "internal/ids", not: "anything of the project"},
	{dir: "internal/invariants", not: "anything of the project"},
	{dir: "internal/leaktest", not: "anything of the project"},
	{dir: "internal/house", not: "anything of the project: it reads the files of all"},
	{dir: "internal/launch", not: "anything of the project: it has constants that never change their meaning"},
	{
		dir: "internal/key", not: "what is above the base packages",
		may: map[string]string{"leaves": anyone},
	},
	{
		dir: "internal/memory", not: "what is above the base packages",
		may: map[string]string{"leaves": anyone},
	},
	{
		dir: "internal/codec", not: "what is above the base packages",
		may: map[string]string{
			"leaves":       anyone,
			"internal/key": "strings and arenas are laid out in one way for keys and values",
		},
	},
	{
		dir: "internal/config", not: "what is above the base packages",
		may: map[string]string{
			"leaves":          anyone,
			"internal/memory": "sizes and the division of a process's memory are read from the configuration",
		},
	},
	{
		dir: "internal/security", not: "what is above the base packages",
		may: map[string]string{
			"leaves":          anyone,
			"internal/config": "credentials and listeners are configured",
		},
	},
	{
		dir: "internal/dataflow", not: "how a graph is executed; it performs no I/O",
		may: map[string]string{
			"leaves":          anyone,
			"internal/codec":  "a node knows how its records are encoded",
			"internal/key":    "a keyed edge knows the kind of its key",
			"internal/memory": "what a graph's channels need is counted by the one formula",
			"proto/gen":       "one adapter file writes and reads the plan",
		},
	},
	{
		dir: "state", not: "the network, operators and messages",
		may: map[string]string{
			"internal/invariants": "tables check their epochs in test builds",
			"internal/key":        "tables are addressed by key and hash",
		},
	},
	{
		dir: "shuffle", not: "operators, state and messages",
		may: map[string]string{
			"leaves": anyone,
		},
	},
	{
		dir: "task", not: "gRPC, messages and daemons",
		may: map[string]string{
			"leaves":            anyone,
			"internal/codec":    "a chain's edges are encoded with codecs compiled once per type",
			"internal/dataflow": "a chain is built from the nodes of the graph",
			"internal/key":      "keyed operators hash and group",
			"internal/memory":   "a host is given its share of memory",
			"shuffle":           "chains read from gates and write to channels",
			"state":             "keyed operators look their state up",
		},
	},
	{
		dir: "worker", not: "daemons; it speaks with its TaskManager through messages only",
		may: map[string]string{
			"leaves":            anyone,
			"internal/config":   "a worker reads the settings that the daemon hands it",
			"internal/dataflow": "it compares its graph with the submitted plan",
			"internal/launch":   "the other side of a TaskManager's start of a job's executable",
			"internal/memory":   "it maps the slots' shares of memory",
			"internal/security": "it proves to its TaskManager which worker it is",
			"proto/gen":         ownMessages,
			"shuffle":           "it opens the pools and the transport for its host",
			"task":              "it is the shell around task.Host",
		},
	},
	{
		dir: "scheduler", not: "I/O, clocks and messages: it decides",
		may: map[string]string{
			"leaves":            anyone,
			"internal/config":   "restart and placement settings",
			"internal/dataflow": "the job graph that it spreads over slots",
			"internal/memory":   "the formula for the buffers that a job's channels need",
		},
	},
	{
		dir: "checkpoint", not: "I/O, clocks, messages and tasks: it decides",
		may: map[string]string{
			"leaves":       anyone,
			"internal/key": "a new subtask reads the key groups that it owns",
		},
	},
	{
		dir: "checkpoint/metadata", not: "I/O, clocks and tasks: it is a format",
		may: map[string]string{
			"leaves":     anyone,
			"checkpoint": "ids, modes and figures of checkpoints have one type",
			"proto/gen":  ownMessages,
		},
	},
	{
		dir: "checkpoint/storage", not: "what is in the files that it stores, and who decides about them",
		may: map[string]string{
			"leaves":     anyone,
			"checkpoint": "the names of files have the ids of checkpoints",
		},
	},
	{
		dir: "jobmanager", not: "user types, and the TaskManager but for its messages",
		may: map[string]string{
			"checkpoint":          "it is the shell around the decisions about checkpoints",
			"checkpoint/metadata": "it writes and reads the metadata of checkpoints",
			"checkpoint/storage":  "it stores metadata, and deletes what nobody names",
			"leaves":              anyone,
			"internal/config":     "the daemon's settings",
			"internal/dataflow":   "plans and job graphs",
			"internal/launch":     "bounds on plans, and the versions of the worker protocol",
			"internal/memory":     "sizes in settings and refusals",
			"internal/security":   "every call passes one interceptor",
			"proto/gen":           ownMessages,
			"scheduler":           "it is the shell around the scheduler's decisions",
		},
		testsNever: map[string]string{
			"taskmanager": "the daemons meet in messages; tests of both together belong above them",
		},
	},
	{
		dir: "taskmanager", not: "operators and user code, and the JobManager but for its messages",
		may: map[string]string{
			"checkpoint":         "a snapshot has the id of its checkpoint",
			"checkpoint/storage": "it stores the snapshots of its workers",
			"leaves":             anyone,
			"internal/config":    "the daemon's settings",
			"internal/dataflow":  "it compares the plans of two runs and names what differs",
			"internal/launch":    "it starts executables of jobs, to plan and to work",
			"internal/memory":    "it divides the process's memory into slots",
			"internal/security":  "every call passes one interceptor",
			"proto/gen":          ownMessages,
		},
		testsNever: map[string]string{
			"jobmanager": "the daemons meet in messages; tests of both together belong above them",
		},
	},
	{
		dir: "client", not: "how a daemon answers",
		may: map[string]string{
			"leaves":            anyone,
			"internal/config":   "the address of the JobManager is configured",
			"internal/security": "a call carries the credential",
			"proto/gen":         ownMessages,
		},
	},
	{
		dir: "internal/embedded", not: "the public API, which stands on it",
		may: map[string]string{
			"leaves":            anyone,
			"internal/config":   "the settings of the three parts that it starts",
			"internal/dataflow": "it is handed the graph that the program built",
			"internal/memory":   "it divides memory as the daemons do",
			"jobmanager":        "it starts one",
			"proto/gen":         "it watches its job through the service that clients use",
			"taskmanager":       "it starts one",
			"task":              "it hands the operators to the worker",
			"worker":            "it starts one",
		},
	},
	{
		dir: ".", not: "how a task is scheduled",
		may: map[string]string{
			"leaves":            anyone,
			"internal/codec":    "a type is checked for a codec where the job mentions it",
			"internal/config":   "settings in code have the keys of the file",
			"internal/dataflow": "streams build the graph",
			"internal/embedded": "a program that is run by itself runs its job embedded",
			"internal/key":      "a key's kind is settled where the job mentions it",
			"internal/launch":   "Main finds out in which mode it was started",
			"task":              "typed steps become erased operators",
			"worker":            "Main serves as a worker when a TaskManager started it",
		},
	},
	{
		dir: "weirtest", not: "daemons and the network",
		may: map[string]string{
			".":                 "the public API",
			"internal/dataflow": "it builds the graph of the job under test",
			"task":              "it runs operators in the test's goroutine",
		},
	},
	{
		dir: "connector", not: "engine internals: a connector is written as a user writes one",
		may: map[string]string{
			".": "the public API",
			// A connector outside this module starts a goroutine with a go statement,
			// which here only this package may.
			"internal/goroutine": "a connector that waits for a clock or a connection owns a goroutine",
		},
		testsNever: map[string]string{
			"task":    "a connector is tested through the public API",
			"shuffle": "a connector is tested through the public API",
			"worker":  "a connector is tested through the public API",
		},
	},
	{
		dir: "internal/recovery", not: "daemons: what they do is played by its tests",
		may: map[string]string{
			".": "its jobs are a user's programs", "task": "it runs their tasks", "internal/dataflow": "it builds their graphs",
			"leaves": anyone, "internal/memory": "it divides the network's memory",
		},
	},
	{
		dir: "internal/answers", not: "internals: its jobs are a user's programs",
		may: map[string]string{
			".":         "the public API",
			"connector": "it reads files",
		},
	},
	{
		dir: "internal/process", not: "what a daemon does",
		may: map[string]string{
			"leaves":          anyone,
			"internal/config": "it reads the file and the overrides",
		},
	},
	{
		dir: "cmd/jobmanager", not: "anything but flags and wiring",
		may: map[string]string{
			"leaves":            anyone,
			"internal/config":   "it reads the file and the flags",
			"internal/process":  "a daemon's flags, log and signals",
			"internal/security": "it reads or generates the credential",
			"jobmanager":        "it runs it",
		},
	},
	{
		dir: "cmd/taskmanager", not: "anything but flags and wiring",
		may: map[string]string{
			"leaves":            anyone,
			"internal/config":   "it reads the file and the flags",
			"internal/memory":   "it prints how the process's memory is divided",
			"internal/process":  "a daemon's flags, log and signals",
			"internal/security": "it reads or generates the credential",
			"taskmanager":       "it runs it",
		},
	},
	{
		dir: "cmd/weir", not: "anything but the client's side",
		may: map[string]string{
			"leaves":            anyone,
			"client":            "it submits, lists and cancels",
			"internal/config":   "it reads the file and the flags",
			"internal/dataflow": "weir info prints the plan that it made on this machine",
			"internal/launch":   "weir info has an executable plan its job",
			"internal/process":  "the version, and the line that says a daemon is ready",
			"internal/security": "it finds the credential of this machine",
			"proto/gen":         "it prints what the service answers",
		},
	},
	{
		dir: "examples", not: "internals: an example is a user's program",
		may: map[string]string{
			".":         "the public API",
			"connector": "sources and sinks",
		},
	},
	{dir: "bench", may: map[string]string{"*": "a benchmark measures whatever it is about"}},
}

// roomOf returns the room that dir belongs to, the nearest at or above it. The
// root's room is only the root itself.
func roomOf(dir string) (room, bool) {
	for d := dir; d != "."; d = path.Dir(d) {
		if r, ok := roomAt(d); ok {
			return r, true
		}
	}
	if dir == "." {
		return roomAt(".")
	}
	return room{}, false
}

func roomAt(dir string) (room, bool) {
	i := slices.IndexFunc(importLaw, func(r room) bool { return r.dir == dir })
	if i < 0 {
		return room{}, false
	}
	return importLaw[i], true
}

// allows tells whether the room's code may import the other room.
func (r room) allows(other string) bool {
	if r.may["*"] != "" || r.may[other] != "" {
		return true
	}
	return r.may["leaves"] != "" && slices.Contains(leaves, other)
}

// checkImportLaw is H1. It reads the files and not the go command's package
// list, so that files for other platforms and build tags count too.
func checkImportLaw(t *tree) (violations []string) {
	homeless := map[string]bool{}
	for _, f := range t.files {
		from, ok := roomOf(f.dir())
		if !ok {
			if !homeless[f.dir()] {
				violations = append(violations, fmt.Sprintf(
					"%s: the directory has no entry in importLaw (internal/house/law_test.go)", f.dir()))
			}
			homeless[f.dir()] = true
			continue
		}
		for _, spec := range f.imports() {
			dir, ours := directoryOf(importPath(spec))
			to, known := roomOf(dir)
			if !ours || !known || to.dir == from.dir {
				continue // its own directory is reported for an unknown room
			}
			switch {
			case f.test && from.testsNever[to.dir] != "":
				violations = append(violations, t.at(spec.Pos(), "not even the tests of %s may import %s: %s",
					from.dir, to.dir, from.testsNever[to.dir]))
			case !f.test && !from.allows(to.dir):
				violations = append(violations, t.at(spec.Pos(), "%s may not import %s; it must not know %s",
					from.dir, to.dir, from.not))
			}
		}
	}
	return violations
}

// directoryOf returns the directory of an import path from the module's root,
// and whether the package belongs to this module at all.
func directoryOf(importPath string) (dir string, ours bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

func TestImportLaw(t *testing.T) { report(t, checkImportLaw(project(t))) }

func TestImportLawSees(t *testing.T) {
	const own = `import _ "github.com/weirstream/weir`
	expect(t, checkImportLaw(fixture(t, map[string]string{
		"api.go":                         "package weir\n" + own + `/task"` + "\n" + own + `/scheduler"`,
		"api_test.go":                    "package weir\n" + own + `/scheduler"`,
		"attic/attic.go":                 "package attic",
		"attic/more.go":                  "package attic",
		"connector/file/f.go":            "package file\n" + own + `"` + "\n" + own + `/internal/ids"`,
		"connector/file/f_test.go":       "package file\n" + own + `/internal/leaktest"` + "\n" + own + `/task"`,
		"internal/attic/attic.go":        "package attic",
		"internal/ids/ids.go":            "package ids\n" + own + `/internal/key"`,
		"jobmanager/adapter/a.go":        "package adapter\n" + own + `/jobmanager"` + "\n" + own + `/proto/gen/weir/x/v1"`,
		"jobmanager/j_test.go":           "package jobmanager\n" + own + `/client"` + "\n" + own + `/taskmanager"`,
		"scheduler/s_windows.go":         "package scheduler\n" + own + `/shuffle"`,
		"scheduler/s.go":                 "package scheduler\nimport _ \"fmt\"\n" + own + `/internal/ids"`,
		"state/memory/m.go":              "package memory\n" + own + `/internal/key"` + "\n" + own + `/internal/goroutine"`,
		"internal/dataflow/adapter.go":   "package dataflow\n" + own + `/proto/gen/weir/plan/v1"`,
		"bench/b.go":                     "package main\n" + own + `/scheduler"`,
		"proto/gen/weir/x/v1/x.pb.go":    "// Code generated by x. DO NOT EDIT.\n\npackage xv1\n" + own + `/internal/ids"`,
		"proto/gen/weir/x/v1/x2.pb.go":   "// Code generated by x. DO NOT EDIT.\n\npackage xv1\n" + own + `/proto/gen/weir/y/v1"`,
		"examples/late/main.go":          "package main\n" + own + `/connector/file"` + "\n" + own + `/client"`,
		"taskmanager/internal/x/t.go":    "package x\n" + own + `/task"`,
		"internal/embedded/embedded.go":  "package embedded\n" + own + `/worker"` + "\n" + own + `"`,
		"shuffle/internal/wire/frame.go": "package wire\n" + own + `/state/memory"`,
	})),
		"api.go:3: . may not import scheduler",
		"attic: the directory has no entry",
		"connector/file/f.go:3: connector may not import internal/ids",
		"connector/file/f_test.go:3: not even the tests of connector may import task",
		"examples/late/main.go:3: examples may not import client",
		"internal/attic: the directory has no entry",
		"internal/embedded/embedded.go:3: internal/embedded may not import .",
		"internal/ids/ids.go:2: internal/ids may not import internal/key",
		"jobmanager/j_test.go:3: not even the tests of jobmanager may import taskmanager",
		"proto/gen/weir/x/v1/x.pb.go:4: proto/gen may not import internal/ids",
		"scheduler/s_windows.go:2: scheduler may not import shuffle",
		"shuffle/internal/wire/frame.go:2: shuffle may not import state",
		"state/memory/m.go:3: state may not import internal/goroutine",
		"taskmanager/internal/x/t.go:2: taskmanager may not import task",
	)
}

// The table itself: each edge leads to a room that it knows and says why, and
// the rooms come in dependency order, so the table reads from the base up and
// shows at a glance that no two rooms import each other.
func TestImportLawIsInOrder(t *testing.T) {
	seen := map[string]bool{"leaves": true, "*": true}
	for _, r := range importLaw {
		if seen[r.dir] {
			t.Errorf("%s has two entries", r.dir)
		}
		for _, to := range slices.Sorted(maps.Keys(r.may)) {
			if !seen[to] {
				t.Errorf("%s may import %s, which is no room before it", r.dir, to)
			}
			if r.may[to] == "" {
				t.Errorf("%s may import %s without a reason", r.dir, to)
			}
		}
		for to, why := range r.testsNever {
			if _, ok := roomAt(to); !ok || why == "" {
				t.Errorf("the tests of %s may not import %s: no such room, or no reason", r.dir, to)
			}
		}
		seen[r.dir] = true
	}
}
