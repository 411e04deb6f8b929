package weir

import "github.com/weirstream/weir/internal/dataflow"

// BuildGraph runs a build function as Main does.
func BuildGraph(build func(*Env), args ...string) *dataflow.Graph {
	return buildGraph("test", build, args, dataflow.BuildInput{})
}
