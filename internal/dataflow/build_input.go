package dataflow

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
)

// BuildInput is what a job's main builds its graph with.
type BuildInput struct {
	// Recorded are the values of weir.Once from an earlier run.
	Recorded map[string][]byte
	// Configuration is the job's, by key.
	Configuration map[string]string
}

// DecodeBuildInput reads a BuildInput as a TaskManager hands it to a job's
// executable.
func DecodeBuildInput(data []byte) (BuildInput, error) {
	m := &planv1.BuildInput{}
	if err := proto.Unmarshal(data, m); err != nil {
		return BuildInput{}, fmt.Errorf("decode the input of the build: %w", err)
	}
	return BuildInput{Recorded: m.GetRecorded(), Configuration: m.GetConfiguration()}, nil
}

// EncodePlan writes a plan as an executable in plan mode hands it out.
func EncodePlan(p *Plan) ([]byte, error) {
	data, err := proto.Marshal(ToProto(p))
	if err != nil {
		return nil, fmt.Errorf("encode the plan: %w", err)
	}
	return data, nil
}
