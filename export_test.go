package weir

import "github.com/weirstream/weir/internal/dataflow"

// BuildGraph runs a build function as Main does.
func BuildGraph(build func(*Env), args ...string) *dataflow.Graph {
	return buildGraph("test", build, args, dataflow.BuildInput{})
}

// BuildGraphWith is BuildGraph with what a TaskManager hands to a program.
func BuildGraphWith(input dataflow.BuildInput, build func(*Env)) *dataflow.Graph {
	return buildGraph("test", build, nil, input)
}

// EngineVersion and VersionIn are for the tests of this package.
var (
	EngineVersion = engineVersion
	VersionIn     = versionIn
)
