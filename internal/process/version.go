package process

import (
	"fmt"
	"runtime/debug"
	"strings"
)

// Build is what is known about how a binary was built.
type Build struct {
	// Version is the module's version, "devel" if it was built from a work tree
	// without one.
	Version string
	// Commit is the first seven digits of the commit, "unknown" if the build has
	// not recorded it.
	Commit string
}

// ReadBuild returns how this binary was built.
func ReadBuild() Build {
	b := Build{Version: "devel", Commit: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = strings.TrimPrefix(v, "v")
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 7 {
			b.Commit = s.Value[:7]
		}
	}
	return b
}

// String prints the build as Flink's command line does.
func (b Build) String() string { return fmt.Sprintf("Version: %s, Commit ID: %s", b.Version, b.Commit) }
