package weir

import (
	"github.com/weirstream/weir/internal/dataflow"
	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
)

// BuildGraph runs a build function as Main does.
func BuildGraph(build func(*Env), args ...string) *dataflow.Graph {
	return buildGraph("test", build, args, &planv1.BuildInput{})
}
