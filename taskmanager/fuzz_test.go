package taskmanager

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir/internal/dataflow"
	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
)

// FuzzDecodePlan feeds what a job's main may write as its plan. A plan that is
// accepted can be read by everybody, also after it was passed on.
func FuzzDecodePlan(f *testing.F) {
	g := dataflow.NewGraph("a job")
	source := g.Add(&dataflow.Node{Kind: "source", Name: "numbers", OutputType: "int", Source: true})
	g.Add(&dataflow.Node{Kind: "sink", Name: "nowhere", Inputs: []*dataflow.Input{{From: source, Partitioning: dataflow.Hash, RecordType: "int", KeyType: "int"}}})
	for _, p := range []*planv1.Plan{
		dataflow.ToProto(g.Layout().Plan),
		{FormatVersion: dataflow.PlanFormat, JobName: "mistaken", Mistakes: []string{"main.go:1: all of it"}},
		{},
	} {
		encoded, err := proto.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded)
	}
	f.Add([]byte("this is not a plan"))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		plan, err := decodePlan(encoded)
		if err != nil {
			return
		}
		again, err := proto.Marshal(plan)
		if err != nil {
			t.Fatalf("an accepted plan cannot be passed on: %v", err)
		}
		if _, err := decodePlan(again); err != nil {
			t.Fatalf("an accepted plan is refused when it was passed on: %v", err)
		}
	})
}

// FuzzPlatformOf feeds the first bytes of what is submitted as an executable.
func FuzzPlatformOf(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00"))
	f.Add([]byte("#!/bin/sh\necho hello hello\n"))
	f.Add([]byte{0xcf, 0xfa, 0xed, 0xfe, 0x0c, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, head []byte) {
		platform := platformOf(head)
		if len(head) < 20 && platform != "" {
			t.Errorf("%d bytes are an executable for %s", len(head), platform)
		}
	})
}
